"""Fits from disk, as `geospde.results.storage` writes them."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import family_by_name
from geospde.inference.hyper import HyperPosterior, Posterior
from geospde.inference.laplace import Laplace
from geospde.inference.residual import residual_from
from geospde.inference.warp import Warp
from geospde.likelihood.search import Maximum
from geospde.mesh.trimesh import Mesh
from geospde.model.build import build_model
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.fit import estimated_fit
from geospde.results.storage import FORMAT, files_of
from geospde.text.keywords import answers_keywords


@answers_keywords
def load_fit(path: Any, *, family: Family | type[Family] | None = None) -> Fit:
    """Read a fit that `Fit.save` or a run wrote.

    Parameters
    ----------
    path : str or Path
        Name given to `save`, one of its two files, or a run's folder.
    family : Family, optional
        The class of the fit's family, where it is one's own and not to be imported from where it was: that of a script
        is in no module.

    Returns
    -------
    Fit
        Tables, marginals, draws and predictions as before saving.

    Raises
    ------
    InputError
        Where there is no such fit, or it cannot be read, or its family's class cannot be imported.

    Examples
    --------
    >>> import tempfile, geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(f"{folder}/mine")
    ...     again = gs.load_fit(f"{folder}/mine")
    >>> bool((again.fixed == fit.fixed).all(axis=None))
    True
    """
    arrays_file, words_file = files_of(path)
    for file in (arrays_file, words_file):
        if not file.is_file():
            raise InputError(f"no saved fit here: {file} is missing")
    try:
        words = json.loads(words_file.read_text(encoding="utf-8"))
        with np.load(arrays_file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the saved fit {words_file}: {error}") from None
    if words.get("format") != FORMAT:
        raise InputError(f"{words_file} holds a fit of format {words.get('format')}; this geospde reads {FORMAT}")
    meshes = {
        name: Mesh.from_arrays({key: arrays[f"mesh_{name}_{key}"] for key in keys})
        for name, keys in words["meshes"].items()
    }
    settings = words["settings"]
    model = build_model(
        settings["formula"],
        _table(words, arrays),
        family=_family(words) if family is None else family,
        link=settings["link"],
        mesh=meshes,
        coords=None if settings["coords"] is None else tuple(settings["coords"]),
        exposure=arrays["exposure"],
        offset=None if words["settings"]["offset"] is None else settings["offset"]
        if settings["offset"] != "given a row" else arrays["offset"],
        weights=arrays["observation_weights"],
        priors=words["priors"] or "default",
    )  # fmt: skip
    model = model.labelled(words["label"])
    if "fixed_precision" in arrays:
        shift = words["fixed_log_shift"]
        model = replace(
            model, fixed_priors=replace(model.fixed_priors, precision=arrays["fixed_precision"], log_shift=shift)
        )
    if "maximum_theta" in arrays:
        found = {k.removeprefix("maximum_"): v for k, v in arrays.items() if k.startswith("maximum_")}
        maximum = Maximum(**{k: v if v.ndim else v.item() for k, v in found.items()})
        return estimated_fit(model, maximum, settings, tuple(words["notes"]), words["seconds"])
    laplace = Laplace(model)
    points = [
        laplace.restored(theta, value, x, mean, covariance)
        for theta, value, x, mean, covariance in zip(
            arrays["theta"], arrays["log_posterior"], arrays["modes"], arrays["means"], arrays["covariances"]
        )
    ]
    hyper = None
    if "hyper_centre" in arrays:
        residual = {k.removeprefix("residual_"): v for k, v in arrays.items() if k.startswith("residual_")}
        warp = Warp(*(arrays[f"warp_{k}"] for k in ("u", "z", "log_slope"))) if "warp_u" in arrays else None
        hyper = HyperPosterior(arrays["hyper_centre"], arrays["hyper_root"], residual_from(residual), warp)
    mode = max(points, key=lambda p: p.log_posterior)
    laplace.evaluations, laplace.factorisations = words["evaluations"], words["factorisations"]
    posterior = Posterior(
        points, arrays["weights"], words["log_marginal_likelihood"], hyper, mode, words["strategy"]
    )
    return BayesianFit(model, laplace, posterior, settings, seconds=words["seconds"])


def _family(words: dict[str, Any]) -> Family:
    """The family that a saved fit names."""
    path, link = words.get("family", words["settings"]["family"]), words["settings"]["link"]
    try:
        return family_by_name(path, link)
    except InputError as error:
        raise InputError(f"{error}; give load_fit the class itself, as family=") from None


def _table(words: dict[str, Any], arrays: dict[str, Any]) -> pd.DataFrame:
    """The columns that the model uses, as they were, with the sites as geometry."""
    columns: dict[str, Any] = {}
    for k, (column, kind) in enumerate(words["columns"].items()):
        values = arrays[f"column_{k}"]
        if kind == "category":
            columns[column] = pd.Categorical.from_codes(values, categories=arrays[f"levels_{k}"].tolist())
        else:
            columns[column] = values
    table = pd.DataFrame(columns)
    if "points" not in arrays or words["settings"]["coords"] is not None:
        return table
    import geopandas as gpd

    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*arrays["points"].T), crs=words["crs"])
