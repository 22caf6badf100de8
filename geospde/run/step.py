"""A step of a run, as an object: what it needs, what it makes, which files it leaves, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from geospde.run.config import Config

W = TypeVar("W")
"""What steps work on: `geospde.run.work.Work`."""


def _none(_: Config) -> Sequence[Path]:
    return ()


def _always(_: Config) -> bool:
    return True


@dataclass(frozen=True, eq=False)
class Step(Generic[W]):
    """A step of a run.

    Attributes
    ----------
    name : str
        In the record of a run, and on the command line.
    makes : str
        What sentences call that which it makes.
    do : callable
        Makes it, from what the steps before left in the work, and writes its files.
    needs : tuple of Step
        The steps that it stands on; those that these stand on need not be named.
    reads : tuple of str
        The sections of the run file that its result depends on, besides those of the steps that it stands on.
    files : tuple of str
        Patterns of the files that it writes, and writes anew.
    recall : callable, optional
        Reads again what it left in the folder, for the steps that stand on it.
    inputs : callable
        Of a run file: the files that its result depends on, besides those of the survey.
    is_wanted : callable
        Whether a run file asks for it.
    without : str
        What a sentence says where a run file does not ask for it; by default that its section is not there.
    of : str
        The step whose command does it as well, where it has none of its own.
    """

    name: str
    makes: str
    do: Callable[[W], None]
    needs: tuple[Step[W], ...] = ()
    reads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    recall: Callable[[W], None] | None = None
    inputs: Callable[[Config], Sequence[Path]] = _none
    is_wanted: Callable[[Config], bool] = _always
    without: str = ""
    of: str = ""

    @property
    def command(self) -> str:
        """The command that does it."""
        return self.of or self.name

    def before(self, config: Config) -> list[Step[W]]:
        """Return the steps that it stands on, first to last, of those that a run file asks for."""
        found: dict[Step[W], None] = {}
        for step in self.needs:
            if step.is_wanted(config):
                found.update(dict.fromkeys([*step.before(config), step]))
        return list(found)

    def sections(self, config: Config) -> list[str]:
        """Return the sections of the run file that its result depends on."""
        return [section for step in (*self.before(config), self) for section in step.reads]

    def files_read(self, config: Config) -> list[Path]:
        """Return the files that its result depends on, besides those of the survey."""
        return [path for step in (*self.before(config), self) for path in step.inputs(config)]
