"""`geospde.fit`: a formula and data to a `Fit`, by the search of its method."""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError, NumericalError, alert
from geospde.families.base import Family
from geospde.families.delta import delta_of, refuse_formula2
from geospde.families.registry import DEFAULT, names, read_family
from geospde.inference.mode import silent
from geospde.inference.posterior import posterior
from geospde.likelihood.exponential import Exponential
from geospde.likelihood.intervals import likelihood_of
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.notes import notes_on
from geospde.likelihood.refusals import (
    only_smooths,
    perfect_fit,
    refuse_endless,
    refuse_exact,
    refuse_improper,
    refuse_options,
    refuse_perfect,
    refuse_separated,
    without_priors,
)
from geospde.likelihood.search import Maximum, maximum_likelihood
from geospde.likelihood.ubre import least_prediction_error
from geospde.likelihood.vanishing import PERFECT, down_to_zero, fits_perfectly, is_small, no_worse
from geospde.linalg.executor import cluster
from geospde.linalg.threads import one_blas_thread
from geospde.mesh.trimesh import Meshes
from geospde.model.build import Model, build_model
from geospde.model.covariates import with_covariates
from geospde.model.delta import build_delta, refuse_of_delta
from geospde.model.dispersion import with_dispersion
from geospde.model.joint import build_joint
from geospde.model.linearise import linearised_at_mode
from geospde.model.observations import Observations, refuse_beside
from geospde.model.pattern import pattern, refuse_rows
from geospde.model.support import read_support
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.estimates import EstimatedFit
from geospde.results.maximum_likelihood import MaximumLikelihoodFit
from geospde.results.penalised import PenalisedFit
from geospde.results.prior import first_look, with_matched_priors
from geospde.results.saving.schema import Integration, Method, Strategy
from geospde.survey.graphs import warn_of_unused
from geospde.text.keywords import answers_keywords
from geospde.text.progress import Callback
from geospde.text.words import in_brief

Vector = NDArray[np.float64]
LIKELIHOODS = ("ml", "reml")


@answers_keywords
@one_blas_thread()
def fit(
    formula: str | Sequence[Observations],
    data: Any = None,
    *,
    family: str | Family | type[Family] = DEFAULT,
    link: str | None = None,
    mesh: Meshes | None = None,
    coords: tuple[str, str] | None = None,
    exposure: Any = None,
    offset: Any = None,
    weights: Any = None,
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: int = 1,
    priors: Any = "default",
    covariates: Mapping[str, Any] | None = None,
    domain: Any = None,
    areas: str | Mapping[str, Any] | None = None,
    graphs: Mapping[str, Any] | None = None,
    terms: Mapping[str, str] | None = None,
    formula2: str | None = None,
    dispformula: str | None = None,
    callback: Callback | None = None,
    client: Any = None,
) -> Fit:
    """Fit a latent Gaussian model.

    Parameters
    ----------
    formula : str
        ``response ~ fixed effects + terms``; ``p(successes, trials)`` is the response of a binomial,
        ``cens(y, censored)`` has bounds among its values: ``none``, ``left``, ``right`` or ``interval`` (with ``y2``).

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

        Or several likelihoods, a list of `geospde.Observations`, each with a formula, data and family of its own.
    data : DataFrame or GeoDataFrame
        One row per observation. The geometry of a GeoDataFrame places them.
    family : str or Family
        ``"gaussian"`` (hyperparameter ``sigma``), ``"t"`` (``sigma``, ``df``), ``"lognormal"`` (``sigma``), ``"gamma"``
        (``shape``), ``"poisson"``, ``"nbinomial"`` (``size``), ``"zeroinflatedpoisson1"`` (``p0``),
        ``"zeroinflatednbinomial1"`` (``size``, ``p0``), ``"binomial"``, ``"bernoulli"`` or ``"beta"`` (``phi``), as
        R-INLA names and parametrises them; also ``"negbin"``, ``"student"``, ``"zip"``, ``"zinb"``, and those that
        `geospde.families.registry` and the reference on formulas list beside them. Or an object, such
        as ``gs.families.Binomial("probit")``; or a class of one's own, or ``"module:Class"``, where to import it from.
    link : str, optional
        By default the family's own. Of probabilities: ``"logit"``, ``"probit"``, ``"cloglog"``, ``"loglog"`` or
        ``"cauchit"``.
    mesh : Mesh or dict of str to Mesh
        What the formula calls ``mesh``, or several by name.
    coords : (str, str), optional
        Coordinate columns, where the data have no geometry.
    exposure : str or array, optional
        Multiplies the mean of counts (R-INLA's E): a column's name, or one value per row.
    offset : str or array, optional
        Adds to the predictor.
    weights : str or array, optional
        Multiply the log likelihood of each row.
    method : {"inla", "eb", "ml", "reml", "ubre"}
        Integrate over the hyperparameters, or stay at their mode; or, without priors, maximise the likelihood, or the
        restricted likelihood (see `geospde.MaximumLikelihoodFit`), or choose how smooth smooths are by the error of
        prediction: UBRE, or GCV where the dispersion is free (see `geospde.PenalisedFit`).
    integration : {"auto", "grid", "ccd", "adaptive", "eb"}
        How: a reweighted Gauss-Hermite product rule for one or two hyperparameters where it fits, else `adaptive` up to
        eight and a composite design beyond (`auto`); an even grid; a composite design; points added where a Gaussian
        process through them is unsure, for posteriors of any shape (`adaptive`); the mode only.
    strategy : {"auto", "gaussian", "vb", "simplified", "laplace"}
        Latent marginals: Gaussians at the mode; with variationally corrected means; with second-order variances and
        skewness as well, and the evidence corrected; with a Laplace approximation of each marginal in its own right,
        at some twenty factorisations each. `auto` is `vb`, or `simplified` where that makes a difference.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature over the random effects of one group, for ``method="ml"``; 1 is
        Laplace. For Gaussian responses Laplace is exact and is what is taken.
    priors : "default", "brms", "inla" or dict
        From a parameter's name, such as ``"range(spde)"``, to a prior, such as ``{"pc": [100, 0.05]}``. ``"brms"``, or
        the entry ``"defaults": "brms"`` of a dict, gives those that are not named brms's: Student t on the intercept
        (at the covariates' means) and on standard deviations, LKJ(1) on correlations.
    covariates : dict, optional
        Covariates that the data have no column of, by name: a raster (a path, a dataset of rasterio, a DataArray of
        xarray), which is read at the sites and, by ``predict(grid)``, in the cells of a map; or a table of keys,
        ``{"raster": path, "band": 2, "labels": {1: "forest"}, "missing": "nearest", "standardise": True}``,
        ``{"distance_to": "rivers.gpkg"}``, ``{"coordinate": "x"}``.
    domain : polygons, optional
        Of a point pattern, ``family="lgcp"``: where points would have been seen. The formula then needs no response,
        ``"~ 1 + spde(mesh)"``, and covariates are rasters.
    areas : {"mean", "total"} or dict, optional
        Where the rows are polygons: the response is of the mean, or the total, over each. Weighed by a raster, such as
        counts of people, ``{"kind": "mean", "weights": "population.tif"}``.
    graphs : dict, optional
        Which areas are neighbours, by the name that the formula calls it: a GeoDataFrame of polygons (they touch), a
        libpysal Graph, a sparse matrix, a dictionary from each area to its neighbours, or a file, a vector layer or
        R-INLA's graph.
    terms : dict from str to str, optional
        Of several likelihoods: what they share, by the name that their formulas have, as in
        ``{"field": "spde(mesh)"}``; fixed effects, as in ``{"trend": "1 + x"}``, then have one coefficient for all.
    formula2 : str, optional
        Of delta families, such as ``"delta_gamma"``: the predictor of the values above 0, where it is another
        than that of their presence.
    dispformula : str, optional
        ``"~ x"``: fixed effects of the logarithm (of a probability: the logit) of the family's dispersion, such as
        ``sigma`` or ``shape``; of delta families of the values above 0.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each evaluation.
    client : distributed.Client or str, optional
        A Dask cluster whose workers evaluate the points of the hyperparameters, see `geospde.cluster`.

    Returns
    -------
    Fit
        Of ``"inla"`` and ``"eb"`` a `BayesianFit`, of ``"ml"`` and ``"reml"`` a `MaximumLikelihoodFit`, of those with
        smooths and of ``"ubre"`` a `PenalisedFit`.

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
    options: dict[str, Any] = {
        "method": method, "integration": integration, "strategy": strategy, "quadrature": quadrature,
        "callback": callback, "began": began, "client": client, "graphs": graphs,
    }  # fmt: skip
    if not isinstance(formula, str):
        refuse_beside(
            formula, data=data, link=link, coords=coords, exposure=exposure, offset=offset, weights=weights,
            areas=areas, dispformula=dispformula,
        )  # fmt: skip
        if domain is not None:
            raise InputError(
                "domain= is of one point pattern: of several likelihoods a pattern comes as its nodes and "
                "points, as the page on several likelihoods shows"
            )
        joint = build_joint(formula, terms=terms, mesh=mesh, priors=priors, graphs=graphs, covariates=covariates)
        return fit_model(joint, {"formula": joint.formula.text}, **options)
    if (delta := delta_of(family, link)) is not None:
        refuse_of_delta(delta.name, exposure=exposure, weights=weights, domain=domain, areas=areas, terms=terms)
        two = build_delta(
            delta, formula, formula2, data, mesh=mesh, coords=coords, offset=offset, priors=priors, graphs=graphs,
            covariates=covariates, dispformula=dispformula,
        )  # fmt: skip
        return fit_model(two, {"formula": "; ".join(filter(None, (formula, formula2))), "offset": offset}, **options)
    if formula2 is not None:
        refuse_formula2(family)
    if terms is not None:
        raise InputError("terms= is only for several likelihoods: gs.fit([gs.Observations(...), ...], terms=...)")
    places, window, support, known = None, None, None, read_family(family, link)
    if known.is_pattern:
        refuse_rows(known.name, exposure=exposure, offset=offset, weights=weights)
        formula, data, places, exposure, window = pattern(formula, data, domain, mesh, coords, covariates)
    elif domain is not None:
        patterns = ", ".join(names(lambda one: one.is_pattern))
        raise InputError(f"domain= is only for point patterns, family {patterns}, not for {known.name!r}")
    if areas is not None:
        support = read_support(areas, formula, data, known, mesh=mesh, coords=coords, covariates=covariates)
        covariates = None  # taken at its places
    sampled = with_covariates(with_dispersion(formula, dispformula), data, covariates, coords, places)
    exposure, offset, weights = (sampled.rows_of(given) for given in (exposure, offset, weights))
    model = build_model(
        formula, sampled.table, family=known, mesh=mesh, coords=coords, exposure=exposure, offset=offset,
        weights=weights, priors=priors, covariates=sampled.covariates, graphs=graphs, support=support,
        dispformula=dispformula, window=window,
    )  # fmt: skip
    arguments = {
        "formula": formula, "coords": coords,
        "exposure": exposure if isinstance(exposure, str) else None if exposure is None else "given a row",
        "offset": offset if isinstance(offset, str) else None if offset is None else "given a row",
    }  # fmt: skip
    return fit_model(model, arguments, **options)


def fit_model(
    model: Model,
    arguments: Mapping[str, Any],
    *,
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: int = 1,
    callback: Callback | None = None,
    began: float | None = None,
    client: Any = None,
    graphs: Any = None,
) -> Fit:
    """Fit a model that is built; see `fit` for the options.

    Parameters
    ----------
    model : Model
    arguments : mapping
        What it was built from, for the fit's record: ``formula``; ``coords``, ``exposure`` and ``offset`` where given.
    method, integration, strategy, quadrature, callback, client, graphs
        As of `fit`, and as `check_options` and `check_model` let through.
    began : float, optional
        Clock when the fit began; by default now.
    """
    began = perf_counter() if began is None else began
    warn_of_unused(graphs, model.graphs)
    settings = {
        "formula": arguments["formula"], "family": model.family.name, "link": model.family.link.name, "method": method,
        "integration": integration, "strategy": strategy, "quadrature": int(quadrature),
        **{name: arguments.get(name) for name in ("coords", "exposure", "offset", "dispformula")}, **model.beside,
    }  # fmt: skip
    progress = callback or silent
    with one_blas_thread(), cluster(client):
        if model.is_linearised:
            at_mode = settings if method in LIKELIHOODS else {**settings, "method": "eb", "strategy": "gaussian"}
            corrected = method in ("inla", "eb") and strategy != "gaussian"
            model = linearised_at_mode(model, lambda m: fit_by(m, at_mode, began, progress), averaged=corrected)
        return fit_by(model, settings, began, progress)


def fit_by(model: Model, settings: dict[str, Any], began: float, progress: Callback) -> Fit:
    """Fit a model whose predictor is linear, by the method of the settings."""
    if settings["method"] in LIKELIHOODS:
        return fit_likelihood(model, settings, began, progress)
    if settings["method"] == "ubre":
        return fit_smooths(model, settings, began, progress)
    return fit_posterior(model, settings, began, progress)


def fit_posterior(model: Model, settings: dict[str, Any], began: float, progress: Callback) -> BayesianFit:
    """Integrate over the hyperparameters of a model with priors, or stay at their mode.

    Parameters
    ----------
    model : Model
    settings : dict
        Of the fit: `method`, `integration` and `strategy` say how.
    began : float
        Clock when the fit began.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    InputError
        Where the posterior has no integral: separation under flat priors.
    NumericalError
        Where no mode is found.
    """
    model, laplace = with_matched_priors(model)
    rule = "eb" if settings["method"] == "eb" else settings["integration"]
    try:
        found = posterior(laplace, model.start, rule, settings["strategy"], progress, first_look(model))
    except NumericalError:
        refuse_improper(model)
        refuse_exact(model)
        raise
    refuse_improper(model, found.mode.x)
    return BayesianFit(model, laplace, found, settings, seconds=perf_counter() - began)


def check_options(
    method: str = "inla",
    integration: str = "auto",
    strategy: str = "auto",
    quadrature: Any = 1,
    priors: Any = "default",
) -> None:
    """Raise InputError for options that there are not, or that do not go together."""
    for value, choices, what in (
        (method, get_args(Method), "method"),
        (integration, get_args(Integration), "integration"),
        (strategy, get_args(Strategy), "strategy"),
    ):
        if not isinstance(value, str) or value not in choices:
            raise InputError(f"{what} must be one of {', '.join(map(repr, choices))}, not {in_brief(value)}")
    if method in (*LIKELIHOODS, "ubre"):
        refuse_options(method, integration, strategy, quadrature, priors)
    elif not np.array_equal(quadrature, 1):
        raise InputError(f"quadrature other than 1 (Laplace) is only for method 'ml', not {method!r}")


def check_model(model: Model, method: str = "inla", quadrature: int = 1) -> None:
    """Raise InputError for a model that is not for this method."""
    if method in LIKELIHOODS:
        without_priors(model, method, quadrature)
    elif method == "ubre":
        only_smooths(model)


def fit_likelihood(model: Model, settings: dict[str, Any], began: float, progress: Callback) -> EstimatedFit:
    """Fit a model by ML or REML.

    Parameters
    ----------
    model : Model
    settings : dict
        Of the fit: `method` and `quadrature` tell what to maximise.
    began : float
        Clock when the fit began.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    InputError
        Where the data cannot tell the parameters: as many effects as observations, separation, a perfect fit.
    NumericalError
        Where no maximum is found.
    """
    method, points = settings["method"], int(settings["quadrature"])
    unpriored = without_priors(model, method, points)
    searched, back = unpriored.with_fixed_trends() if method == "ml" else (unpriored, None)
    found = _best_maximum(model, unpriored, searched, method, points, progress)
    if back is not None:
        found = found.mapped(back, unpriored.n_fixed)
    refuse_separated(model, found)
    refuse_endless(model, found)
    fit = estimated_fit(model, found, settings, notes_on(model, found), perf_counter() - began)
    for note in fit.notes:
        alert(note)
    return fit


def estimated_fit(
    model: Model, maximum: Maximum, settings: dict[str, Any], notes: tuple[str, ...] = (), seconds: float = 0.0
) -> EstimatedFit:
    """A `PenalisedFit` of a model with smooths, else a `MaximumLikelihoodFit`."""
    smooth = any(term.penalty_scales for term in model.terms) or settings["method"] == "ubre"
    return (PenalisedFit if smooth else MaximumLikelihoodFit)(model, maximum, settings, notes, seconds)


def _best_maximum(
    model: Model, unpriored: Unpriored, searched: Unpriored, method: str, points: int, progress: Callback
) -> Maximum:
    """The maximum, at a residual of zero where the likelihood is bounded there and no larger elsewhere."""
    restricted, found, failed = method == "reml", None, None
    additive = points == 1 and bool(model.terms) and all(term.penalty_scales for term in model.terms)
    try:
        found = _maximum(searched, model.start, restricted, points, progress, additive)
    except NumericalError as error:
        failed = error
    if found is None or is_small(model, found):
        to_zero = down_to_zero(model, searched, restricted)
        if to_zero is None:
            if found is None or is_small(model, found, PERFECT):
                refuse_perfect(model, unpriored)
        else:
            try:
                lowest = _maximum(to_zero, model.start, restricted, points, progress, additive)
            except NumericalError as error:
                failed = failed or error
            else:
                if fits_perfectly(model, searched, lowest, restricted):
                    raise perfect_fit()
                if found is None or no_worse(model, lowest, found):
                    found = lowest
    if found is None:
        refuse_separated(model)
        assert failed is not None
        raise failed
    return found


def _maximum(
    unpriored: Unpriored, start: Vector, restricted: bool, points: int, progress: Callback, additive: bool
) -> Maximum:
    return maximum_likelihood(unpriored, start, restricted, lambda m: likelihood_of(m, points), progress, additive)


def fit_smooths(model: Model, settings: dict[str, Any], began: float, progress: Callback) -> PenalisedFit:
    """Fit a model by UBRE, or GCV where the dispersion is free.

    Parameters
    ----------
    model : Model
    settings : dict
        Of the fit.
    began : float
        Clock when the fit began.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    InputError
        For other families than exponential ones, other terms than smooths and random intercepts, and priors.
    NumericalError
        Where the search does not converge.
    """
    unpriored = only_smooths(model)
    bound = Exponential(model.family, model.likelihood)
    try:
        found = least_prediction_error(unpriored, model.start, bound, progress)
    except NumericalError:
        refuse_perfect(model, unpriored)
        refuse_separated(model)
        raise
    refuse_separated(model, found)
    notes = notes_on(model, found, errors=False)
    fit = PenalisedFit(model, found, settings, notes, perf_counter() - began)
    for note in notes:
        alert(note)
    return fit
