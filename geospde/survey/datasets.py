"""Bundled data by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from geospde.errors import GeospdeError, GeospdeWarning, InputError
from geospde.survey.survey import Survey, read_survey
from geospde.text.keywords import answers_keywords
from geospde.text.words import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

# the tables, and their columns that are labels although they look like numbers
TABLES = {
    "sleepstudy": ("Subject",),
    "cbpp": ("herd", "period"),
    "topo": (),
    "gamsim4": ("fac",),
}
SURVEYS = ("rongelap",)


def data_folder() -> Path:
    """Return the folder of the bundled data: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data", package.parent / "data"):
        if (folder / "rongelap" / "points.csv").is_file():
            return folder
    raise GeospdeError(f"the bundled data are missing beside {package}: reinstall geospde")


@answers_keywords
def load_dataset(name: str) -> Survey | pd.DataFrame:
    """Return a bundled data set.

    Parameters
    ----------
    name : str
        ``"rongelap"``: gamma-ray counts at 157 sites on Rongelap island and its coastline, a `Survey` in
        local metres (two of the sites lie just off the coastline). Tables: ``"sleepstudy"`` (reaction times
        of 18 sleep-deprived subjects), ``"cbpp"`` (bovine pleuropneumonia in 15 herds), ``"topo"`` (52 spot
        heights) and ``"gamsim4"`` (simulated, a smooth function for each level of a factor).
        ``data/README.md`` tells their sources.

    Returns
    -------
    Survey or pandas.DataFrame
        Labels (``Subject``, ``herd``, ``period``, ``fac``) are categorical.

    Raises
    ------
    InputError
        If there is no data set of that name.

    Examples
    --------
    >>> import geospde as gs
    >>> gs.load_dataset("rongelap").points[["cX", "cY", "counts", "time"]].head(2)
         cX    cY  counts  time
    0 -6050 -3270      75   300
    1 -6050 -3165     371   300
    >>> gs.load_dataset("sleepstudy")["Subject"].nunique()
    18
    """
    if name not in TABLES and name not in SURVEYS:
        hint = did_you_mean(str(name), [*SURVEYS, *TABLES], "names")
        raise InputError(f"there is no data set {str(name)!r}: {hint}")
    if name in TABLES:
        import pandas as pd

        labels = dict.fromkeys(TABLES[name], "category")
        frame = pd.read_csv(data_folder() / "chapter" / f"{name}.csv")
        return frame.astype(labels)
    folder = data_folder() / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)  # the two sites offshore: known, and said above
        points, coastline = folder / "points.csv", folder / "coastline.csv"
        return read_survey(points, x="cX", y="cY", coastline=coastline, crs="local:m", name=name)
