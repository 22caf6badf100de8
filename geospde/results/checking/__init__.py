"""Findings of `fit.check`, by what they look at."""
