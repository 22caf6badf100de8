"""A run repeated from its record."""
