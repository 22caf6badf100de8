"""`FitState`: what a fit is made of, as tables, effects, draws and pictures read it."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.combinations import mixture_of
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.marginals import Marginal, marginal_of_mixture
from geospde.inference.mixture import GaussianMixture
from geospde.likelihood.spread import Spread
from geospde.model.build import Model
from geospde.terms.rows import MovingRows
from geospde.text.keywords import answers_keywords
from geospde.text.words import in_brief, nearest

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

Vector = NDArray[np.float64]
if TYPE_CHECKING:
    Rows = Any
else:
    Rows = sp.csr_matrix | sp.csr_array | MovingRows
LEVELS = (0.025, 0.5, 0.975)


@answers_keywords
class FitState(ABC):
    """A model, the Gaussian approximations of its latent vector, and how the fit was made.

    Attributes
    ----------
    model : Model
    laplace : Laplace
    approximation : Posterior
        Gaussians of the latent vector at points of the hyperparameters, with weights; a fit without priors has one, at
        the estimates.
    settings : dict
        What `geospde.fit` was given.
    seconds : float
        Wall time of the fit.
    formula, family, method : str
    """

    plug_in: ClassVar[bool] = False
    """Whether means are those at the estimated predictor, with errors by the delta method, not means of a posterior."""

    def __init__(
        self,
        model: Model,
        laplace: Laplace,
        approximation: Posterior,
        settings: dict[str, Any],
        seconds: float = 0.0,
    ):
        self.model = model
        self.laplace = laplace
        self.approximation = approximation
        self.settings = settings
        self.seconds = seconds
        self.formula = str(settings["formula"])
        self.family = str(settings["family"])
        self.method = str(settings["method"])

    def identity(self) -> str:
        """Return a hash of all that its predictions depend on: fits that are equal to the last bit have one."""
        settings = {name: value for name, value in self.settings.items() if value is not None}
        digest = hashlib.sha256(repr((sorted(settings.items()), self.model.latent_names)).encode())
        digest.update(self.approximation.weights.tobytes())
        for point in self.approximation.points:
            for array in (point.theta, point.mean, point.covariance):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def point(self) -> LaplacePoint:
        """The latent vector's mode, where the hyperparameters have most weight."""
        return self.approximation.heaviest

    @cached_property
    def spread(self) -> Spread | None:
        """What the uncertainty of estimated hyperparameters adds to sums over a map; a posterior has it in it."""
        return None

    def of_likelihood(self, name: str | None) -> Self:
        """The fit as one of several likelihoods sees it, whose model is its own; itself where there is one likelihood.

        Raises
        ------
        InputError
            Where none is called so, or the one is not said.
        """
        parts = self.model.parts
        if not parts:
            if name is not None:
                raise InputError(
                    f"observations={in_brief(name)} is for fits of several likelihoods, and this fit has one"
                )
            return self
        whole = self.model.whole if name is None else None
        if whole is not None:
            view = copy(self)
            view.model = whole
            return view
        if name is None or name not in parts:
            what = "say which" if name is None else f"none is called {in_brief(name)}"
            raise InputError(
                f"this fit is of several likelihoods: {what}, as in observations={next(iter(parts))!r}",
                remedy=f"there are {', '.join(parts)}",
            )
        view = copy(self)
        view.model = parts[name]
        return view

    def mixture(self, rows: Rows, offset: Vector | float = 0.0) -> GaussianMixture:
        """Distribution of linear combinations of the latent vector, ``rows @ x + offset``.

        Parameters
        ----------
        rows : (m, n) csr_matrix or MovingRows
        offset : (m,) array or float
        """
        return mixture_of(self.laplace, self.approximation, rows, offset)

    @abstractmethod
    def response(self, mixture: GaussianMixture, quantiles: Sequence[float] = LEVELS) -> dict[str, Vector]:
        """Mean, sd and quantiles of the mean per unit exposure whose predictor has this distribution."""

    def explore(
        self,
        column: str | None = None,
        *,
        tiles: Any = None,
        spacing: str = "auto",
        cmap: str | Colormap = "viridis",
        vmin: float | None = None,
        vmax: float | None = None,
        m: Any = None,
    ) -> Any:
        """Show the sites on an interactive map, as geopandas' `explore`; needs folium (``geospde[explore]``).

        Parameters
        ----------
        column : str, optional
            What colours a site: a column of `fitted` or of the data; by default the fitted mean. A click on a site
            shows all of them.
        tiles : str or xyzservices provider, optional
            A basemap, such as ``"OpenStreetMap"``, which needs a network; none by default.
        spacing, cmap, vmin, vmax
            As `plot` of a prediction takes them.
        m : folium.Map, optional
            A map to draw into, such as that of ``surface.explore()``.

        Returns
        -------
        folium.Map
            A notebook shows it; ``.save("map.html")`` writes it. Its page takes Leaflet from the network.

        Raises
        ------
        InputError
            Without folium, without places, or for a column that is not there.
        """
        from geospde.report.folium_map import explore_fit

        return explore_fit(self, column, tiles=tiles, spacing=spacing, cmap=cmap, vmin=vmin, vmax=vmax, m=m)

    # -- names ----------------------------------------------------------------------------------------------

    @property
    def _names(self) -> list[str]:
        """Names of the hyperparameters, the fixed effects and the latent variables."""
        model = self.model
        return [*(h.name for h in model.hyperparameters), *model.effects.names, *model.latent_names]

    def _combination(self, name: str | Mapping[str, float]) -> sp.csr_matrix:
        """Weights on the latent vector, (1, n), of a fixed effect, a latent variable, or a linear combination of them.

        Raises
        ------
        InputError
            For an unknown name, or a hyperparameter.
        """
        weights = dict(name) if isinstance(name, Mapping) else {name: 1.0}
        if not all(isinstance(part, str) and isinstance(weight, Real) for part, weight in weights.items()):
            raise InputError(f"a quantity is a name, or a dict of names to weights, not {name!r}")
        if not any(weights.values()) or not np.isfinite(list(weights.values())).all():
            raise InputError("the weights of a linear combination are finite numbers, one of them at least not zero")
        places = [self._place(part) for part in weights]
        values = [float(weight) for weight in weights.values()]
        return sp.csr_matrix((values, (np.zeros(len(places), int), places)), shape=(1, self.laplace.n))

    def _marginal_of(self, name: str | Mapping[str, float]) -> Marginal:
        """Of a combination of names to weights, or ``"eta[3]"`` or ``"fitted[3]"`` of an observation."""
        observation = re.fullmatch(r"(eta|fitted)\[(\d+)\]", name) if isinstance(name, str) else None
        if observation and int(observation[2]) < self.model.likelihood.n:
            at = int(observation[2])
            mixture = self.mixture(self.model.design[[at]], self.model.offset[[at]])
            return marginal_of_mixture(mixture, None if observation[1] == "eta" else self.model.family.link.inverse)
        return marginal_of_mixture(self.mixture(self._combination(name)))

    def _place(self, name: str) -> int:
        """Number of a fixed effect or latent variable in the latent vector."""
        if name in self.model.effects.names:
            return self.laplace.n_random + self.model.effects.names.index(name)
        if name in self.model.latent_names:
            return self.model.latent_names.index(name)
        raise self._unknown(name)

    def _unknown(self, name: str) -> InputError:
        """What to say of a name that nothing in the model has."""
        known = [h.name for h in self.model.hyperparameters]
        if name in known:
            return InputError(f"{name!r} is a hyperparameter: combinations are of fixed effects and latent variables")
        known += self.model.effects.names
        near = nearest(name, known + self.model.latent_names)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
        return InputError(f"nothing is called {name!r}; {hint}")


def level_between(level: Any) -> float:
    """The level of an interval; raises InputError unless it is a number between 0 and 1."""
    if not isinstance(level, Real) or not 0 < float(level) < 1:
        raise InputError(f"the level of an interval lies between 0 and 1, not {in_brief(level)}")
    return float(level)
