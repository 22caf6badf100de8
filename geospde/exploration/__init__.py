"""A look at a survey before any model: what there is, how it varies in space, and what to mend."""
