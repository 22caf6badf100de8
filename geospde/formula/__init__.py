"""From the text of a formula to columns of numbers."""
