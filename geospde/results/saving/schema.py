"""What the files of a saved fit must hold: words by a schema, arrays by their shapes, finite values and sums."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from geospde.errors import InputError
from geospde.results.saving.compact import PARTS
from geospde.text.files import refuse_special
from geospde.text.words import is_name, joined

FORMAT = 3
READABLE = (1, 2, 3)  # 2 has checksums and compact arrays, 3 the priors in force
LARGEST = 64_000_000  # bytes of words: those of a survey of a hundred thousand rows take thousands
DEEPEST = 64  # brackets within brackets
CHECKSUM = "checksum"
SLACK = 1e-8  # by which weights may miss one

Side = str | int
SHAPES: dict[str, tuple[Side, ...]] = {
    "theta": ("points", "free"), "log_posterior": ("points",), "weights": ("points",),
    "hyper_centre": ("free",), "hyper_root": ("free", "free"),
    "warp_u": ("free", "grid"), "warp_z": ("free", "grid"), "warp_log_slope": ("free", "grid"),
    "offset": ("rows",), "exposure": ("rows",), "observation_weights": ("rows",), "points": ("rows", 2),
    "fixed_precision": ("fixed",), "fixed_basis": ("fixed", "fixed"), "support_points": ("places", 2),
    "linearised_at": ("latent",), "linearised_over": ("any",),
    "maximum_theta": ("free",), "maximum_fixed": ("fixed",), "maximum_covariance": ("free", "free"),
    "maximum_fixed_covariance": ("fixed", "fixed"), "maximum_edges": ("free",), "maximum_flat": ("free",),
    "maximum_x": ("latent",), "maximum_log_likelihood": (), "maximum_whole_curvature": (),
    "maximum_evaluations": (), "maximum_factorisations": (),
    "maximum_basis": ("fixed", "fixed"), "maximum_inner_covariance": ("fixed", "fixed"),
}  # fmt: skip
for _name, _side in (("modes", "latent"), ("means", "latent"), ("shifts", "latent"), ("covariances", "entries")):
    SHAPES[_name] = ("points", _side)
    SHAPES |= zip(
        (f"{_name}_{part}" for part in PARTS), (("points", _name), (_side,), (_name,), ("any", _side))
    )  # fmt: skip
FINITE = (
    "theta", "log_posterior", "weights", "modes", "means", "shifts", "covariances", "modes_axes", "shifts_axes",
    "covariances_axes", "hyper_centre", "hyper_root", "warp_u", "warp_z", "warp_log_slope", "offset", "exposure",
    "observation_weights", "points", "support_points", "support_data", "linearised_at", "linearised_over",
    "maximum_theta", "maximum_fixed", "maximum_x", "maximum_log_likelihood", "fixed_basis",
)  # fmt: skip
OF_POSTERIOR = ("theta", "log_posterior", "weights")
FLOATS = (
    *OF_POSTERIOR, "modes", "means", "hyper_centre", "hyper_root", "maximum_theta", "maximum_fixed", "maximum_x",
)  # fmt: skip
"""Arrays that are no whole numbers."""
KINDS = {
    "maximum_edges": "iu", "maximum_flat": "b", "maximum_whole_curvature": "b", "maximum_evaluations": "iu",
    "maximum_factorisations": "iu", "maximum_covariance": "f", "maximum_fixed_covariance": "f", "maximum_basis": "f",
    "maximum_inner_covariance": "f",
}  # fmt: skip
"""What arrays hold, as `numpy.dtype.kind`."""
OF_NUMBERS = ("residual_", "warp_", "scale_", "hyper_", "support_", "maximum_")
"""How the names of arrays begin that hold numbers, whatever else."""
ALWAYS = ("offset", "exposure", "observation_weights")


Method = Literal["inla", "eb", "ml", "reml", "ubre"]
Integration = Literal["auto", "grid", "ccd", "adaptive", "eb"]
Strategy = Literal["auto", "gaussian", "vb", "simplified", "laplace"]
Column = Literal["number", "category", "ordered", "text"]
"""What a column of the data holds."""
Evidence = Annotated[FiniteFloat, Field(ge=-1e100, le=1e100)]
"""A logarithm, of which no data make more."""
Shown = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$", max_length=100_000)]
"""Words that are printed, and hold no command to a terminal."""


def _named(given: str) -> str:
    if not is_name(given):
        raise ValueError("it is no name that can be printed on one line")
    return given


Name = Annotated[str, Field(max_length=100_000), AfterValidator(_named)]


class Settings(BaseModel):
    """What `geospde.fit` was given."""

    model_config = ConfigDict(extra="allow", strict=True)

    formula: str = Field(max_length=100_000)
    family: str
    link: str | None
    method: Method
    integration: Integration
    strategy: Strategy
    quadrature: int = Field(ge=1, le=1000)
    coords: list[str] | None = Field(min_length=2, max_length=2)
    exposure: Shown | None
    offset: Shown | None
    dispformula: str | None = Field(default=None, max_length=100_000)


class SupportWords(BaseModel):
    """Rows that are areas, and the columns of the places within them."""

    model_config = ConfigDict(extra="allow", strict=True)

    kind: Literal["mean", "total"]
    columns: dict[Shown, Column]
    is_weighed: bool = False


class WindowWords(BaseModel):
    """Where a point pattern lies."""

    model_config = ConfigDict(extra="allow", strict=True)

    domain: str
    mesh: str
    has_covariates: bool
    marks: str | None = None


class PartWords(BaseModel):
    """One of several likelihoods."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Name
    formula: str = Field(max_length=100_000)
    family: str
    link: str | None
    coords: list[str] | None = Field(min_length=2, max_length=2)
    offset: str | None
    columns: dict[Shown, Column]
    crs: str | None
    covariates: dict[str, Any] | None
    support: SupportWords | None = None
    window: WindowWords | None = None
    dispformula: str | None = Field(default=None, max_length=100_000)


class SeveralWords(BaseModel):
    """What a model of several likelihoods is made of."""

    model_config = ConfigDict(extra="allow", strict=True)

    parts: list[PartWords] = Field(min_length=2)
    terms: dict[str, str]
    delta: str


class PriorsWords(BaseModel):
    """Priors in force, whether given or defaults."""

    model_config = ConfigDict(strict=True)

    terms: list[dict[str, Any] | None]
    likelihood: dict[str, Any]
    coefficients: dict[Literal["mean", "precision"], list[float]]


class MomentsWords(BaseModel):
    """Moments of a fit, which its arrays must have; of estimates those of the data alone."""

    model_config = ConfigDict(strict=True)

    version: str
    data: list[FiniteFloat]
    latent: list[FiniteFloat] | None = None
    fixed: list[FiniteFloat] | None = None
    theta: list[FiniteFloat] | None = None


class Words(BaseModel):
    """The words of a saved fit, ``<name>.json``."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: int
    settings: Settings
    family: str | None = None
    priors: dict[str, Any] | None = None
    priors_in_force: PriorsWords | None = None
    seconds: FiniteFloat = Field(ge=0)
    evaluations: int = Field(ge=0)
    factorisations: int = Field(ge=0)
    columns: dict[Shown, Column]
    meshes: dict[str, list[str]]
    crs: str | None
    label: Shown
    fixed_log_shift: Evidence = 0.0
    notes: list[Shown] = []
    log_marginal_likelihood: Evidence | None = None
    log_likelihood: Evidence | None = None
    strategy: Literal["gaussian", "vb", "simplified", "laplace"] | None = None
    moments: MomentsWords | None = None
    covariance: list[FiniteFloat | None] | None = None
    arrays: dict[str, str] | None = None
    covariates: dict[str, Any] | None = None
    graphs: dict[str, dict[str, Any]] = {}
    several: SeveralWords | None = None
    support: SupportWords | None = None
    window: WindowWords | None = None


def words_text(words: Mapping[str, Any]) -> str:
    """The words as they are written, with their own checksum; raises TypeError for what JSON cannot hold."""
    return json.dumps({**words, CHECKSUM: _sum(words)}, indent=1)


def read_words(path: Path) -> Words:
    """Read the words of a saved fit.

    Raises
    ------
    InputError
        Where the file is none, is damaged or was altered, or is of a format that this geospde does not read.
    """
    refuse_special(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is far larger than the words of a fit: it is not a saved fit")
        text = path.read_text(encoding="utf-8")
        if _depth(text) > DEEPEST:
            raise InputError(f"{path} is nested deeper than a saved fit ever is: save the fit again")
        content = json.loads(text)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"cannot read the saved fit {path} ({why}): save it again") from None
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise InputError(f"{path} is not a saved fit: it does not say of which format it is")
    if content["format"] not in READABLE:
        raise InputError(
            f"{path} holds a fit of format {str(content['format'])[:20]}, and this geospde reads "
            f"{joined([str(one) for one in READABLE])}: a newer one may read it"
        )
    checksum = content.pop(CHECKSUM, None)
    if checksum != (None if content["format"] == 1 else _sum(content)):
        raise InputError(f"{path} is not what was saved, its checksum differs: save the fit again")
    try:
        words = Words.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:60]
        raise InputError(f"{path} is not a saved fit: {place}: {first['msg'][:100]}") from None
    if words.format > 1 and words.arrays is None:
        raise InputError(f"{path} is not a saved fit: it names no arrays")
    return words


def check_shapes(path: Path, words: Words, shapes: Mapping[str, tuple[int, ...]], kinds: Mapping[str, str]) -> None:
    """Raise InputError where arrays are missing, or do not go together by their shapes.

    Parameters
    ----------
    path : Path
        Of the arrays, for the message.
    words : Words
    shapes, kinds : mapping
        Of each array, by its header.
    """
    needed = [*ALWAYS, *(f"mesh_{name}_{key}" for name, keys in words.meshes.items() for key in keys)]
    posterior = words.settings.method in ("inla", "eb")
    needed += OF_POSTERIOR if posterior else ["maximum_theta", "maximum_fixed", "maximum_x"]
    needed += [f"column_{k}" for k in range(len(words.columns))]
    if posterior:
        for name in ("modes", "means" if "modes" in shapes else "shifts", "covariances"):
            needed += [f"{name}_{part}" for part in PARTS] if f"{name}_axes" in shapes else [name]
    needed += [name for name in ("hyper_centre", "hyper_root") if {"hyper_centre", "hyper_root"} & shapes.keys()]
    for name in needed:
        if name not in shapes:
            raise InputError(f"{path} lacks the array {name[:60]!r}: save the fit again")
    sides: dict[str, int] = {}
    for name, shape in shapes.items():
        if name.startswith(OF_NUMBERS) and kinds[name] not in "fiub":
            raise InputError(f"{path}: the array {name[:60]!r} holds no numbers")
        expected = ("rows",) if name.startswith("column_") else SHAPES.get(name)
        if expected is None:
            continue
        if len(shape) != len(expected) or any(
            side != (known if isinstance(known, int) else sides.setdefault(known, side))
            for side, known in zip(shape, expected)
            if known != "any"
        ):
            raise InputError(f"{path}: the array {name[:60]!r} is of shape {shape}, which the fit's others do not fit")
        wanted = KINDS.get(name, "f" if name in FLOATS else "fiu" if name in FINITE else kinds[name])
        if kinds[name] not in wanted:
            raise InputError(f"{path}: the array {name[:60]!r} holds no numbers")
    if posterior and (sides["points"] == 0 or sides["rows"] == 0):
        raise InputError(f"{path} holds no points of a fit: save it again")


def check_values(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise InputError for numbers that no fit has: not finite, negative weights, weights that miss one."""
    for name in FINITE:
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise InputError(f"{path}: the array {name!r} holds a number that is not finite: save the fit again")
    if "weights" in arrays:
        weights = arrays["weights"]
        if (weights < 0).any() or abs(float(weights.sum()) - 1.0) > SLACK:
            raise InputError(f"{path}: the weights of its points are no probabilities: save the fit again")
    if "hyper_root" in arrays:
        _check_axes(path, arrays)


def _check_axes(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise InputError where the points of theta do not lie about its centre on the scale of its axes."""
    root, theta, weights = arrays["hyper_root"], arrays["theta"], arrays["weights"]
    fault = InputError(f"{path}: the axes of its hyperparameters do not fit its points: save the fit again")
    try:
        u = np.linalg.solve(root, (theta - arrays["hyper_centre"]).T)
    except np.linalg.LinAlgError:
        raise fault from None
    sd = np.sqrt(weights @ (u**2).T)  # about one; bent and heavy-tailed axes have others, but not by this much
    if len(theta) > 2 * len(root) and not ((sd > 0.02) & (sd < 50.0) & (np.ptp(u, axis=1) > 0.02)).all():
        raise fault


def _sum(words: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def _depth(text: str) -> int:
    """How many brackets stand within one another at most, those within strings counted too."""
    codes = np.frombuffer(text.encode(), dtype=np.uint8)
    steps = np.isin(codes, [0x5B, 0x7B]).astype(np.int64) - np.isin(codes, [0x5D, 0x7D])
    return int(np.cumsum(steps).max(initial=0))
