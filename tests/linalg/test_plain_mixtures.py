"""Maps that are small are made by numpy, large ones by compiled loops: the same steps, and so the same numbers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from geospde.inference import mixture
from geospde.inference.mixture import GaussianMixture
from geospde.linalg.mixtures import mixture_quantiles
from geospde.linalg.plain_mixtures import plain_quantiles

LEVELS = (1e-9, 0.025, 0.5, 0.975, 0.9999)
KINDS = [(1, 0.3), (2, 0.0), (3, 2.0), (9, 0.3), (16, 1e-4)]  # components, and the sd of their shapes
# both take the same steps, of which the last is to 1e-9; exp may differ by a last digit, and so may where they end
TOLERANCE = 1e-10


def a_mixture(components, bent, m, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 1, (components, m)) * rng.choice([0.1, 1.0, 30.0], m)
    shape = rng.normal(0, bent, m) if bent else None
    return GaussianMixture(rng.dirichlet(np.ones(components)), means, rng.uniform(0.1, 2, (components, m)), shape)


def by(kernel, some, levels=LEVELS):
    out = np.empty((len(levels), some.means.shape[1]))
    kernel(*some._arrays, ndtri(np.array(levels)), out, 0, out.shape[1])
    return out


@pytest.mark.parametrize("components, bent", KINDS)
def test_quantiles_by_numpy_are_those_of_the_loop_as_it_is_written(components, bent):
    some = a_mixture(components, bent, 30)
    away = by(plain_quantiles, some) - by(mixture_quantiles.py_func, some)
    assert np.abs(away / some.sds.min(axis=0)).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("components, bent", KINDS)
def test_quantiles_by_numpy_are_those_of_the_compiled_loop(components, bent):
    some = a_mixture(components, bent, 3000)
    away = by(plain_quantiles, some) - by(mixture_quantiles, some)
    assert np.abs(away / some.sds.min(axis=0)).max() < TOLERANCE


def test_a_quantile_does_not_depend_on_those_beside_it():
    some = a_mixture(16, 0.2, 700)
    whole = by(plain_quantiles, some)
    for few in (slice(0, 1), slice(341, 343), slice(5, 700)):
        assert np.array_equal(by(plain_quantiles, some.part(few)), whole[:, few])


def test_the_size_alone_says_which_is_taken(monkeypatch):
    taken = []
    monkeypatch.setattr(mixture, "plain_quantiles", lambda *_: taken.append("numpy"))
    monkeypatch.setattr(mixture, "mixture_quantiles", lambda *_: taken.append("loop"))
    monkeypatch.setattr(mixture, "mixture_tails", lambda *_: taken.append("loop"))
    monkeypatch.setattr(mixture, "SEVERAL", 60)
    some = a_mixture(3, 0.1, 10)
    some.quantiles((0.5,))
    some.quantiles((0.1, 0.9))
    some.sf(1.0)
    assert taken == ["numpy", "loop"]
    a_mixture(3, 0.1, 20).sf(1.0)
    assert taken == ["numpy", "loop", "loop"]
    part = replace(some, of=1000)  # a few cells of a large map
    part.quantiles((0.5,))
    part.sf(1.0)
    assert taken == ["numpy"] + 4 * ["loop"]


@pytest.mark.slow
@pytest.mark.parametrize("components, bent", KINDS)
def test_tails_by_numpy_are_those_of_the_compiled_loop(components, bent, monkeypatch):
    some, found = a_mixture(components, bent, 3000), []
    x = some.mean + np.linspace(-4, 12, 3000) * some.sd
    for several in (10**9, 0):
        monkeypatch.setattr(mixture, "SEVERAL", several)
        found.append(some.sf(x))
    # far out a last digit of a score z changes its tail by z² of them
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-300)
    assert found[0].min() < 1e-20
