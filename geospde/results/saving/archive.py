"""Arrays in a zip of ``.npy`` files (an ``npz``): each with its checksum, read back within the size that it may have.

Nothing that a file says is believed before it is looked at: no pickles, no other compression than numpy's, no array
larger than its own header, the zip's directory and the bytes that are there allow.
"""

import hashlib
import math
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.text.files import refuse_special
from geospde.text.memory import memory_limit
from geospde.text.words import bytes_of

KINDS = "fiubU"  # of arrays: numbers, truths and words
FLOATS = (4, 8)  # bytes of floating-point numbers: half and quadruple ones are of no fit
DEFLATE = 1032  # bytes at most that a byte of deflate stands for
HEADER = 4096
_FAULTS = (
    zipfile.BadZipFile, zlib.error, struct.error, TokenError, EOFError, OSError, NotImplementedError, RuntimeError,
    ValueError, TypeError, KeyError, SyntaxError, MemoryError, OverflowError,
)  # fmt: skip
_TIME = (1980, 1, 1, 0, 0, 0)  # two archives of the same arrays are the same file


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> dict[str, str]:
    """Write arrays; return the SHA-256 of each member."""
    sums = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                out = _Hashed(member)
                npy.write_array(out, np.asanyarray(values), allow_pickle=False)
            sums[name] = out.sum.hexdigest()
    return sums


Shape = tuple[int, ...]


class Archive:
    """An open ``npz`` whose members were looked at, and not yet read.

    Attributes
    ----------
    path : Path
    shapes : dict of str to tuple of int
        Of each array, by its header.
    kinds : dict of str to str
        What each holds, as `numpy.dtype.kind`.

    Raises
    ------
    InputError
        Where the file is damaged, or claims to hold what it cannot.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_special(path)
        with _explain_damage(path), zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _refuse_large(path, infos)
            named = {_name(path, info): info for info in infos}
            if len(named) < len(infos):
                twice = Counter(info.filename for info in infos).most_common(1)[0][0]
                raise InputError(f"{path} holds {twice[:60]!r} twice, as no saved fit does: save the fit again")
            self._members = {name: _look(path, archive, info) for name, info in named.items()}
        self.shapes = {name: member.shape for name, member in self._members.items()}
        self.kinds = {name: member.dtype.kind for name, member in self._members.items()}

    def read(self, sums: Mapping[str, str] | None = None) -> dict[str, NDArray[Any]]:
        """Read all arrays.

        Parameters
        ----------
        sums : mapping of str to str, optional
            The SHA-256 of each member; without them its CRC alone is looked at.

        Raises
        ------
        InputError
            Where a member is damaged, or another than was written.
        """
        if sums is not None and (odd := set(self._members) ^ set(sums)):
            word = "lacks" if min(odd) in sums else "has, and should not have,"
            raise InputError(f"{self.path} {word} the array {min(odd)[:60]!r}: save the fit again")
        arrays = {}
        with _explain_damage(self.path), zipfile.ZipFile(self.path) as archive:
            for name, member in self._members.items():
                data = archive.read(member.file)
                if sums is not None and hashlib.sha256(data).hexdigest() != sums[name]:
                    raise InputError(
                        f"{self.path}: the array {name[:60]!r} is not what was saved, its checksum differs: "
                        "save the fit again"
                    )
                flat = np.frombuffer(data, member.dtype, offset=member.start)
                native = member.dtype.newbyteorder("=")  # whatever the machine that wrote it
                arrays[name] = flat.reshape(member.shape, order=member.order).astype(native)
        return arrays


class _Member(NamedTuple):
    """An array as its header describes it."""

    file: str
    shape: Shape
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    start: int


class _Hashed:
    """A file to write to that sums what passes."""

    def __init__(self, file: Any) -> None:
        self._file, self.sum = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        """Pass data on."""
        self.sum.update(data)
        return int(self._file.write(data))


def _name(path: Path, info: zipfile.ZipInfo) -> str:
    """The array's name; raises InputError for a member that is no array, or is packed as numpy never does."""
    if not info.filename.endswith(".npy") or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{path} holds {info.filename[:60]!r}, which no saved fit has")
    if info.flag_bits & 1:
        raise InputError(f"{path} is encrypted, as no saved fit is")
    return info.filename.removesuffix(".npy")


def _refuse_large(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise InputError where members claim more than their bytes can be, or than memory holds."""
    there, total = path.stat().st_size, 0
    for info in members:
        total += info.file_size
        if info.compress_size > there or info.file_size > DEFLATE * info.compress_size + HEADER:
            raise InputError(f"{path}: {info.filename[:60]!r} claims {bytes_of(info.file_size)}, which it cannot hold")
    memory = memory_limit()
    if memory is not None and total > memory:
        raise InputError(f"{path} holds {bytes_of(total)} of arrays, and this machine has {bytes_of(memory)} of memory")


def _look(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    """A member's header; raises InputError where the member has another size than it says."""
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if read_header is None:
            raise ValueError(f"an array of version {version}")
        shape, fortran, dtype = read_header(member, max_header_size=HEADER)
        start = member.tell()
    size = dtype.itemsize * math.prod(shape)
    odd = dtype.kind not in KINDS or dtype.itemsize == 0 or (dtype.kind == "f" and dtype.itemsize not in FLOATS)
    if odd or min(shape, default=0) < 0 or size != info.file_size - start:
        raise InputError(f"{path}: {info.filename[:60]!r} is no array of numbers or words that its header describes")
    return _Member(info.filename, shape, dtype, "F" if fortran else "C", start)


@contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    """Say in a sentence what zip files and headers that are damaged raise."""
    try:
        yield
    except InputError:
        raise
    except _FAULTS as error:
        why = " ".join(str(error).split())[:80]
        raise InputError(f"{path} is damaged, or not a saved fit{f' ({why})' if why else ''}: save it again") from None
