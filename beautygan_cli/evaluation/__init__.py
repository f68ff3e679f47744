"""How near a result is to what was asked, and what in a photo would spoil it."""
