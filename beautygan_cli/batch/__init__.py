"""Every photo with every look: what is to be made, under which names, by whom, and what came of each."""
