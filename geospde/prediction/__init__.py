"""Prediction on grids, regions and points."""
