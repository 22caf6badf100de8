"""The survey before any model."""
