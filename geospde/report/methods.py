"""The methods paragraph of a report: what was done, written from the fit's own settings, with what to cite."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from geospde import __version__
from geospde.families.base import Family
from geospde.families.registry import family_by_name
from geospde.mesh.trimesh import Mesh
from geospde.prediction.grid import Grid
from geospde.prediction.layers import Layers
from geospde.report.page import shown
from geospde.report.summaries import priors_once
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs, unit_of
from geospde.text.rates import with_article
from geospde.text.words import counted, in_unit, joined


class Reference(NamedTuple):
    """What a sentence cites."""

    short: str
    full: str
    doi: str = ""


_WORKS = {
    "inla": Reference(
        "Rue, Martino & Chopin 2009",
        "Rue H, Martino S, Chopin N (2009). Approximate Bayesian inference for latent Gaussian models by using "
        "integrated nested Laplace approximations. Journal of the Royal Statistical Society B 71, 319–392.",
        "10.1111/j.1467-9868.2008.00700.x",
    ),
    "spde": Reference(
        "Lindgren, Rue & Lindström 2011",
        "Lindgren F, Rue H, Lindström J (2011). An explicit link between Gaussian fields and Gaussian Markov random "
        "fields: the stochastic partial differential equation approach. Journal of the Royal Statistical Society B "
        "73, 423–498.",
        "10.1111/j.1467-9868.2011.00777.x",
    ),
    "rational": Reference(
        "Bolin, Simas & Xiong 2024",
        "Bolin D, Simas AB, Xiong Z (2024). Covariance-based rational approximations of fractional SPDEs for "
        "computationally efficient Bayesian inference. Journal of Computational and Graphical Statistics 33, 64–74.",
        "10.1080/10618600.2023.2231051",
    ),
    "anisotropy": Reference(
        "Fuglstad et al. 2015",
        "Fuglstad GA, Lindgren F, Simpson D, Rue H (2015). Exploring a new class of non-stationary spatial Gaussian "
        "random fields with varying local anisotropy. Statistica Sinica 25, 115–133.",
        "10.5705/ss.2013.106w",
    ),
    "barrier": Reference(
        "Bakka et al. 2019",
        "Bakka H, Vanhatalo J, Illian JB, Simpson D, Rue H (2019). Non-stationary Gaussian models with physical "
        "barriers. Spatial Statistics 29, 268–288.",
        "10.1016/j.spasta.2019.01.002",
    ),
    "pc": Reference(
        "Simpson et al. 2017",
        "Simpson D, Rue H, Riebler A, Martins TG, Sørbye SH (2017). Penalising model component complexity: a "
        "principled, practical approach to constructing priors. Statistical Science 32, 1–28.",
        "10.1214/16-STS576",
    ),
    "pcfield": Reference(
        "Fuglstad et al. 2019",
        "Fuglstad GA, Simpson D, Lindgren F, Rue H (2019). Constructing priors that penalize the complexity of "
        "Gaussian random fields. Journal of the American Statistical Association 114, 445–452.",
        "10.1080/01621459.2017.1415907",
    ),
    "vb": Reference(
        "van Niekerk & Rue 2024",
        "van Niekerk J, Rue H (2024). Low-rank variational Bayes correction to the Laplace method. Journal of Machine "
        "Learning Research 25 (62).",
    ),
    "order2": Reference(
        "Shun & McCullagh 1995",
        "Shun Z, McCullagh P (1995). Laplace approximation of high dimensional integrals. Journal of the Royal "
        "Statistical Society B 57, 749–760.",
    ),
    "dic": Reference(
        "Spiegelhalter et al. 2002",
        "Spiegelhalter DJ, Best NG, Carlin BP, van der Linde A (2002). Bayesian measures of model complexity and fit. "
        "Journal of the Royal Statistical Society B 64, 583–639.",
        "10.1111/1467-9868.00353",
    ),
    "waic": Reference(
        "Watanabe 2010",
        "Watanabe S (2010). Asymptotic equivalence of Bayes cross validation and widely applicable information "
        "criterion in singular learning theory. Journal of Machine Learning Research 11, 3571–3594.",
    ),
    "loo": Reference(
        "Vehtari, Gelman & Gabry 2017",
        "Vehtari A, Gelman A, Gabry J (2017). Practical Bayesian model evaluation using leave-one-out "
        "cross-validation and WAIC. Statistics and Computing 27, 1413–1432.",
        "10.1007/s11222-016-9696-4",
    ),
}


class Methods:
    """A paragraph with its references, sentence by sentence.

    Parameters
    ----------
    mesh, fit, prediction : optional
        What there is to tell of.
    label : str
        What is predicted, in words.
    settings : mapping
        The run file, by section: the mesh's settings are taken from it.
    """

    def __init__(
        self, mesh: Mesh | None, fit: Fit | None, prediction: Layers | None, label: str, settings: Mapping[str, Any]
    ):
        self.sentences: list[str] = []
        self.cited: dict[str, Reference] = {}
        if fit is not None:
            facts = fit.describe()
            self._model(fit, facts)
            self._covariates(fit, prediction)
            terms = getattr(getattr(fit, "model", None), "terms", ())
            said = [each for term in terms for each in term.method_sentences(len(terms) > 1)]
            for sentence in dict.fromkeys(said):  # likelihoods may have terms of one name, each its own
                self._say(re.sub(r"\{(\w+)\}", lambda found: self._cite(found[1]), sentence))
            if mesh is not None and "spde(" in fit.formula:
                self._mesh(mesh, settings.get("mesh") or {})
            self._priors(fit, facts)
            self._inference(fit, facts)
            self._criteria(fit)
        if prediction is not None and prediction.grid is not None:
            self._prediction(prediction, prediction.grid, label, fit)
        if self.sentences:
            self.sentences.append(f"All was computed with geospde {__version__}.")

    @property
    def references(self) -> list[Reference]:
        """What was cited, by author."""
        return sorted(self.cited.values(), key=lambda work: work.full.casefold())

    def _say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def _cite(self, work: str) -> str:
        self.cited[work] = _WORKS[work]
        return _WORKS[work].short

    def _model(self, fit: Fit, facts: Mapping[str, Any]) -> None:
        parts = getattr(getattr(fit, "model", None), "parts", {})
        if parts:
            self._parts(fit, parts)
            return
        family = _family(fit)
        likelihood = family.words or f"{_a(family.name)} {family.name}"
        link = f" and {_a(facts['link'])} {facts['link']} link" if facts.get("link") else ""
        rows = facts.get("observations")
        of = f" of {counted(int(rows), 'observation')}" if rows else ""
        exposure = facts.get("exposure")
        times = "" if not exposure else f", the mean multiplied by the exposure ({exposure})"
        self._say(f"The model{of} is {fit.formula}, with {likelihood} likelihood{link}{times}.")

    def _parts(self, fit: Fit, parts: Mapping[str, Any]) -> None:
        each = [
            f"{name}, {one.family.words or f'{_a(one.family.name)} {one.family.name}'} likelihood and "
            f"{_a(one.family.link.name)} {one.family.link.name} link "
            f"({counted(int(one.likelihood.n), 'observation')})"
            for name, one in parts.items()
        ]
        self._say(f"The model is {fit.formula}, with {counted(len(parts), 'likelihood')}: {'; '.join(each)}.")
        labels = [term.label for term in fit.model.terms]
        twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
        if twice:
            self._say(f"Each has {joined(twice)} of its own.")
        if fit.model.multiplies:
            self._say("What is predicted is the product of their means.")

    def _covariates(self, fit: Fit, prediction: Layers | None) -> None:
        covariates = getattr(getattr(fit, "model", None), "covariates", None)
        if covariates is None:
            return
        grid = getattr(prediction, "grid", None)
        for one in covariates.covariates:
            said = f"The covariate {one.name} comes from {one.source}: at the sites {one.method(None, fit.model.crs)}"
            said += f", on the map {one.method(grid.cells, fit.model.crs)}" if grid is not None else ""
            self._say(f"{said}{', standardised' if one.standardise else ''}.")

    def _mesh(self, mesh: Mesh, settings: Mapping[str, Any]) -> None:
        size = f"{counted(len(mesh.vertices), 'vertex', 'vertices')} and {counted(len(mesh.triangles), 'triangle')}"
        keys = "; ".join(f"{key} {shown(value)}" for key, value in settings.items() if value is not None)
        unit = unit_of(None if mesh.crs is None else parse_crs(mesh.crs))
        lengths = f", lengths in {unit}" if unit else ""
        self._say(f"The mesh has {size}" + (f" (settings: {keys}{lengths})." if keys else "."))

    def _priors(self, fit: Fit, facts: Mapping[str, Any]) -> None:
        priors = facts.get("priors")
        if isinstance(priors, Mapping) and priors:
            said = "; ".join(f"{joined(names)}, {text}" for names, text in priors_once(priors))
            works = []
            if "PC" in said:
                works = [self._cite("pc")]
                works += [self._cite("pcfield")] if "P(range" in said else []
            said = re.sub(r"(?<=[\s(])-(?=\d)", "\N{MINUS SIGN}", said)
            self._say(f"Priors of hyperparameters: {said}" + (f" ({'; '.join(works)})." if works else "."))
        model = getattr(fit, "model", None)
        precision = getattr(model, "fixed_precision", ())
        flat = [name for name, p in zip(getattr(getattr(model, "effects", None), "names", ()), precision) if p == 0]
        if flat:
            self._say("Fixed effects have flat priors." if len(flat) == len(precision) else f"{joined(flat)}: flat.")

    def _inference(self, fit: Fit, facts: Mapping[str, Any]) -> None:
        method = facts.get("method")
        if method not in ("inla", "eb"):
            named = {"ml": "maximum likelihood", "reml": "restricted maximum likelihood"}.get(str(method))
            if named:
                self._say(f"It was fitted by {named}.")
            return
        self._say(f"It was fitted by integrated nested Laplace approximation ({self._cite('inla')}).")
        if len(fit.hyper):
            points = facts.get("theta points")
            if method == "eb" or facts.get("integration") == "eb":
                self._say("The hyperparameters are at their posterior mode.")
            elif points:
                of_hyper = getattr(getattr(getattr(fit, "posterior", None), "hyper", None), "residual", None)
                rule = getattr(of_hyper, "rule", "")
                how = f": {rule}" if rule else ""
                self._say(f"The hyperparameters were integrated over {counted(int(points), 'point')}{how}.")
        strategy = getattr(getattr(fit, "posterior", None), "strategy", facts.get("strategy"))
        if strategy == "gaussian":
            self._say("Latent marginals are Gaussian about the modes.")
        elif strategy == "vb":
            self._say(f"Latent marginals are Gaussian, with variationally corrected means ({self._cite('vb')}).")
        elif strategy == "simplified":
            works = f"{self._cite('vb')}; {self._cite('order2')}"
            self._say(f"Latent marginals and the evidence are corrected to the second order ({works}).")
        elif strategy == "laplace":
            self._say(f"Each latent marginal has a Laplace approximation of its own ({self._cite('inla')}).")

    def _criteria(self, fit: Fit) -> None:
        named = [("dic", "DIC", "dic"), ("waic", "WAIC", "waic"), ("elpd_loo", "leave-one-out densities", "loo")]
        said = [f"{words} ({self._cite(work)})" for key, words, work in named if fit.criteria.get(key) is not None]
        if said:
            self._say(f"Models can be compared by {joined(said)}.")

    def _prediction(self, prediction: Layers, grid: Grid, label: str, fit: Fit | None) -> None:
        unit = unit_of(None if prediction.crs is None else parse_crs(prediction.crs))
        self._say(
            f"Predictions are for the centres of {counted(grid.n, 'cell')} of {in_unit(grid.dx, '')} by "
            f"{in_unit(grid.dy, unit)}; limits are pointwise quantiles of the posterior of {with_article(label)}."
        )
        if fit is not None and _family(fit).fitted_is:
            self._say(f"They are of {_family(fit).fitted_is}.")


def _family(fit: Fit) -> Family:
    """The family of a fit, or of what stands for one without its model."""
    family = getattr(getattr(fit, "model", None), "family", None)
    return family if isinstance(family, Family) else family_by_name(fit.family)


def _a(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"
