"""Precisions of fields on a mesh, a kind a file: what an ``spde(...)`` term can choose from."""
