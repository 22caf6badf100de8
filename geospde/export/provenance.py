"""What made a result: versions, machine, hashes of the inputs; and JSON to write it in."""

import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from geospde import __version__

PACKAGES = [
    "numpy",
    "scipy",
    "pandas",
    "geopandas",
    "shapely",
    "pyproj",
    "rasterio",
    "scikit-fem",
    "condeltri",
    "pymetis",
    "numba",
    "matplotlib",
]


def versions() -> dict[str, str]:
    """Return the versions of geospde, Python and the packages that a result depends on.

    Examples
    --------
    >>> list(versions())[:3]
    ['geospde', 'python', 'numpy']
    """
    return {"geospde": __version__, "python": platform.python_version(), **dict(_of_packages())}


@cache
def _of_packages() -> tuple[tuple[str, str], ...]:
    """Name and version of each of `PACKAGES`: a run tells them in its record, its log and its report."""
    return tuple((package, _version_of(package)) for package in PACKAGES)


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def machine() -> dict[str, str | int | None]:
    """Return what the machine is, and how many processors this process may use."""
    return {
        "platform": platform.platform(),
        "architecture": platform.machine(),
        "processors": processors(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def processors() -> int:
    """Return the number of processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write JSON that any reader takes, see `json_text`."""
    Path(path).write_text(json_text(content) + "\n", encoding="utf-8")


def json_text(content: Mapping[str, Any]) -> str:
    """Return JSON that any reader takes: numpy's numbers as plain ones, those that are not finite as null.

    Examples
    --------
    >>> print(json_text({"p": float("nan")}))
    {
      "p": null
    }
    """
    return json.dumps(_plain(content), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
