"""Maximum likelihood: ML, REML, adaptive quadrature and UBRE, with intervals by profiles."""
