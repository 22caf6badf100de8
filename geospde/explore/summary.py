"""A survey in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geospde.explore.observed import Observed
from geospde.survey.places import kilometres_per_degree
from geospde.survey.survey import Survey, off_the

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


ROUNDING = 1e-12
"""Of the largest number, beneath which a mean is 0: a standardised column's is."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class Summary:
    """Size, spacing, exposure and response of a survey.

    Attributes
    ----------
    sites, places, offshore : int
        Rows, places that differ, and rows off the coastline.
    furthest_offshore : float
        Distance of the furthest of these.
    width, height : float
        Extent of the sites.
    area : float or None
        Within the coastline, or the boundary.
    unit : str
        Of lengths; kilometres of a survey in degrees.
    spacing : (places,) array
        Distance of each place to the nearest other one.
    observed : Observed
        Response, exposure and rate.

    Examples
    --------
    >>> import geospde as gs
    >>> from geospde.explore.observed import observe
    >>> survey = gs.load_dataset("rongelap")
    >>> summary = Summary.of(survey, observe(survey, "counts", "time"))
    >>> summary.sites, summary.offshore, round(summary.rate, 2)
    (157, 2, 7.49)
    >>> float(summary.quantiles().loc["nearest neighbour", "median"])
    40.0
    """

    sites: int
    places: int
    offshore: int
    furthest_offshore: float
    width: float
    height: float
    area: float | None
    unit: str
    spacing: NDArray[np.float64]
    observed: Observed
    outline: str = "coastline"
    word: str = "site"

    @classmethod
    def of(cls, survey: Survey, observed: Observed) -> Summary:
        """Summarise a survey with its response."""
        from scipy.spatial import cKDTree

        places = np.unique(survey.coordinates, axis=0)
        off = survey.offshore()
        area = None if survey.coastline is None else float(survey.coastline.area)
        unit = survey.units
        if unit == "degree":
            spans = kilometres_per_degree(places)
            places, unit = places * spans, "km"
            area = None if area is None else area * float(np.prod(spans))
            off = off * float(np.sqrt(np.prod(spans)))
        spacing = cKDTree(places).query(places, k=2)[0][:, 1]
        width, height = (float(side) for side in np.ptp(places, axis=0))
        return cls(
            sites=len(off),
            places=len(places),
            offshore=int((off > 0).sum()),
            furthest_offshore=float(off.max()),
            width=width,
            height=height,
            area=area,
            unit=unit,
            spacing=spacing,
            observed=observed,
            outline=survey.outline,
            word=survey.word,
        )

    @property
    def rate(self) -> float:
        """Sum of the response over the sum of the exposure, where there is one."""
        usable = self.observed.exposures > 0
        exposure = self.observed.exposures[usable].sum()
        return float(self.observed.values[usable].sum() / exposure) if usable.any() else np.nan

    def table(self) -> pd.DataFrame:
        """Return ``value`` and ``unit`` by ``quantity``: a row a fact."""
        import pandas as pd

        observed, unit = self.observed, self.unit
        squared = f"{unit}²" if unit else ""
        rows: list[tuple[str, float | None, str]] = [
            (f"{self.word}s", self.sites, ""),
            ("places", self.places, ""),
            ("width", self.width, unit),
            ("height", self.height, unit),
            (f"area {'of' if self.outline == 'coastline' else 'within'} the {self.outline}", self.area, squared),
            (f"{self.word}s {off_the(self.outline)}", None if self.area is None else self.offshore, ""),
            (f"furthest {off_the(self.outline)}", self.furthest_offshore if self.offshore else None, unit),
            ("mean nearest neighbour", float(self.spacing.mean()), unit),
        ]
        if observed.bounds:
            rows.append((f"{self.word}s where {observed.response} is a bound", observed.bounds, ""))
        if observed.classes:
            counts = [int((observed.values == k).sum()) for k in range(1, len(observed.classes) + 1)]
            rows += [
                (f"{self.word}s where {observed.response} is {name}", n, "")
                for name, n in zip(observed.classes, counts)
            ]
        elif observed.can_be_summed:
            rows.append((f"total {observed.response}", float(observed.values.sum()), ""))
        if observed.exposure is not None:
            rows += [
                (f"total {observed.over} ({observed.exposure})", float(observed.exposures.sum()), ""),
                (f"overall {observed.label}", self.rate, ""),
            ]
        elif not observed.classes:
            rows.append((f"mean {observed.response}", float(observed.values.mean()), ""))
        known = [row for row in rows if row[1] is not None]
        return pd.DataFrame(known, columns=["quantity", "value", "unit"]).set_index("quantity")

    def quantiles(self, covariates: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return how response, exposure, rate, spacing and numeric covariates are distributed: a row each."""
        import pandas as pd

        observed = self.observed
        columns = {} if observed.classes else {observed.response: observed.values}
        if observed.exposure is not None:
            columns[observed.exposure] = observed.exposures
        if not observed.classes:
            columns[observed.label] = observed.rates
        if observed.scale != "value":
            columns[observed.scale_label] = observed.scaled
        columns["nearest neighbour"] = self.spacing
        if covariates is not None:
            numeric = covariates.select_dtypes("number")
            columns |= {str(name): numeric[name].to_numpy(dtype=float) for name in numeric.columns}
        names = ["min", "5%", "25%", "median", "75%", "95%", "max"]
        rows = {}
        for name, values in columns.items():
            known = values[np.isfinite(values)]
            cuts = np.quantile(known, QUANTILES) if len(known) else np.full(len(names), np.nan)
            mean = known.mean() if len(known) else np.nan
            size = np.abs(known).max(initial=0.0)
            rows[name] = [len(known), 0.0 if abs(mean) < ROUNDING * size else mean, *cuts]
        return pd.DataFrame.from_dict(rows, orient="index", columns=["n", "mean", *names]).rename_axis("quantity")
