"""From a formula and data to a fit a person reads, checks and saves."""
