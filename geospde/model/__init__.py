"""From a formula and a table to a latent Gaussian model."""
