"""Families of responses, their links, and the priors of their hyperparameters."""
