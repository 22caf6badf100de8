"""Every family against scipy.stats, its own derivatives against central differences, its priors against integrals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit

from geospde.errors import InputError
from geospde.families.counts.shared import poisson_variates
from geospde.families.links import LINKS, PROBABILITY_LINKS
from geospde.families.pc import PCDf, PCSize
from geospde.families.priors import GammaPositive, Gaussian, LogGamma, LogitBeta, prior_by_name
from geospde.families.registry import ALIASES, FAMILIES, family_by_name

FIRST = (
    "gaussian", "t", "lognormal", "gamma", "poisson", "nbinomial", "zeroinflatedpoisson1", "zeroinflatednbinomial1",
    "binomial", "bernoulli", "beta",
)  # fmt: skip
# of links that densities are written in; test_links.py has what follows from them, test_further_families.py others
CASES = [
    (name, link.name) for name in FIRST for link in FAMILIES[name].links
    if FAMILIES[name].natural_link in (None, FAMILIES[name](link.name).link)
]  # fmt: skip
EXTRA = {"exposure": {"poisson", "nbinomial", "zeroinflatedpoisson1", "zeroinflatednbinomial1"}}


def frozen(name, link, theta, eta, exposure, trials):
    """The same law in scipy.stats, and the probability of a zero that is no count."""
    mean = LINKS[link].inverse(eta)
    if name == "gaussian":
        return stats.norm(eta, np.exp(theta[0]))
    if name == "t":
        df = 2 + np.exp(theta[1])
        return stats.t(df, eta, np.exp(theta[0]) * np.sqrt((df - 2) / df))
    if name == "lognormal":
        return stats.lognorm(np.exp(theta[0]), scale=np.exp(eta))
    if name == "gamma":
        return stats.gamma(np.exp(theta[0]), scale=mean / np.exp(theta[0]))
    if name in ("poisson", "zeroinflatedpoisson1"):
        return stats.poisson(exposure * mean)
    if name in ("nbinomial", "zeroinflatednbinomial1"):
        size = np.exp(theta[0])
        return stats.nbinom(size, size / (size + exposure * mean))
    if name in ("binomial", "bernoulli"):
        return stats.binom(trials, mean)
    phi = np.exp(theta[0])
    return stats.beta(mean * phi, (1 - mean) * phi)


def responses(name, rng, m):
    """Values across the family's support."""
    if name in ("gaussian", "t"):
        return rng.normal(0, 3, m)
    if name in ("lognormal", "gamma"):
        return np.exp(rng.normal(0, 2, m))
    if name == "beta":
        return np.clip(rng.beta(0.5, 0.5, m), 1e-6, 1 - 1e-6)
    if name == "bernoulli":
        return rng.integers(0, 2, m).astype(float)
    if name == "binomial":
        return rng.integers(0, 6, m).astype(float)
    return np.where(rng.uniform(size=m) < 0.4, 0, rng.integers(0, 40, m)).astype(float)


def bound(name, link, rng, m=6, weights=None):
    """A family bound to responses of its own, with exposures or trials where it has them."""
    y = responses(name, rng, m)
    exposure = rng.uniform(0.3, 4, m) if name in EXTRA["exposure"] else None
    trials = y + rng.integers(0, 5, m) + (y == 0) if name == "binomial" else None
    return family_by_name(name, link).bind(y, exposure=exposure, trials=trials, weights=weights)


@pytest.mark.parametrize(("name", "link"), CASES)
def test_density_and_distribution_are_scipys(name, link):
    rng = np.random.default_rng(4)
    for _ in range(20):
        likelihood = bound(name, link, rng)
        theta = rng.normal(0, 1, len(likelihood.parameters))
        likelihood = likelihood.at(theta)
        eta = rng.normal(0, 1, likelihood.n)
        law = frozen(name, link, theta, eta, likelihood.exposure, likelihood.trials)
        y = likelihood.y
        if name.startswith("zero"):
            p0 = expit(theta[-1])
            density, cdf = np.log(p0 * (y == 0) + (1 - p0) * law.pmf(y)), p0 + (1 - p0) * law.cdf(y)
        else:
            density = law.logpmf(y) if hasattr(law.dist, "pmf") else law.logpdf(y)
            cdf = law.cdf(y)
        np.testing.assert_allclose(likelihood.log_density(eta), density, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(likelihood.cdf(eta), cdf, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(likelihood.user(theta), [h.transform(t) for h, t in zip(likelihood.hyper, theta)])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "link"), CASES)
def test_densities_sum_to_one(name, link):
    family = family_by_name(name, link)
    k = len(family.likelihood.hyper)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        theta, eta = rng.normal(0, 0.7, k), float(rng.normal(0, 0.7))

        def density(y, theta=theta, eta=eta):
            y = np.atleast_1d(y)
            trials = np.full(y.size, 7.0) if name == "binomial" else None
            return np.exp(family.bind(y, trials=trials).at(theta).log_density(np.full(y.size, eta)))

        top = {"binomial": 7, "bernoulli": 1}.get(name, 4000)
        if name in EXTRA["exposure"] or name in ("binomial", "bernoulli"):
            total = density(np.arange(top + 1.0)).sum()
        else:
            ends = {"gaussian": (-60, 60), "t": (-4000, 4000), "beta": (1e-12, 1 - 1e-12)}.get(name, (1e-12, 4000))
            middle = 0.5 if name == "beta" else eta if name in ("gaussian", "t") else 1.0
            points = sorted({middle, *(middle + s for s in (-30, -5, -1, 1, 5, 30, 300))})
            cuts = [ends[0], *(p for p in points if ends[0] < p < ends[1]), ends[1]]
            total = sum(quad(lambda y: density(y)[0], a, b, limit=200)[0] for a, b in zip(cuts[:-1], cuts[1:]))
        # a beta with an infinite density at its ends leaves out 1e-12 ** a there
        assert total == pytest.approx(1.0, abs=1e-3 if name == "beta" else 1e-6)


def slope(function, x, step=1e-4):
    """Fourth-order central difference."""
    return (8 * (function(x + step) - function(x - step)) - function(x + 2 * step) + function(x - 2 * step)) / (
        12 * step
    )


@pytest.mark.parametrize(("name", "link"), CASES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_derivatives_in_eta_and_theta_are_those_of_the_log_density(name, link, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    likelihood = bound(name, link, rng, weights=rng.uniform(0.2, 2, 6))
    k = len(likelihood.parameters)
    theta = np.array([data.draw(st.floats(-2.5, 4)) for _ in range(k)])
    reach = 2.0 if link in ("cloglog", "loglog") else 3.5  # beyond it log p runs to -exp(eta)
    eta = rng.uniform(-reach, reach, likelihood.n)
    here = likelihood.at(theta)

    def close(exact, numeric, of):
        # the differences lose what rounding takes from the function, over the step
        scale = np.abs(of).max() + np.abs(exact).max() + 1
        np.testing.assert_allclose(exact, numeric, rtol=2e-6, atol=1e-8 * scale)

    exact = here.derivatives(eta)
    for order, derivative in enumerate(exact):
        lower = here.log_density if order == 0 else (lambda e, o=order: here.derivatives(e)[o - 1])
        close(derivative, slope(lower, eta), lower(eta))
    of_theta = here.theta_derivatives(eta)
    assert all(part.shape == (k, likelihood.n) for part in of_theta)
    for j in range(k):
        for order in range(3):

            def along(t, j=j, order=order):
                moved = likelihood.at(np.where(np.arange(k) == j, t, theta))
                return moved.log_density(eta) if order == 0 else moved.derivatives(eta)[order - 1]

            close(of_theta[order][j], slope(along, theta[j]), along(theta[j]))


@pytest.mark.parametrize(("name", "link"), CASES)
def test_newton_weights_are_the_information_where_it_is_positive_and_never_negative(name, link):
    rng = np.random.default_rng(12)
    for _ in range(20):
        likelihood = bound(name, link, rng, weights=rng.uniform(0.2, 2, 6))
        likelihood = likelihood.at(rng.normal(0, 1, len(likelihood.parameters)))
        eta = rng.normal(0, 3, likelihood.n)
        second = likelihood.derivatives(eta)[1]
        weights = likelihood.newton_weights(eta, second)
        assert (weights >= 0).all()
        np.testing.assert_array_equal(weights[second <= 0], -second[second <= 0])
        if name in ("t", "beta") or link == "cauchit":
            assert (weights > 0).all()


@pytest.mark.parametrize("link", PROBABILITY_LINKS, ids=lambda link: link.name)
@pytest.mark.parametrize("family", ["bernoulli", "beta"])
def test_far_tails_are_finite_without_warnings(link, family):
    eta = np.array([-40.0, -12.0, 12.0, 40.0])
    y = np.array([1.0, 0.0, 1.0, 0.0]) if family == "bernoulli" else np.array([0.9, 0.1, 0.5, 0.3])
    likelihood = family_by_name(family, link.name).bind(y)
    likelihood = likelihood.at(np.zeros(len(likelihood.parameters)))
    with np.errstate(all="raise", under="ignore"):
        parts = [likelihood.log_density(eta), *likelihood.derivatives(eta), *likelihood.theta_derivatives(eta)]
        parts += [likelihood.cdf(eta), likelihood.newton_weights(eta, parts[2])]
    assert all(np.isfinite(part).all() for part in parts)


def test_probit_and_cloglog_keep_their_digits_in_the_tails():
    # -40: log Phi and the inverse Mills ratio by their continued fractions
    eta = np.array([-40.0])
    value, first, second, third = (v[0] for v in LINKS["probit"].log_probability(eta))
    x, ratio = 40.0, 40.0
    for k in range(60, 0, -1):
        ratio = x + k / ratio
    assert first == pytest.approx(ratio, rel=1e-13)
    assert value == pytest.approx(-0.5 * x**2 - 0.5 * np.log(2 * np.pi) - np.log(ratio), rel=1e-13)
    assert second == pytest.approx(-1 + 1 / x**2 - 6 / x**4, abs=1e-7)
    assert third == pytest.approx(2 / x**3, rel=0.02)
    # log(1 - exp(-u)) = log u - u/2 + ... for a small u
    u = np.exp(-30.0)
    ours = [v[0] for v in LINKS["cloglog"].log_probability(np.array([-30.0]))]
    np.testing.assert_allclose(ours, [-30 - u / 2, 1, -u / 2, -u / 2], rtol=1e-12)


@pytest.mark.parametrize("link", LINKS.values(), ids=lambda link: link.name)
def test_links_are_inverse_to_themselves_and_know_their_derivative(link):
    eta = np.linspace(-2, 2, 41)
    eta = eta[eta > link.least + 0.01]
    np.testing.assert_allclose(link.forward(link.inverse(eta)), eta, atol=1e-12)
    sign = -1 if link.falls else 1
    np.testing.assert_allclose(np.exp(link.log_derivative(eta)), sign * slope(link.inverse, eta), rtol=1e-8)
    if np.isfinite(link.low):
        np.testing.assert_array_equal(link.forward(np.array([link.low, link.low - 1])), -np.inf)
    if np.isfinite(link.high):
        np.testing.assert_array_equal(link.forward(np.array([link.high, link.high + 1])), np.inf)
    assert np.isnan(link.forward(np.nan))


def test_a_large_size_is_the_poisson_and_many_degrees_of_freedom_the_gaussian():
    y, eta = np.array([0.0, 3.0, 400.0]), np.array([0.2, 1.0, 6.0])
    poisson = family_by_name("poisson").bind(y)
    for log_size in (11.4, 11.6, 20.0, 60.0):  # on both sides of the change to Stirling's series
        many = family_by_name("nbinomial").bind(y).at(np.array([log_size]))
        gap = 1e6 * np.exp(-log_size) + 1e-9
        np.testing.assert_allclose(many.log_density(eta), poisson.log_density(eta), atol=gap)
        for ours, theirs in zip(many.derivatives(eta), poisson.derivatives(eta)):
            np.testing.assert_allclose(ours, theirs, atol=gap * 400)
        assert np.abs(many.theta_derivatives(eta)[0]).max() < gap
    gaussian = family_by_name("gaussian").bind(y).at(np.array([4.0]))
    for log_df in (6.8, 7.0, 20.0, 40.0):  # on both sides of the change to a series
        t = family_by_name("t").bind(y).at(np.array([4.0, log_df]))
        gap = 1e4 * np.exp(-log_df) + 1e-6
        np.testing.assert_allclose(t.log_density(eta), gaussian.log_density(eta), atol=gap)
        assert np.abs(t.theta_derivatives(eta)[0][1]).max() < 1e4 * np.exp(-log_df) + 1e-9


@pytest.mark.parametrize(
    "name, good, bad",
    [
        ("poisson", 3.0, [-1.0, 2.5, np.nan, np.inf]),
        ("nbinomial", 3.0, [-1.0, 2.5, np.nan, np.inf]),
        ("zeroinflatedpoisson1", 3.0, [-1.0, 2.5]),
        ("zeroinflatednbinomial1", 3.0, [-1.0, 2.5]),
        ("gaussian", -3.0, [np.nan, np.inf]),
        ("t", -3.0, [np.nan]),
        ("lognormal", 3.0, [0.0, -1.0, np.inf]),
        ("gamma", 3.0, [0.0, -1.0, np.inf]),
        ("beta", 0.5, [0.0, 1.0, 1.2, np.nan]),
        ("bernoulli", 1.0, [2.0, 0.5, -1.0]),
        ("binomial", 1.0, [1.5, -1.0]),
    ],
)
def test_what_is_outside_of_the_support_is_refused_by_row_and_value(name, good, bad):
    for value in bad:
        with pytest.raises(InputError, match=f"{name}.*row 1 holds {value:g}"):
            family_by_name(name).bind([good, value])


def test_trials_and_exposures_are_refused_where_there_are_none():
    binomial = family_by_name("binomial")
    with pytest.raises(InputError, match="row 1 holds 5 of 4"):
        binomial.bind([2.0, 5.0], trials=[3, 4])
    with pytest.raises(InputError, match=r"row 0 holds 5 of 1; is it p\(successes, trials\)"):
        binomial.bind([5.0, 0.0])
    with pytest.raises(InputError, match="trials 1, 2, ...: row 1 holds 0"):
        binomial.bind([1.0, 0.0], trials=[2, 0])
    with pytest.raises(InputError, match="family 'binomial', not of 'poisson'"):
        family_by_name("poisson").bind([1.0], trials=[2])
    for name in FIRST:
        family, y = FAMILIES[name], [0.5] if name == "beta" else [1.0]
        if family.has_exposure:
            family().bind(y, exposure=[2.0])
        else:
            with pytest.raises(InputError, match=f"{name}.*has no exposure"):
                family().bind(y, exposure=[2.0])


def test_names_aliases_and_links():
    for alias, name in ALIASES.items():
        assert family_by_name(alias.upper()).name == name
    assert family_by_name("Student_t").name == "t"
    with pytest.raises(InputError, match="did you mean 'poisson'"):
        family_by_name("poison")
    with pytest.raises(InputError, match="'log', not 'identity'"):
        family_by_name("nbinomial1", "identity")
    with pytest.raises(InputError, match="'probit'"):
        family_by_name("binomial", "log")


def test_hyperparameters_that_overflow_are_refused():
    with pytest.raises(FloatingPointError):
        family_by_name("gaussian").bind([1.0]).at(np.array([-400.0]))


PRIORS = [GammaPositive(1, 0.01), GammaPositive(1, 0.1), LogGamma(1, 5e-5), PCSize(7.0), PCDf(15.0, 0.5),
          Gaussian(-1.0, 0.2, "logit"), LogitBeta(2, 3)]  # fmt: skip


@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: p.describe())
def test_priors_integrate_to_one_and_know_their_gradient(prior):
    def log_density(x):
        return float(prior.log_density(np.array([x])))

    steps = range(-80, 80, 4)
    total = sum(quad(lambda x: np.exp(log_density(x)), a, a + 4, limit=200)[0] for a in steps)
    assert total == pytest.approx(1.0, abs=1e-7)
    for x in np.linspace(-6, 12, 37):
        gradient = prior.gradient(np.array([x]))[0]
        assert gradient == pytest.approx(slope(log_density, x, 1e-3), rel=1e-5, abs=1e-7)


@pytest.mark.slow
def test_pc_prior_of_the_degrees_of_freedom_is_exponential_in_the_distance():
    prior = PCDf(15.0, 0.5)
    below = quad(lambda x: np.exp(prior.log_density(np.array([x]))), -600, -20, limit=400)[0]
    below += quad(lambda x: np.exp(prior.log_density(np.array([x]))), -20, np.log(13), limit=400)[0]
    assert below == pytest.approx(0.5, abs=1e-6)
    for df in (2.3, 7.0, 50.0, 70.0):
        law = stats.t(df, scale=np.sqrt((df - 2) / df))

        def excess(y, law=law):
            return law.pdf(y) * (law.logpdf(y) - stats.norm.logpdf(y))

        kld = 2 * quad(excess, 0, np.inf, limit=1000)[0]
        assert prior._divergence(np.log(df - 2))[0] == pytest.approx(kld, rel=1e-5)


def test_pc_prior_of_the_size_is_r_inlas():
    # inla.pc.dgamma(x, lambda) is the density of the variance x = 1 / size
    from scipy.special import digamma, polygamma

    for size in (0.4, 3.0, 49.0, 51.0, 4000.0):
        d = np.sqrt(2 * (np.log(size) - digamma(size)))
        log_density = np.log(7.0) - 7 * d - np.log(d) + 2 * np.log(size) + np.log(polygamma(1, size) - 1 / size)
        ours = PCSize(7.0).log_density(np.log([size]))
        assert ours == pytest.approx(log_density - np.log(size), abs=1e-7)


def test_priors_by_name_know_what_they_are_of():
    assert prior_by_name("pc", (15, 0.5), "df") == PCDf(15.0, 0.5)
    assert prior_by_name("pc", (7,), "size") == PCSize(7.0)
    assert prior_by_name("gaussian", (-1, 0.2), "probability").describe().startswith("Gaussian on the logit scale")
    with pytest.raises(InputError, match="no prior 'pc' for a shape"):
        prior_by_name("pc", (1,), "shape")
    for bad in (lambda: PCDf(1.5, 0.5), lambda: PCSize(0.0), lambda: GammaPositive(1, 0), lambda: LogitBeta(0, 1)):
        with pytest.raises(InputError):
            bad()


def test_poisson_variates_have_any_mean():
    mean = np.repeat([3.0, 1e14, 1e18, 1e40], 2000)
    drawn = poisson_variates(mean, np.random.default_rng(1)).reshape(4, -1)
    z = (drawn.mean(axis=1) - mean[::2000]) / np.sqrt(mean[::2000] / 2000)
    assert (np.abs(z[:3]) < 4).all()  # standard normal
    np.testing.assert_allclose(drawn[3], 1e40, rtol=1e-14)
    np.testing.assert_allclose(drawn[:3].var(axis=1), mean[:6000:2000], rtol=0.2)  # six standard errors of a variance
