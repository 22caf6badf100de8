"""Families of ordered categories."""
