"""`geospde.fit`: a formula and data to a `Fit`."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from geospde.errors import InputError, NumericalError
from geospde.families.base import Family
from geospde.families.registry import DEFAULT
from geospde.inference.integration import posterior
from geospde.inference.mode import silent
from geospde.likelihood.refusals import only_smooths, refuse_improper, refuse_options, without_priors
from geospde.model.build import Model, build_model
from geospde.results.methods import fit_likelihood, fit_smooths, settled
from geospde.results.result import Fit

LIKELIHOODS = ("ml", "reml")
METHODS = ("inla", "eb", "ml", "reml", "ubre")
INTEGRATIONS = ("auto", "grid", "ccd", "eb")
STRATEGIES = ("auto", "gaussian", "vb", "simplified", "laplace")


def fit(
    formula: str,
    data: Any,
    *,
    family: str | Family | type[Family] = DEFAULT,
    link: str | None = None,
    mesh: Any = None,
    coords: tuple[str, str] | None = None,
    exposure: Any = None,
    offset: Any = None,
    weights: Any = None,
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: int = 1,
    priors: Any = "default",
    callback: Callable[[int, int | None, str], None] | None = None,
) -> Fit:
    """Fit a latent Gaussian model.

    Parameters
    ----------
    formula : str
        ``response ~ fixed effects + terms``; ``p(successes, trials)`` is the response of a binomial.

        Fixed effects: columns (backquoted where their names are no words), crossed ``a:b``, ``a*b``, ``(a + b)**2``,
        nested ``a/b``, taken out again ``- a:b``, ``- 1``; ``log``, ``exp``, ``sqrt``, ``abs``, ``I(x**2)``,
        ``scale``, ``center``, ``poly(x, 2)``, ``bs(x, df=5)``, ``ns(x, df=3)``, ``C(x, reference="b")``, with R's
        values, which remember the data of the fit; factors are coded against their first level.

        Groups, as in lme4: ``(1 | g)``, ``(x | g)`` with correlated, ``(x || g)`` with independent effects,
        ``(0 + x | g)``, ``(1 | a/b)`` for a and a:b, ``(1 | a:b)``; ``iid(g)`` is ``(1 | g)``.

        Fields: ``spde(mesh, alpha=2, constr=False, prior_range=(r0, p), prior_sigma=(s0, q))``, a Matérn field with
        the PC prior P(range < r0) = p, P(sigma > s0) = q, or with ``prior="spde2"`` the Gaussian prior of
        `spde2.matern`.

        Smooths: ``s(x, y, bs="gp", k=, m=(kernel, range, power))`` in the eigenbasis of a covariance, and
        ``s(g, bs="re")``, as mgcv has them; ``gp(x, y, by=, k=, c=, cov=, iso=, scale=)``, a Gaussian process, exact
        or with k basis functions a covariate, as brms has it.

        ``offset(log(x))`` adds to the predictor.
    data : DataFrame or GeoDataFrame
        A row an observation. The geometry of a GeoDataFrame places them.
    family : str or Family
        ``"gaussian"`` (hyperparameter ``sigma``), ``"t"`` (``sigma``, ``df``), ``"lognormal"`` (``sigma``), ``"gamma"``
        (``shape``), ``"poisson"``, ``"nbinomial"`` (``size``), ``"zeroinflatedpoisson1"`` (``p0``),
        ``"zeroinflatednbinomial1"`` (``size``, ``p0``), ``"binomial"``, ``"bernoulli"`` or ``"beta"`` (``phi``), as
        R-INLA names and parametrises them; also ``"negbin"``, ``"student"``, ``"zip"``, ``"zinb"``. Or an object, such
        as ``gs.families.Binomial("probit")``; or a class of one's own, or ``"module:Class"``, where to import it from.
    link : str, optional
        By default the family's own. Of probabilities: ``"logit"``, ``"probit"``, ``"cloglog"``, ``"loglog"`` or
        ``"cauchit"``.
    mesh : Mesh or dict of str to Mesh
        What the formula calls ``mesh``, or several by name.
    coords : (str, str), optional
        Coordinate columns, where the data have no geometry.
    exposure : str or array, optional
        Multiplies the mean of counts (R-INLA's E): a column's name, or a value a row.
    offset : str or array, optional
        Adds to the predictor.
    weights : str or array, optional
        Multiply the log likelihood of each row.
    method : {"inla", "eb", "ml", "reml", "ubre"}
        Integrate over the hyperparameters, or stay at their mode; or, without priors, maximise the likelihood, or the
        restricted likelihood (see `geospde.results.maximum_likelihood.LikelihoodFit`), or choose how smooth smooths are
        by the error of prediction: UBRE, or GCV where the dispersion is free (see
        `geospde.results.penalised.SmoothFit`).
    integration : {"auto", "grid", "ccd", "eb"}
        How: a reweighted Gauss-Hermite product rule that falls back on a grid, or a composite design beyond three
        hyperparameters (`auto`); an even grid; a composite design; the mode only.
    strategy : {"auto", "gaussian", "vb", "simplified", "laplace"}
        Latent marginals: Gaussians at the mode; with variationally corrected means; with second-order variances and
        skewness as well, and the evidence corrected; with a Laplace approximation of each marginal in its own right,
        at some twenty factorisations each. `auto` is `vb`, or `simplified` where that makes a difference.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature over the random effects of one group, for ``method="ml"``; 1 is
        Laplace. For Gaussian responses Laplace is exact and is what is taken.
    priors : "default", "brms" or dict
        From a parameter's name, such as ``"range(spde)"``, to a prior, such as ``{"pc": [100, 0.05]}``. ``"brms"``, or
        the entry ``"defaults": "brms"`` of a dict, gives those that are not named brms's: Student t on the intercept
        (at the covariates' means) and on standard deviations, LKJ(1) on correlations.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each evaluation.

    Returns
    -------
    Fit
        Of ``"ml"`` and ``"reml"`` a `LikelihoodFit`, of ``"ubre"`` a `SmoothFit`.

    Raises
    ------
    InputError
        For data, a formula or an option that does not fit; it names the row, column or term.
    NumericalError
        Where no mode is found or a matrix is not positive definite; it names the hyperparameters.

    References
    ----------
    Rue, Martino & Chopin (2009), J. R. Statist. Soc. B 71, 319-392.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> list(fit.hyper.index)
    ['range(spde)', 'sigma(spde)', 'kappa(spde)', 'tau(spde)']
    """
    check_options(method, integration, strategy, quadrature, priors)
    began = perf_counter()
    model = build_model(
        formula, data, family=family, link=link, mesh=mesh, coords=coords, exposure=exposure, offset=offset,
        weights=weights, priors=priors,
    )  # fmt: skip
    arguments = {
        "formula": formula, "coords": coords,
        "exposure": exposure if isinstance(exposure, str) else None if exposure is None else "given a row",
        "offset": offset if isinstance(offset, str) else None if offset is None else "given a row",
    }  # fmt: skip
    return fit_model(
        model, arguments, method=method, integration=integration, strategy=strategy, quadrature=quadrature,
        callback=callback, began=began,
    )  # fmt: skip


def fit_model(
    model: Model,
    arguments: Mapping[str, Any],
    *,
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: int = 1,
    callback: Callable[[int, int | None, str], None] | None = None,
    began: float | None = None,
) -> Fit:
    """Fit a model that is built; see `fit` for the options.

    Parameters
    ----------
    model : Model
    arguments : mapping
        What it was built from, for the fit's own record: ``formula``, and ``coords``, ``exposure`` and ``offset`` where
        they were given.
    method, integration, strategy, quadrature, callback
        As of `fit`, and as `check_options` and `check_model` let through.
    began : float, optional
        Clock when the fit began; by default now.
    """
    began = perf_counter() if began is None else began
    settings = {
        "formula": arguments["formula"], "family": model.family.name, "link": model.family.link.name, "method": method,
        "integration": integration, "strategy": strategy, "quadrature": int(quadrature),
        **{name: arguments.get(name) for name in ("coords", "exposure", "offset")},
    }  # fmt: skip
    progress = callback or silent
    if method in LIKELIHOODS:
        return fit_likelihood(model, settings, began, progress)
    if method == "ubre":
        return fit_smooths(model, settings, began, progress)
    model, laplace = settled(model)
    rule = "eb" if method == "eb" else integration
    try:
        found = posterior(laplace, model.start, rule, strategy=strategy, progress=progress)
    except NumericalError:
        refuse_improper(model)
        raise
    refuse_improper(model, found.mode.x)
    return Fit(model, laplace, found, settings, seconds=perf_counter() - began)


def check_options(
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: Any = 1,
    priors: Any = "default",
) -> None:
    """Raise InputError for options that there are not, or that do not go together."""
    for value, choices, what in (
        (method, METHODS, "method"),
        (integration, INTEGRATIONS, "integration"),
        (strategy, STRATEGIES, "strategy"),
    ):
        if value not in choices:
            raise InputError(f"{what} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    if method in (*LIKELIHOODS, "ubre"):
        refuse_options(method, integration, strategy, quadrature, priors)
    elif quadrature != 1:
        raise InputError(f"quadrature other than 1 (Laplace) is of method 'ml', not {method!r}")


def check_model(model: Any, method: str = "inla", quadrature: int = 1) -> None:
    """Raise InputError for a model that is not for this method."""
    if method in LIKELIHOODS:
        without_priors(model, method, quadrature)
    elif method == "ubre":
        only_smooths(model)
