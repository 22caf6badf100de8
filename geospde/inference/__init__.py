"""Sparse Laplace and INLA on matrices, a family and priors."""
