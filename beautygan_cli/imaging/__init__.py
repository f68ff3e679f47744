"""Pictures as arrays: colour spaces, and later drawing and resizing."""
