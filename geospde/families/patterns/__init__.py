"""Families of point patterns."""
