"""Fits on disk: ``<name>.npz`` for arrays, ``<name>.json`` for words; no pickles."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import family_by_name, path_of
from geospde.inference.hyper import HyperPosterior, Posterior
from geospde.inference.laplace import Laplace
from geospde.inference.residual import residual_from
from geospde.inference.warp import Warp
from geospde.likelihood.search import Maximum
from geospde.mesh.trimesh import Mesh
from geospde.model.build import build_model
from geospde.results.maximum_likelihood import LikelihoodFit
from geospde.results.penalised import likelihood_fit
from geospde.results.result import Fit

FORMAT = 1


def _files(path: Any) -> tuple[Path, Path]:
    """The two files of a saved fit, from its name, either file, or a run's folder."""
    path = Path(path)
    if path.is_dir():
        path = path / "fit"
    elif path.suffix in (".npz", ".json"):
        path = path.with_suffix("")
    return path.with_name(path.name + ".npz"), path.with_name(path.name + ".json")


def save_fit(fit: Fit, path: Any) -> None:
    """Write a fit as ``<path>.npz`` and ``<path>.json``.

    Raises
    ------
    InputError
        Where the folder does not exist.
    """
    arrays_file, words_file = _files(path)
    if not arrays_file.parent.is_dir():
        raise InputError(f"there is no folder {arrays_file.parent} to save the fit in")
    model, posterior = fit.model, fit.posterior
    arrays: dict[str, Any] = {
        "theta": np.array([p.theta for p in posterior.points]),
        "log_posterior": np.array([p.log_posterior for p in posterior.points]),
        "weights": posterior.weights,
        "modes": np.array([p.x for p in posterior.points]),
        "means": posterior.means,
        "covariances": posterior.covariances,
        "offset": model.offsets.beside_terms(model.table),
        "exposure": model.exposure,
        "observation_weights": model.weights,
    }
    if model.fixed_priors.heavy_tailed:
        arrays["fixed_precision"] = model.fixed_precision
    if isinstance(fit, LikelihoodFit):
        arrays.update({f"maximum_{k}": v for k, v in asdict(fit.maximum).items()})
    if model.points is not None:
        arrays["points"] = model.points
    if posterior.hyper is not None:
        arrays["hyper_centre"], arrays["hyper_root"] = posterior.hyper.centre, posterior.hyper.root
        arrays.update({f"residual_{k}": v for k, v in posterior.hyper.residual.arrays().items()})
        if posterior.hyper.warp is not None:
            arrays.update({f"warp_{k}": v for k, v in posterior.hyper.warp.arrays().items()})
    meshes: dict[str, list[str]] = {}
    for name, mesh in model.meshes.items():
        held = mesh.to_arrays()
        meshes[name] = list(held)
        arrays.update({f"mesh_{name}_{key}": value for key, value in held.items()})
    columns: dict[str, str] = {}
    for k, column in enumerate(model.used_columns):
        values = model.table[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            columns[column] = "category"
            arrays[f"column_{k}"] = values.cat.codes.to_numpy()
            arrays[f"levels_{k}"] = np.asarray(values.cat.categories.tolist())
        else:
            kind = "number" if pd.api.types.is_numeric_dtype(values) else "text"
            columns[column] = kind
            arrays[f"column_{k}"] = values.to_numpy() if kind == "number" else values.astype(str).to_numpy(str)
    words = {
        "format": FORMAT,
        "settings": fit.settings,
        "family": path_of(model.family),
        "priors": model.priors_given,
        "seconds": fit.seconds,
        "log_marginal_likelihood": posterior.log_marginal_likelihood,
        "strategy": posterior.strategy,
        "evaluations": fit.laplace.evaluations,
        "factorisations": fit.laplace.factorisations,
        "columns": columns,
        "meshes": meshes,
        "crs": None if model.crs is None else model.crs.to_wkt(),
        "label": model.response_label,
        "notes": list(getattr(fit, "notes", ())),
        "fixed_log_shift": model.fixed_log_shift,
    }
    try:
        text = json.dumps(words, indent=1)
    except TypeError as error:
        raise InputError(f"this fit cannot be saved, a prior was given as an object: {error}") from None
    np.savez_compressed(arrays_file, **arrays)
    words_file.write_text(text, encoding="utf-8")


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
    arrays_file, words_file = _files(path)
    for file in (arrays_file, words_file):
        if not file.is_file():
            raise InputError(f"no saved fit here: {file} is missing")
    try:
        words = json.loads(words_file.read_text(encoding="utf-8"))
        with np.load(arrays_file, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
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
        return likelihood_fit(model, maximum, settings, tuple(words["notes"]), words["seconds"])
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
    return Fit(model, laplace, posterior, settings, seconds=words["seconds"])


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
