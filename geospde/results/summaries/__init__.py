"""Summaries of fits in words and tables: of posteriors, and of likelihoods."""
