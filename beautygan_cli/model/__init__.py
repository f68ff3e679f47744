"""A makeup network: its checkpoint, its graph and a session that runs it."""
