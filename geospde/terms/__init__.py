"""Latent terms of a formula: fields, groups, smooths and Gaussian processes."""
