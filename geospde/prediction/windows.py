"""Windows of a grid, whole rows at a time: predicted one after the other into a file that an interruption leaves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError, NumericalError
from geospde.prediction.computed.registry import computed_layer
from geospde.prediction.grid import Grid
from geospde.prediction.layer import Layer
from geospde.prediction.layers import Layers
from geospde.prediction.places import places
from geospde.prediction.surface import Predictor
from geospde.text.words import counted, listed

Values = NDArray[np.float32]
CELLS = 500_000  # of a window: some 200 MB at work
HEADER = 64  # bytes: a SHA-256 as text


class Window(NamedTuple):
    """Some whole rows of a grid.

    Attributes
    ----------
    rows : slice
        Of `Grid.mask`, counted from the south.
    cells : slice
        Where its predicted cells stand in `Grid.centres`.
    """

    rows: slice
    cells: slice

    @property
    def size(self) -> int:
        """Number of predicted cells."""
        return int(self.cells.stop) - int(self.cells.start)

    def of(self, grid: Grid) -> Grid:
        """Return the window's part of a grid."""
        return replace(grid, y0=grid.y0 + self.rows.start * grid.dy, mask=grid.mask[self.rows], domain=None)


def windows(grid: Grid, cells: int = CELLS) -> list[Window]:
    """Cut a grid into windows of at most so many predicted cells, or one row; rows without any are left out."""
    before = np.concatenate([[0], np.cumsum(np.count_nonzero(grid.mask, axis=1))])
    found, low = [], 0
    while low < grid.rows:
        high = max(int(np.searchsorted(before, before[low] + cells, side="right")) - 1, low + 1)
        if before[high] > before[low]:
            found.append(Window(slice(low, high), slice(int(before[low]), int(before[high]))))
        low = high
    return found


@dataclass(frozen=True, eq=False)
class WindowPredictor:
    """Predicts parts of a grid into plain numbers.

    Attributes
    ----------
    predictor : Predictor
    computed : tuple of str
        Names of computed layers, after those of the predictor.
    """

    predictor: Predictor
    computed: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What the columns mean."""
        return (*self.predictor.layers, *(computed_layer(name).layer for name in self.computed))

    def __call__(self, part: Grid) -> Values:
        """Predict the cells of a part of a grid, (cells, layers): NaN in those that miss a covariate.

        Raises
        ------
        NumericalError
            Where the prediction is not finite.
        """
        out = np.full((part.n, len(self.layers)), np.nan, dtype=np.float32)
        place = places(self.predictor.model, part, is_part=True)
        if place.grid is None:
            return out
        frame, _ = self.predictor.columns(place, self.predictor.table(place))
        finite = np.isfinite(frame.to_numpy(dtype=float))
        if not finite.all():
            raise NumericalError(
                f"the prediction is not finite in {counted(int((~finite.all(axis=1)).sum()), 'cell')} "
                f"({listed(frame.columns[~finite.all(axis=0)])}): the data say too little for these priors"
            )
        layers = Layers(self.predictor.label, frame, self.predictor.layers)
        for name in self.computed:
            layers = layers.with_layer(name)
        out[place.grid.mask[part.mask]] = layers.frame.to_numpy(dtype=float)
        return out

    def identity(self, grid: Grid, cut: Iterable[Window]) -> str:
        """Return a hash of all that the numbers depend on: the fit, what is predicted, the grid and its windows."""
        asked, covariates = self.predictor, self.predictor.model.covariates
        left_out = [term.label for term in asked.options["leave_out"]]
        digest = hashlib.sha256(self.predictor.whole.identity().encode())
        words = (
            grid.x0, grid.y0, grid.dx, grid.dy, grid.shape, [tuple(window.cells.indices(grid.n)) for window in cut],
            [layer.to_json() for layer in self.layers], asked.words, dict(asked.at or {}), asked.exposure, asked.offset,
            left_out, asked.options["allow_new_levels"], _files(covariates),
        )  # fmt: skip
        digest.update(repr(words).encode())
        digest.update(np.packbits(grid.mask).tobytes())
        return digest.hexdigest()


def predicted(part: Grid, predictor: WindowPredictor) -> Values:
    """Numbers of a part of a grid: a task of its own."""
    return predictor(part)


def _files(covariates: Any) -> list[tuple[str, int, int]]:
    """Return the covariates' files as they are now: path, bytes, time of the last change."""
    named = [] if covariates is None else [path for one in covariates.covariates for path in one.files]
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in named if path.is_file()]


class WindowFile:
    """A file of finished windows, in order: a context manager, which leaves the file whatever happens.

    One process at a time has it, where the system has locks.

    Parameters
    ----------
    path : pathlib.Path
        A file of another identity is written anew.
    identity : str
        What the numbers are of, 64 characters.
    cut : sequence of Window
    bands : int

    Raises
    ------
    InputError
        Where it cannot be written, or another process is at work on it.
    """

    def __init__(self, path: Path, identity: str, cut: Sequence[Window], bands: int):
        self.path, self.windows, self.bands = path, cut, bands
        self._identity = identity.encode()

    def __enter__(self) -> WindowFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            self._file = self.path.open("r+b")
            if not _locked(self._file):
                self._file.close()
                raise InputError(f"another process is at work on {self.path}: wait for it, or write another file")
            if self._file.read(HEADER) != self._identity:
                self._file.seek(0)
                self._file.truncate()
                self._file.write(self._identity)
                self._file.flush()
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error
        size = self.path.stat().st_size
        self.done = sum(self._end(window) <= size for window in self.windows)
        self._file.truncate(self._end(self.windows[self.done - 1]) if self.done else HEADER)
        self._file.seek(0, os.SEEK_END)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def to_do(self) -> Sequence[Window]:
        """The windows that are not finished yet."""
        return self.windows[self.done :]

    def append(self, values: Values) -> None:
        """Write the next window, so that it survives what comes."""
        try:
            self._file.write(values.tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error
        self.done += 1

    def read(self, cells: slice) -> Values:
        """Return the numbers of some cells, (cells, bands), once their windows are finished."""
        self._file.seek(HEADER + 4 * self.bands * cells.start)
        count = (cells.stop - cells.start) * self.bands
        return np.fromfile(self._file, dtype=np.float32, count=count).reshape(-1, self.bands)

    def each(self, cells: int = CELLS) -> Iterator[Values]:
        """Numbers of all cells, so many at a time."""
        total = self.windows[-1].cells.stop
        for first in range(0, total, cells):
            yield self.read(slice(first, min(first + cells, total)))

    def _end(self, window: Window) -> int:
        return HEADER + 4 * self.bands * int(window.cells.stop)


def _locked(file: BinaryIO) -> bool:
    """Take a file's lock until it is closed; tell whether no other process has it."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a network drive without locks
            pass
    return True
