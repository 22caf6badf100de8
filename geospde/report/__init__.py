"""The report of a run, and its map in a browser."""
