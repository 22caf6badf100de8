"""Every family fits, predicts, cross-validates, simulates and has residuals, in one small survey each."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.registry import REGISTERED

ROWS = 50
FAMILIES = [family for family in REGISTERED if not family.is_pattern]  # a pattern's rows are not responses


def survey(family):
    """A covariate and a response that the family allows, and the left side that names it."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=ROWS)
    table, size = pd.DataFrame({"x": x, "m": 8}), 1 if family.is_binary else 8
    if family.takes_trials or family.is_binary:
        y = rng.binomial(size, 1 / (1 + np.exp(-0.5 * x)))
    elif family.name == "ordinal":
        y = rng.integers(1, 4, ROWS)
    elif family.is_discrete:
        y = rng.poisson(np.exp(0.5 + 0.3 * x))
        y = y + 1 if family().outside(np.zeros(1)).any() else y
    else:
        y = rng.gamma(2, np.exp(0.3 * x) / 2)
        y = rng.beta(2, 2, ROWS) if family().outside(np.full(1, 7.0)).any() else y
    return table.assign(y=y), "p(y, m)" if family.takes_trials and size > 1 else "y"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
def test_a_family_goes_every_way(family):
    table, left = survey(family)
    fit = gs.fit(f"{left} ~ x", table, family=family.name, method="eb", strategy="gaussian")
    assert np.isfinite(fit.predict(table.head(4)).to_frame().to_numpy()).all()
    found = fit.validate("loo", draws=100, baselines=False)
    assert np.isfinite(found.scores.to_numpy(dtype=float)).all() and found.pointwise["pit"].between(0, 1).all()
    assert np.isfinite(fit.simulate(2, seed=1).to_numpy(dtype=float)).all()
    for kind in ("pearson", "quantile"):
        assert np.isfinite(fit.residuals(kind)).all()
    assert fit.model.family.quantity("y")
