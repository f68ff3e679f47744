"""The page to play with, served on this machine alone."""
