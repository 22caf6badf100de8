"""Means, totals and shares over areas, with all covariance between the cells of a map."""
