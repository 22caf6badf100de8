"""Rasters, figures and the report."""
