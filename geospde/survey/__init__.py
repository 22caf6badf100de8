"""Surveys: points, coastlines, coordinate systems, and the files they come from."""
