"""Fits on disk: the form of the files, what they must hold, and how large arrays become small."""
