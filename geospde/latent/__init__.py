"""Latent terms: sparse precisions, their derivatives and priors."""
