"""The log file of a run: in its folder, or beside where that would have been if the run failed."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geospde.errors import GeospdeError, InputError
from geospde.export.provenance import machine, versions
from geospde.run.progress import StepLog

LOG = "run.log"


def begin(log: StepLog, what: str) -> None:
    """Write the head of a log: what is done, with which versions, on which machine."""
    found = versions()
    log.say(f"geospde {found.pop('geospde')}: {what}")
    log.say(", ".join(f"{name} {version}" for name, version in found.items()))
    computer = machine()
    log.say(f"{computer['platform']}, {computer['processors']} processors")


@contextmanager
def keep_log(log: StepLog, target: Path) -> Iterator[None]:
    """Keep the log of what fails inside for no mistake of the user's, and add to the error where it is.

    Parameters
    ----------
    log : StepLog
    target : pathlib.Path
        The run's folder. The log goes beside it, as ``<target>-failed.log``, or among the temporary files where that
        cannot be written.
    """
    try:
        yield
    except (InputError, BrokenPipeError):  # one sentence, or nobody to hear any: nothing is left behind
        raise
    except Exception as error:
        log.say(f"failed: {type(error).__name__}: {error}")
        if not isinstance(error, GeospdeError):
            log.say(traceback.format_exc())
        path = _write(log, target)
        if path is not None:
            error.add_note(f"the log is {path}")
        raise


def _write(log: StepLog, target: Path) -> Path | None:
    """Write a failed run's log and return where; None if nothing can be written anywhere."""
    whole = Path(os.path.abspath(target.expanduser()))
    name = f"{whole.name or 'geospde'}-failed.log"
    for folder in (whole.parent, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(log.text(), encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return None
