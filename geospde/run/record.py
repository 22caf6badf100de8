"""``run.json``: what a run's folder was made from, step by step, and whether that still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.export.provenance import machine, sha256, versions, write_json
from geospde.run.config import Config
from geospde.run.progress import StepLog
from geospde.run.step import Step
from geospde.survey.survey import Survey
from geospde.text.files import refuse_special

MARK = "run.json"


class Record:
    """What is known of a run's folder, and added to it by each step.

    Parameters
    ----------
    config : Config
    survey : Survey
    log : StepLog
        Gives seconds and warnings.
    before : mapping, optional
        What ``run.json`` said before, see `read_record`.
    """

    def __init__(self, config: Config, survey: Survey, log: StepLog, before: Mapping[str, Any] | None = None) -> None:
        self._config, self._now, self._log = config, config.settings(), log
        self._before = before or {}
        self._survey = survey.name
        self._inputs = [_input(path) for path in survey.sources]
        self._of_steps = {e["path"]: e for e in self._before.get("inputs", ()) if e.get("of_step")}
        self._steps = dict(self._before.get("steps", {}))
        self._settings = dict(self._before.get("configuration", {}))
        self._reported = 0

    def done(self, step: Step[Any]) -> None:
        """Note that a step is done, from the configuration and the inputs as they are."""
        for section in step.reads:
            self._settings.pop(section, None)
            if section in self._now:
                self._settings[section] = self._now[section]
        for path in step.inputs(self._config):
            entry = _input(path)
            self._of_steps[entry["path"]] = entry
        self._steps[step.name] = {
            "finished": _clock(),
            "made_from": self._fingerprint(step),
            "warnings": self._log.warnings[self._reported :],
        }
        self._reported = len(self._log.warnings)

    def is_current(self, step: Step[Any]) -> bool:
        """Tell whether a step was done with the inputs, and the settings up to it, that the run file has now."""
        return bool(self._steps.get(step.name, {}).get("made_from") == self._fingerprint(step))

    def require(self, step: Step[Any], folder: Path) -> None:
        """Raise an InputError, which says what to do, unless `is_current`."""
        if self.is_current(step):
            return
        made, command = step.makes, f"geospde {step.command} {self._config.file or 'RUN.toml'}"
        if step.name not in self._steps:
            raise InputError(f"{folder} holds no {made} yet", remedy=f"{command} comes first")
        was = "were" if made.endswith("s") else "was"
        if changed := self._changed(step):
            what = f"{' and '.join(changed)} changed since the {made} in {folder} {was} made"
        else:
            earlier = " or ".join(other.makes for other in step.before(self._config))
            what = f"the {made} in {folder} {was} made from an earlier {earlier}"
        raise InputError(what, remedy=f"{command} makes it again")

    def _changed(self, step: Step[Any]) -> list[str]:
        """Return the sections and the files that are other than they were when the step was done."""
        known = {entry["sha256"] for entry in self._before.get("inputs", ())}
        sections = step.sections(self._config)
        changed = [f"[{name}]" for name in sections if _shared(self._now, name) != _shared(self._settings, name)]
        read = [*self._inputs, *map(_input, step.files_read(self._config))]
        return changed + [Path(entry["path"]).name for entry in read if entry["sha256"] not in known]

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of each step, the latest."""
        return {**self._before.get("seconds", {}), **self._log.seconds}

    @property
    def warnings(self) -> list[str]:
        """Those of every step, the latest, each once."""
        of_steps = (warning for step in self._steps.values() for warning in step["warnings"])
        return list(dict.fromkeys([*of_steps, *self._log.warnings[self._reported :]]))

    def write(self, folder: Path) -> None:
        """Write ``run.json``."""
        inputs = [*([_input(self._config.file)] if self._config.file else []), *self._inputs]
        inputs += [{**entry, "of_step": True} for entry in self._of_steps.values()]
        write_json(
            folder / MARK,
            {
                "run_file": str(self._config.file) if self._config.file else None,
                "survey": self._survey,
                "started": self._before.get("started") or self._log.started.isoformat(timespec="seconds"),
                "finished": _clock(),
                "seconds": self.seconds,
                "configuration": {s: self._settings[s] for s in Config.model_fields if s in self._settings},
                "inputs": inputs,
                "warnings": self.warnings,
                "steps": self._steps,
                "versions": versions(),
                "machine": machine(),
            },
        )

    def _fingerprint(self, step: Step[Any]) -> str:
        """Return a hash of all that a step's result depends on."""
        settings = [_shared(self._now, section) for section in step.sections(self._config)]
        read = [*self._inputs, *map(_input, step.files_read(self._config))]
        inputs = [entry["sha256"] for entry in read]
        return hashlib.sha256(json.dumps([settings, inputs], sort_keys=True).encode()).hexdigest()


def read_record(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` says.

    Raises
    ------
    InputError
        If the folder is not there, or is no run's.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}")
    refuse_special(folder / MARK)
    try:
        content: dict[str, Any] = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} is not the folder of a run: it holds no {MARK}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder / MARK} cannot be read: {error}", remedy="run again with --overwrite") from None
    if not _is_record(content):
        raise InputError(f"{folder / MARK} is not what a run writes", remedy="run again with --overwrite")
    return content


def _is_record(content: Any) -> bool:
    """Tell whether content has the shape that `Record` relies on."""
    if not isinstance(content, dict) or not isinstance(content.get("configuration"), dict):
        return False
    steps, inputs = content.get("steps", {}), content.get("inputs", [])
    return (
        isinstance(content.get("seconds", {}), dict)
        and isinstance(content.get("warnings", []), list)
        and isinstance(steps, dict)
        and all(isinstance(step, dict) and isinstance(step.get("warnings"), list) for step in steps.values())
        and isinstance(inputs, list)
        and all(isinstance(entry, dict) and "sha256" in entry for entry in inputs)
    )


def _shared(settings: Mapping[str, Any], section: str) -> Any:
    """Return a section without what changes no result: where the folder is."""
    keys = settings.get(section)
    return {k: v for k, v in keys.items() if k != "dir"} if section == "output" and keys else keys


def _input(path: Path) -> dict[str, Any]:
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
