"""Pictures, by matplotlib alone."""
