"""A prediction as a labelled xarray Dataset, with the attributes of the CF conventions, and as NetCDF."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde import __version__
from geospde.errors import InputError
from geospde.prediction.layer import RESPONSE, Layer
from geospde.prediction.layers import Layers
from geospde.survey.crs import parse_crs, unit_of
from geospde.text.files import whole_file
from geospde.text.systems import crs_name
from geospde.text.words import bytes_of

if TYPE_CHECKING:
    import xarray
    from pyproj import CRS


CONVENTIONS = "CF-1.11"

# what UDUNITS, whose names CF takes, calls the units of `geospde.survey.crs.unit_of`
_UDUNITS = {"ft": "foot", "us-ft": "US_survey_foot", "yd": "yard", "mi": "mile", "nmi": "nautical_mile"}


def to_dataset(prediction: Layers, *, units: str | None = None) -> xarray.Dataset:
    """Return a prediction as an xarray Dataset.

    Parameters
    ----------
    prediction : Layers
        Such as a `Prediction`.
    units : str, optional
        Unit of what is predicted, as UDUNITS writes it (``"s-1"``); CF asks for it and geospde cannot know it.

    Returns
    -------
    xarray.Dataset
        A variable for each layer, by its name. On a grid, its dimensions are ``y`` and
        ``x``, both ascending, and cells that were not predicted are NaN; elsewhere there is one, ``place``. The CRS is
        the coordinate ``crs``, a grid mapping with its WKT.

    Raises
    ------
    InputError
        Without xarray.

    References
    ----------
    Eaton et al., NetCDF Climate and Forecast (CF) Metadata Conventions, version 1.11.
    """
    xr = _require("xarray")
    if prediction.steps:
        each = [to_dataset(prediction.at_step(step), units=units) for step in prediction.steps]
        return _along_steps(prediction, each)
    columns = {layer.name: prediction.values(layer.name) for layer in prediction.layers}
    crs = None if prediction.crs is None else parse_crs(prediction.crs)
    coordinates: dict[str, Any] = {}
    if prediction.grid is not None:
        grid = prediction.grid
        dims: tuple[str, ...] = ("y", "x")
        coordinates["x"] = "x", grid.x0 + grid.dx * (np.arange(grid.cols) + 0.5)
        coordinates["y"] = "y", grid.y0 + grid.dy * (np.arange(grid.rows) + 0.5)
        values = {name: grid.to_array(column)[::-1] for name, column in columns.items()}
    else:
        dims, values = ("place",), columns
        if prediction.points is not None:
            coordinates = {name: ("place", prediction.points[:, k]) for k, name in enumerate("xy")}
    coordinates = {name: (*pair, _axis(name, crs)) for name, pair in coordinates.items()}
    shared = {"cell_methods": "x: y: point"} if prediction.grid is not None else {}  # at the centres of cells
    if crs is not None and coordinates:
        coordinates["crs"] = (), np.int32(0), {"long_name": crs_name(crs)} | crs.to_cf()
        shared["grid_mapping"] = "crs"
    variables = {
        layer.name: (dims, values[layer.name], _describe(layer, prediction.label, units) | shared)
        for layer in prediction.layers
    }
    spreads = [layer.name for layer in prediction.layers if layer.kind == "sd"]
    for layer in prediction.layers:
        if layer.kind == "mean" and spreads:
            variables[layer.name][2]["ancillary_variables"] = " ".join(spreads)
    dataset: xarray.Dataset = xr.Dataset(variables, coordinates, _history(prediction))
    return dataset


def _along_steps(prediction: Layers, each: list[xarray.Dataset]) -> xarray.Dataset:
    """Put the datasets of steps together along one more dimension, called by the column of the steps."""
    xr = _require("xarray")
    along = prediction.layers[0].along
    try:
        steps, attributes = np.array([float(step) for step in prediction.steps]), {"axis": "T"}
    except ValueError:
        steps, attributes = np.array(prediction.steps), {}
    if steps.dtype.kind == "f" and (steps == np.round(steps)).all():
        steps = steps.astype(np.int64)
    axis = xr.DataArray(steps, dims=along, name=along, attrs={"long_name": along} | attributes)
    fixed = [name for name in each[0].variables if name not in each[0].data_vars]
    whole = xr.concat([one.drop_vars(fixed) for one in each], dim=axis)
    whole = whole.assign_coords({name: each[0][name] for name in fixed})
    described: xarray.Dataset = whole.assign_attrs(each[0].attrs)
    return described


def write_netcdf(prediction: Layers, path: str | Path, *, units: str | None = None) -> Path:
    """Write the Dataset of a prediction as NetCDF-4, compressed; ``xarray.open_dataset`` gives it back.

    Parameters
    ----------
    prediction, units
        As in `to_dataset`.
    path : str or Path
        A name that ends in ``.nc``; folders are made. The file appears whole or not at all.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    InputError
        Without xarray and h5netcdf, for another ending, or if the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".nc":
        raise InputError(f"NetCDF is written to a file whose name ends in .nc, not to {path.name}")
    dataset = to_dataset(prediction, units=units)
    _require("h5netcdf")
    _require("h5py")
    encoding: dict[str, dict[str, Any]] = {str(name): {"zlib": True, "complevel": 4} for name in dataset.data_vars}
    encoding |= {str(name): {"_FillValue": None} for name in dataset.coords}  # CF: coordinates have no gaps
    with whole_file(path, make_folders=True) as partial:
        free = shutil.disk_usage(path.parent).free
        if dataset.nbytes > free:  # HDF5 does not survive a disk that fills up
            raise InputError(
                f"{path.name} needs up to {bytes_of(dataset.nbytes)} and the disk has {bytes_of(free)} free: "
                "choose another disk, larger cells or fewer columns"
            )
        dataset.to_netcdf(partial, engine="h5netcdf", format="NETCDF4", encoding=encoding)
    return path


def _axis(name: str, crs: CRS | None) -> dict[str, str]:
    """Return the attributes of a coordinate; x is east, y is north."""
    east = name == "x"
    attributes = {"axis": name.upper()}
    if crs is not None and crs.is_geographic:
        names = ("longitude", "degrees_east") if east else ("latitude", "degrees_north")
        return attributes | {"standard_name": names[0], "long_name": names[0], "units": names[1]}
    attributes |= {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": ("easting" if east else "northing") + ("" if crs is None else f", {crs_name(crs)}"),
    }
    unit = unit_of(crs)
    return attributes | ({"units": _UDUNITS.get(unit, unit)} if unit else {})


def _describe(layer: Layer, label: str, units: str | None) -> dict[str, str]:
    """Return what a layer is, and its unit."""
    unit = units if layer.unit == RESPONSE else layer.unit
    return {"long_name": layer.description(label)} | ({} if unit is None else {"units": unit})


def _history(prediction: Layers) -> dict[str, str]:
    """Return the attributes of the whole."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "Conventions": CONVENTIONS,
        "title": f"{prediction.contents} of {prediction.label}",
        "source": ", ".join(filter(None, [f"geospde {__version__}", prediction.model])),
        "history": f"{now} predicted by geospde {__version__}",
    }


def _require(module: str) -> Any:
    """Import a module of the extra ``io``; its absence is an InputError that says what to install."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"labelled arrays and NetCDF need {module}: pip install 'geospde[io]'") from None
