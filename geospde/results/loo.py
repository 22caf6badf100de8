"""Leave-one-out by Pareto-smoothed importance sampling: the figures, and how far they can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.model.build import Model
from geospde.text.progress import Callback
from geospde.text.words import counted, in_brief, joined

Vector = NDArray[np.float64]

BANDS = (
    (-inf, 0.5, "good"),
    (0.5, 0.7, "ok"),
    (0.7, 1.0, "bad"),
    (1.0, inf, "very bad"),
)


@dataclass(frozen=True)
class Loo:
    """Expected log predictive density of each observation left out, Vehtari, Gelman & Gabry (2017).

    Attributes
    ----------
    pointwise : (m,) array
        Log predictive density of each observation without it; in nats.
    pareto_k : (m,) array
        Of its importance sampling.
    replaced : (m,) array of bool
        Where k is above 0.5 and the conditional predictive ordinate, which integrates without the observation, stands
        in for the importance sampling.
    log_predictive : (m,) array
        Log predictive density of each observation where it is kept.
    labels : sequence of (str, label)
        Of each observation the likelihood, of several, and the label of its row.
    refitted, needed : (m,) arrays of bool or None
        Which are by a fit without the observation, and without which there is no fit; None before any refit.
    fit : BayesianFit or None
        Whose it is.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statist. Comput. 27, 1413-1432.
    """

    pointwise: Vector
    pareto_k: Vector
    replaced: NDArray[np.bool_]
    log_predictive: Vector
    labels: Sequence[tuple[str, Any]] = ()
    refitted: NDArray[np.bool_] | None = None
    needed: NDArray[np.bool_] | None = None
    fit: Any = field(default=None, repr=False, compare=False)

    def refit(self, above: float = 0.7, *, callback: Callback | None = None, client: Any = None) -> "Loo":
        """Leave out by refits, each without one observation, those of a large Pareto k; loo's ``reloo``.

        Hyperparameters are estimated anew, by the rule and strategy of the fit; priors stay those of the fit.

        Parameters
        ----------
        above : float
            Pareto k from which on an observation is left out by a refit.
        callback : callable, optional
            Called as ``callback(done, total, message)`` after each refit.
        client : distributed.Client or str, optional
            A Dask cluster whose workers refit, see `geospde.cluster`.

        Returns
        -------
        Loo
            With the log densities of these observations by the refits. Where there is no fit without one, such as the
            only one of a level, it stays as it was, and the warning names it.

        Raises
        ------
        InputError
            For a threshold that is no number, and for a point pattern, which has no observations to leave out.
        """
        if isinstance(above, bool) or not isinstance(above, int | float) or np.isnan(above):
            raise InputError(f"refits are of observations with a Pareto k above a number, not {in_brief(above)}")
        if self.fit is None:
            raise InputError("these figures are of no fit that could be fitted again: take fit.loo.refit()")
        from geospde.prediction.validation import left_out_by_refits

        none = np.zeros(self.pointwise.size, dtype=bool)
        refitted, needed = (none.copy() if each is None else each.copy() for each in (self.refitted, self.needed))
        rows = np.flatnonzero((self.pareto_k > above) & ~refitted & ~needed)
        found = left_out_by_refits(self.fit, rows, callback, client)
        fits = ~np.isnan(found)
        refitted[rows[fits]], needed[rows[~fits]] = True, True
        pointwise = self.pointwise.copy()
        pointwise[rows[fits]] = found[fits]
        replaced = self.replaced & ~refitted
        return replace(self, pointwise=pointwise, replaced=replaced, refitted=refitted, needed=needed)

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Which observations have a Pareto k above 0.7 and were not left out by a refit, (m,)."""
        return self.pareto_k > 0.7 if self.refitted is None else (self.pareto_k > 0.7) & ~self.refitted

    @property
    def table(self) -> pd.DataFrame:
        """``estimate`` and ``se`` of ``elpd_loo``, ``p_loo`` and ``looic``."""
        columns = {
            "elpd_loo": self.pointwise,
            "p_loo": self.log_predictive - self.pointwise,
            "looic": -2 * self.pointwise,
        }
        m = self.pointwise.size
        rows = {n: (v.sum(), np.sqrt(m * v.var(ddof=1)) if m > 1 else np.nan) for n, v in columns.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "se"])

    @property
    def pareto_table(self) -> pd.DataFrame:
        """How many observations have a Pareto k in each band, and what it says."""
        k = self.pareto_k
        counts = [int(((k > low) & (k <= high)).sum()) for low, high, _ in BANDS]
        index = [f"({low:g}, {high:g}]" for low, high, _ in BANDS]
        table = {"verdict": [word for *_, word in BANDS], "count": counts, "share": np.array(counts) / k.size}
        return pd.DataFrame(table, index=pd.Index(index, name="Pareto k"))

    @property
    def warning(self) -> str | None:
        """What to look at, or None."""
        high = np.flatnonzero(self.doubtful)
        if high.size == 0:
            return None
        rows = rows_named(self.labels or [("", k) for k in range(self.pareto_k.size)], list(high))
        left = high[~self.replaced[high]]
        now = (
            "their conditional predictive ordinates, which leave the observation out of the integration, stand in"
            if left.size == 0
            else f"at {left.size} of them nothing better is at hand"
        )
        then = (
            "Without any of them the rest does not determine the model."
            if self.needed is not None and self.needed[high].all()
            else "fit.loo.refit() fits the model again without each of them."
        )
        return (
            f"Pareto k is above 0.7 at {high.size} of {self.pareto_k.size} observations ({rows}):\n"
            f"they shape their own prediction too much for importance sampling; {now}.\n"
            f"{then}\n"
            "See whether they are outliers, or whether the model gives single observations too much freedom\n"
            "(an effect for each, a range below their spacing)."
        )

    def __str__(self) -> str:
        m = self.pointwise.size
        parts = [f"PSIS-LOO of {m} observations", self.table.to_string(float_format=lambda v: f"{v:.1f}")]
        if (self.pareto_k > 0.5).any():
            shares = {"share": lambda v: f"{100 * v:.1f} %"}
            parts.append(self.pareto_table.to_string(formatters=shares))
        else:
            parts.append("All Pareto k are below 0.5: good")
        if self.refitted is not None and self.refitted.any():
            of = counted(int(self.refitted.sum()), "observation is", "observations are")
            parts.append(f"{of} left out by a fit without it")
        if self.warning:
            parts.append(self.warning)
        return "\n\n".join(parts)

    __repr__ = __str__


def row_labels(model: Model) -> list[tuple[str, Any]]:
    """Of each observation the likelihood, of several, and the label of its row in the table that it came from."""
    models = model.parts or {"": model}
    tables = {name: list(one.table.index if one.labels is None else one.labels) for name, one in models.items()}
    if model.recipe is not None and model.recipe.delta:  # the second is of the rows of the first that are above 0
        (first, whole), (second, _) = tables.items()
        tables[second] = [whole[k] for k in np.flatnonzero(model.parts[first].likelihood.y > 0)]
    return [(name, label) for name, labels in tables.items() for label in labels]


def rows_named(labels: Sequence[tuple[str, Any]], rows: Sequence[int], most: int = 8) -> str:
    """The first rows by their labels, of several likelihoods each with its own: ``"rows a and b"``."""
    parts: dict[str, list[str]] = {}
    for row in rows[:most]:
        name, label = labels[row]
        parts.setdefault(name, []).append(str(label))
    names = "; ".join(joined(each) + (f" of {name}" if name else "") for name, each in parts.items())
    return f"row{'s' if len(rows) > 1 else ''} {names}" + (f" and {len(rows) - most} more" if len(rows) > most else "")
