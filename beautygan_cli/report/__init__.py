"""What a run has to show: a table of results, a grid of pictures, a page to look through them."""
