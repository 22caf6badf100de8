"""Layers that are computed from others: one a file, listed in `registry`."""
