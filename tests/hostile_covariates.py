"""Covariates that terms cannot be made of: too large, too small, too uneven, or text that is nearly numbers."""

import numpy as np
from hostile_inputs import fill

EVEN = np.arange(25)
SIZES = {
    "1e300 apart": 1e300 * EVEN,
    "1e-300 apart": 1e-300 * EVEN,
    "over 300 decades": np.logspace(-150, 150, 25),
    "one of 1e100": [1e100, *range(24)],
    "at both ends": [1.7e308, -1.7e308, *[0.0] * 23],
}
TERMS = ("s(z)", "s(z, k=5)", "te(z, x)", "rw1(z)", "rw2(z)", "ar(z)", "spde(mesh, time=z)")


def in_term(term, values):
    """The good run file, with a field and a term of a column of these values."""
    return fill("z", values, formula=f"caught ~ {term} + spde(mesh)")


COVARIATES = {
    **{
        f"covariate {w}: {term}": (in_term(term, values), "another unit|too far apart")
        for w, values in SIZES.items()
        for term in TERMS
    },
    "covariate over 20 decades: rw2(z)": (in_term("rw2(z)", np.logspace(-10, 10, 25)), "gaps between values"),
    **{
        f"covariate of last digits: {term}": (in_term(term, 1 + 1e-13 * EVEN), "last digits")
        for term in ("ar(z)", "spde(mesh, time=z)")
    },
    "1e-300 times a slope": (in_term("(z | x)", 1e-300 * EVEN), "another unit"),
    "1e300 times a slope": (in_term("(z | x)", 1e300 * EVEN), "another unit"),
    **{
        f"slopes {w}": (in_term("(z | x)", scale * EVEN), None)
        for w, scale in {"of 0 in one group": 1.0, "of 1e30": 1e30, "of 1e-30": 1e-30}.items()
    },
}
