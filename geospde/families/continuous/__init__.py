"""Families of continuous responses."""
