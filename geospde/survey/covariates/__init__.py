"""Covariates that are not in the survey: rasters, distances to a layer, coordinates; read at sites and in cells."""
