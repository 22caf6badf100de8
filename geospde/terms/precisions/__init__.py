"""Precision matrices of latent terms."""
