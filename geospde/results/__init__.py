"""What a fit tells."""
