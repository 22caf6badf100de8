"""Families of proportions and of successes among trials."""
