"""Families in which a share of the responses is larger by a factor."""
