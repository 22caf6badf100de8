"""Sparse Cholesky factors, selected inverses and threads."""
