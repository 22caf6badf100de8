"""Several run files side by side, each in a process of its own: what fails there stops none of the others."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.text.files import whole_file

TABLE, PAGE = "runs.csv", "runs.html"
COLUMNS = ("run_file", "survey", "state", "seconds", "warnings", "folder", "error")


@dataclass(frozen=True)
class Outcome:
    """What became of one run file.

    Attributes
    ----------
    run_file : pathlib.Path
    exit_code : int
        As of ``geospde run`` by itself.
    seconds : float
        Wall time, imports included.
    content : dict
        What ``geospde run --json`` prints; empty where it failed.
    error : str
        One sentence; empty where all is well.
    """

    run_file: Path
    exit_code: int
    seconds: float
    content: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def state(self) -> str:
        """``"mapped"``, ``"refused"`` for a mistake in the input, or ``"failed"``."""
        return {0: "mapped", 2: "refused"}.get(self.exit_code, "failed")

    @property
    def folder(self) -> Path | None:
        """The run's folder; None where there is none."""
        return Path(self.content["folder"]) if self.content else None

    @property
    def survey(self) -> str:
        """Name of the survey; of the run file where it was not read."""
        return str(self.content.get("name", self.run_file.stem))

    @property
    def picture(self) -> str | None:
        """The map to show first, within the folder."""
        maps = [name for name in self.content.get("files", ()) if name.startswith("figures/") and name.endswith(".png")]
        first = (name for start in ("mean", "regions-") for name in maps if Path(name).stem.startswith(start))
        return next(first, maps[0] if maps else None)

    def row(self) -> dict[str, Any]:
        """One row of the table over all runs."""
        warned = len(self.content.get("warnings", ())) if self.content else ""
        folder = "" if self.folder is None else str(self.folder)
        values = (str(self.run_file), self.survey, self.state, round(self.seconds, 1), warned, folder, self.error)
        return dict(zip(COLUMNS, values))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types."""
        return {"run_file": str(self.run_file), "exit_code": self.exit_code, "error": self.error, **self.content}


def listed_files(sources: Sequence[Path]) -> list[Path]:
    """Return run files as they are given, and of each folder those in it, by name.

    Raises
    ------
    InputError
        If a folder holds no ``.toml`` file, or a file is given twice.
    """
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted(source.glob("*.toml"))
            if not inside:
                raise InputError(f"there is no run file, *.toml, in the folder {str(source)!r}")
            files += inside
        else:
            files.append(source)
    twice = [path for path, times in Counter(path.resolve() for path in files).items() if times > 1]
    if twice:
        raise InputError(f"the run file {str(twice[0])!r} is given twice")
    return files


def folders_of(files: Sequence[Path], out: Path | None) -> list[Path | None]:
    """Return the folder that each run is to write, None for a run file that cannot be read: its run says why.

    With `out` they are folders in it, named after the run files, and after their folders where names are alike.

    Raises
    ------
    InputError
        If two runs would write one folder.
    """
    from geospde.run.config import read_config

    if out is not None:
        stems = Counter(path.stem for path in files)
        names = [p.stem if stems[p.stem] == 1 else f"{p.resolve().parent.name}-{p.stem}" for p in files]
        folders: list[Path | None] = [out / name for name in names]
    else:
        folders = []
        for path in files:
            try:
                folders.append(read_config(path).folder())
            except InputError:
                folders.append(None)
    seen: dict[Path, Path] = {}
    for path, folder in zip(files, folders):
        if folder is None:
            continue
        if (other := seen.setdefault(folder.resolve(), path)) is not path:
            raise InputError(
                f"{other} and {path} would both write the folder {str(folder)!r}",
                remedy="give each another [output] dir, or name a folder for all by --out",
            )
    return folders


def run_all(
    files: Sequence[Path],
    folders: Sequence[Path | None],
    *,
    overwrite: bool,
    jobs: int | None,
    tell: Callable[[Outcome], None],
    scheduler: str | None = None,
) -> list[Outcome]:
    """Run the files, some at a time, and return their outcomes in the order of the files.

    Parameters
    ----------
    files, folders
        As of `listed_files` and `folders_of`.
    overwrite : bool
        Replace earlier runs' folders.
    jobs : int, optional
        How many at a time; by default as many as there are processors.
    tell : callable
        Told of each as it ends.
    scheduler : str, optional
        Of a Dask cluster, whose workers see the same files: each takes runs, one a core.
    """
    if scheduler is not None:
        return _on_cluster(files, folders, overwrite, tell, scheduler)
    processes = _Processes()

    def one(path: Path, folder: Path | None) -> Outcome:
        outcome = processes.run(path, folder, overwrite)
        tell(outcome)
        return outcome

    with ThreadPoolExecutor(min(jobs or os.cpu_count() or 1, len(files))) as pool:
        waiting = [pool.submit(one, *pair) for pair in zip(files, folders)]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            for future in waiting:
                future.cancel()
            processes.stop()
            raise


def _on_cluster(
    files: Sequence[Path],
    folders: Sequence[Path | None],
    overwrite: bool,
    tell: Callable[[Outcome], None],
    scheduler: str,
) -> list[Outcome]:
    """Run the files on the workers of a cluster."""
    from geospde.linalg.executor import cluster

    outcomes = []
    places = [(path.absolute(), None if folder is None else folder.absolute()) for path, folder in zip(files, folders)]
    with cluster(scheduler) as workers:
        for path, outcome in zip(files, workers.map(partial(run_one, overwrite=overwrite), places)):
            outcomes.append(replace(outcome, run_file=path))
            tell(outcomes[-1])
    return outcomes


def run_one(where: tuple[Path, Path | None], overwrite: bool) -> Outcome:
    """Run one file in a process of its own."""
    return _Processes().run(*where, overwrite)


class _Processes:
    """The processes of runs, which end together when they are told to."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def run(self, path: Path, folder: Path | None, overwrite: bool) -> Outcome:
        command = [sys.executable, "-m", "geospde", "run", str(path), "--json"]
        command += ["--overwrite"] * overwrite + ([] if folder is None else ["--out", str(folder)])
        start = time.perf_counter()
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", errors="replace",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        with self._lock:
            self._running.add(process)
        out, said = process.communicate()
        with self._lock:
            self._running.discard(process)
        seconds, code = time.perf_counter() - start, process.returncode
        if code == 0:
            return Outcome(path, 0, seconds, json.loads(out))
        return Outcome(path, code if code > 0 else 1, seconds, error=_sentence(said, code))

    def stop(self) -> None:
        """End all: each clears away what it has half written."""
        with self._lock:
            for process in self._running:
                process.terminate()


def _sentence(said: str, code: int) -> str:
    """Return the sentence that a command ends with on standard error."""
    sentences = [line.removeprefix("geospde: ") for line in said.splitlines() if line.startswith("geospde: ")]
    if sentences:
        return sentences[-1]
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}, as a machine short of memory does"
    return f"it ended with code {code} and said nothing"


def _common(folders: Sequence[Path]) -> Path:
    """Return the folder that holds all of these; where that is none or a whole drive, the current one."""
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:
        return Path(".")
    return Path(".") if common == Path(common.anchor) else common


def write_summary(outcomes: Sequence[Outcome], folders: Sequence[Path | None], out: Path | None) -> Path:
    """Write the table and the page over all runs into `out`, by default where their folders are; return the page."""
    import jinja2

    there = [outcome.folder or folder for outcome, folder in zip(outcomes, folders)]
    home = out or _common([folder.resolve().parent for folder in there if folder is not None])
    with (
        whole_file(home / TABLE, make_folders=True) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(outcome.row() for outcome in outcomes)

    def link(outcome: Outcome, name: str) -> str:
        assert outcome.folder is not None
        return Path(os.path.relpath(outcome.folder.resolve() / name, home.resolve())).as_posix()

    template = (Path(__file__).parent / "runs.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    with whole_file(home / PAGE) as partial:
        partial.write_text(page.render(outcomes=outcomes, link=link), encoding="utf-8")
    return home / PAGE
