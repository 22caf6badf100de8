"""The mesh step: polygons to a triangular mesh."""
