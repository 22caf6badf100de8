"""Hyperparameters of which the data say little, which are seen on the scale of their priors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.inference import integration


def test_what_the_data_say_little_of_is_on_the_scale_of_its_prior_first(monkeypatch):
    """Groups of counts that are hardly overdispersed: of the size there is the prior alone from some value on."""
    seen, own = [], integration.adaptive

    def spied(explorer, axes, others=None, priors=None):
        seen.append((axes.scale, others.scale))
        return own(explorer, axes, others, priors)

    monkeypatch.setattr(integration, "adaptive", spied)
    rng, group = np.random.default_rng(8), np.repeat(np.arange(12), 5)
    table = pd.DataFrame({"g": group.astype(str), "z": rng.poisson(np.exp(1 + 0.5 * rng.normal(size=12)[group]))})
    gs.fit("z ~ 1 + (1 | g)", table, family="nbinomial")
    ((first, then),) = seen
    assert first is not None and then is None


@pytest.mark.slow
def test_a_size_without_end_has_the_tail_of_its_prior():
    """Where the size is large, counts are Poisson's: what lies beyond has that likelihood and the mass of the prior."""
    folder = Path(__file__).resolve().parent.parent / "reference" / "everyday"
    mesh = gs.Mesh(*(pd.read_csv(folder / f"{name}.csv.gz").to_numpy() for name in ("vertices", "triangles")))
    table = pd.read_csv(folder / "data.csv.gz")[:200]
    fit, limit = (
        gs.fit("nb ~ 1 + spde(mesh)", table, mesh=mesh, coords=("x", "y"), family=family)
        for family in ("nbinomial", "poisson")
    )
    near, log_size = fit.posterior.mode.theta[:2], np.arange(-15.0, 80.0, 0.05)
    prior = np.exp([fit.laplace.log_prior(np.append(near, value)) for value in log_size])
    prior /= prior.sum()
    theta, weights = fit.posterior.hyper.cloud
    assert weights.max() < 0.01  # one place had a twentieth of all mass
    for least in (6.0, 7.0, 8.0):
        exact = np.exp(limit.log_marginal_likelihood - fit.log_marginal_likelihood) * prior[log_size > least].sum()
        # two log evidences, each right to 0.01 or so, and counts of up to some dozen are not quite Poisson's yet
        assert weights[theta[:, 2] > least].sum() == pytest.approx(exact, rel=0.1)
