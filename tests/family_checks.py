"""What every family of responses must do, each check for any family: its densities, tails, draws, moments and support.

`check_family` runs them all; `tests/families/test_conformance.py` lists the families.
"""

from dataclasses import replace

import numpy as np
import pytest

from geospde.errors import InputError
from geospde.families import Family, Likelihood
from geospde.families.priors import Independent
from geospde.families.relinked import Relinked

DRAWS = 20_000


CATEGORIES = np.arange(1.0, 5.0)  # responses that some families have hyperparameters by


def parameters(family: Family, rng: np.random.Generator) -> np.ndarray:
    """Hyperparameters near where a search starts, of a spread small enough that draws have their moments."""
    start = [h.start - (h.kind == "sd") for h in family.hyperparameters(CATEGORIES)]
    return np.array(start) + rng.uniform(-0.3, 0.3, len(start))


def simulated(family: Family, rng: np.random.Generator, m: int = 8) -> tuple[Likelihood, np.ndarray]:
    """Responses that the family draws at predictors of its own, bound to it with weights; and the predictors.

    Exposures and trials are there where the family has them.
    """
    eta = rng.uniform(-1.0, 1.0, m)  # beyond, draws of proportions round to 1
    if family.natural_link not in (None, family.link):
        eta = family.link.forward(np.exp(eta))
    return drawn_at(family, eta, rng), eta


def drawn_at(family: Family, eta: np.ndarray, rng: np.random.Generator) -> Likelihood:
    """Responses that the family draws at these predictors, bound to it with weights."""
    m, ones = eta.size, np.ones(eta.size)
    exposure = rng.uniform(0.5, 3.0, m) if family.has_exposure else ones
    trials = rng.integers(1, 9, m).astype(float) if family.takes_trials else ones
    hyper, theta = family.hyperparameters(CATEGORIES), parameters(family, rng)
    prior = Independent(tuple(h.prior for h in hyper))
    natural = family.natural_link or family.link
    unbound = family.likelihood(0.5 * ones, exposure, trials, ones, natural, prior, theta)
    unbound = unbound if natural is family.link else Relinked.of(unbound, family.link)
    y = unbound.draw(eta, rng)
    if len(hyper) > len(family.hyperparameters()):  # of categories, each of which is to be seen
        y[: CATEGORIES.size] = CATEGORIES[:m]
    weights = rng.uniform(0.2, 2.0, m)
    bound = family.bind(y, exposure, weights, trials if family.takes_trials else None)
    return bound.at(theta)


def slope(function, x, step: float = 1e-4) -> np.ndarray:
    """Fourth-order central difference."""
    return (8 * (function(x + step) - function(x - step)) - function(x + 2 * step) + function(x - 2 * step)) / (
        12 * step
    )


def check_derivatives(family: Family, rng: np.random.Generator) -> None:
    """Derivatives in eta and theta are those of the log density, by central differences."""
    here, eta = simulated(family, rng)

    def close(exact, numeric, of):
        # the differences lose what rounding takes from the function, over the step
        scale = np.abs(of).max() + np.abs(exact).max() + 1
        np.testing.assert_allclose(exact, numeric, rtol=2e-6, atol=1e-8 * scale)

    for order, derivative in enumerate(here.derivatives(eta)):
        lower = here.log_density if order == 0 else (lambda e, o=order: here.derivatives(e)[o - 1])
        close(derivative, slope(lower, eta), lower(eta))
    k = len(here.hyper)
    of_theta = here.theta_derivatives(eta)
    assert all(part.shape == (k, here.n) for part in of_theta)
    for j, axis in enumerate(np.eye(k)):
        for order in range(3):

            def along(t, axis=axis, order=order):
                moved = here.at(here.theta + t * axis)
                return moved.log_density(eta) if order == 0 else moved.derivatives(eta)[order - 1]

            close(of_theta[order][j], slope(along, 0.0), along(0.0))


def check_newton(family: Family, rng: np.random.Generator) -> None:
    """Newton weights are the information where that is positive, and never negative; the start is finite."""
    here, _ = simulated(family, rng)
    assert np.isfinite(here.start()).all() and np.isfinite(here.first_theta()).all()
    for eta in rng.normal(0, 3, (20, here.n)):
        second = here.derivatives(eta)[1]
        weights = here.newton_weights(eta, second)
        assert (weights >= 0).all()
        np.testing.assert_array_equal(weights[second <= 0], -second[second <= 0])


def check_distribution(family: Family, rng: np.random.Generator) -> None:
    """The distribution function rises by the density, and is one less the tail above."""
    here, eta = simulated(family, rng)
    below, above = here.cdf(eta), here.sf(eta)
    np.testing.assert_allclose(below + above, 1.0, atol=1e-12)
    density = np.exp(here.unweighted().log_density(eta))
    if family.is_discrete:
        least = replace(here, y=here.y - 1)
        before = np.where(family.outside(here.y - 1), 0.0, least.cdf(eta))
        np.testing.assert_allclose(below - before, density, rtol=1e-8, atol=1e-12)
        return
    jumps = here.jumps()
    if jumps is not None and jumps.any():
        before = np.where(family.outside(here.y - 1e-9), 0.0, replace(here, y=here.y - 1e-9).cdf(eta))
        np.testing.assert_allclose((below - before)[jumps], density[jumps], rtol=1e-6, atol=1e-8)
        here, eta, density = here.of_rows(~jumps), eta[~jumps], density[~jumps]
    scale = np.sqrt(here.moments(eta)[1])
    step = 1e-5 * np.minimum(scale, np.abs(here.y) if family.outside(-np.abs(here.y)).any() else scale)

    def at(steps):
        return replace(here, y=here.y + steps * step).cdf(eta)

    inside = ~(family.outside(here.y - 2 * step) | family.outside(here.y + 2 * step))
    risen = (8 * (at(1) - at(-1)) - at(2) + at(-2)) / (12 * step)
    # the differences keep 1e-16 of the distribution function, over the step
    np.testing.assert_allclose(risen[inside], density[inside], rtol=1e-6, atol=1e-10 / step[inside].min())


def check_draws(family: Family, rng: np.random.Generator) -> None:
    """Draws follow the distribution function, and have the moments."""
    here, eta = simulated(family, rng)
    draws = here.draw(np.tile(eta, (DRAWS, 1)), rng)
    assert draws.shape == (DRAWS, here.n) and not family.outside(draws.ravel()).any()
    below = here.cdf(eta)
    # 5 standard errors: one in a million
    assert (np.abs((draws <= here.y).mean(axis=0) - below) < 5 * np.sqrt(below * (1 - below) / DRAWS) + 1e-4).all()
    mean, variance = here.moments(eta)
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * np.sqrt(variance / DRAWS)).all()
    left = (draws - mean) ** 2
    # 8 standard errors as the draws have them, which are too small where tails are heavy
    assert (np.abs(left.mean(axis=0) - variance) < 8 * left.std(axis=0) / np.sqrt(DRAWS)).all()
    residuals = here.residuals(eta, "pearson")
    assert residuals.shape == (here.n,) and np.isfinite(residuals).all()


def check_support(family: Family, rng: np.random.Generator) -> None:
    """What lies outside of the support is refused by row and value, in the family's words."""
    good = simulated(family, rng)[0].y[0]
    outside = [v for v in (np.nan, np.inf, -1.0, 0.0, 0.5, 1.0, 2.5, 1e6) if family.outside(np.array([v]))[0]]
    assert {"nan", "inf"} <= {f"{v:g}" for v in outside}
    for value in outside:
        with pytest.raises(InputError) as refused:
            family.bind([good, value])
        assert str(refused.value) == f"family {family.name!r} needs {family.needs}: row 1 holds {value:g}"
    if not family.has_exposure:
        with pytest.raises(InputError, match=f"{family.name}.*has no exposure"):
            family.bind([good], exposure=[2.0])
    if not family.takes_trials:
        with pytest.raises(InputError, match=f"not of '{family.name}'"):
            family.bind([good], trials=[2])


def check_ends(family: Family, rng: np.random.Generator) -> None:
    """A response at an end of what the family allows gains density all the way there."""
    here, _ = simulated(family, rng, 40)
    lower, upper = here.ends()
    assert lower.shape == upper.shape == (40,) and not (lower & upper).any()
    for eta in np.linspace(-6, 6, 13):
        first = here.derivatives(np.full(40, eta))[0]
        assert (first[lower] <= 0).all() and (first[upper] >= 0).all()


def check_dispersion(family: Family, rng: np.random.Generator) -> None:
    """An exponential family's variance is its dispersion times its variance function of the mean."""
    if not family.is_exponential:
        assert family.dispersion_power is None
        return
    here, eta = simulated(family, rng)
    power = family.dispersion_power
    dispersion = 1.0 if power is None else np.exp(power * here.theta[0])
    mean, variance = here.moments(eta)
    share = mean / here.trials
    np.testing.assert_allclose(variance / here.trials, dispersion * family.variance_function(share), rtol=1e-12)


def check_far_hyperparameters(family: Family, rng: np.random.Generator) -> None:
    """Where a search may try a hyperparameter, `at` refuses it as an overflow, or the density has a value."""
    here, eta = simulated(family, rng)
    for place in range(here.theta.size):
        for far in (-90.0, -40.0, -15.0, 15.0, 40.0, 90.0):
            theta = here.theta.copy()
            theta[place] = far
            try:
                there = here.at(theta)
            except FloatingPointError:
                continue
            with np.errstate(all="ignore"):
                values = there.log_density(eta), *there.derivatives(eta), *there.theta_derivatives(eta)
            assert all(np.shape(value)[-1:] == (eta.size,) for value in values)


def check_words(family: Family, rng: np.random.Generator) -> None:
    """It says what it is: a word for its name, words with an article, labels."""
    assert family.name == family.name.lower() and " " not in family.name
    assert not family.words or family.words.startswith(("a ", "an "))
    assert isinstance(family.fitted_is, str) and "lead" in family.quantity("lead")
    assert "lead" in family.fitted_label("lead")
    assert all(link.name for link in family.links) and repr(family)


CHECKS = (
    check_derivatives, check_newton, check_distribution, check_draws, check_support, check_ends, check_dispersion,
    check_far_hyperparameters, check_words,
)  # fmt: skip


def check_family(family: Family, rng: np.random.Generator) -> None:
    """Run every check, each with an AssertionError for what does not hold."""
    for check in CHECKS:
        check(family, rng)
