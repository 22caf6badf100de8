"""One sentence for what a run file says wrongly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from geospde.text.words import did_you_mean, in_brief, listed


def sentence_of(
    error: ValidationError, keys: Mapping[str, Any], name: str, text: str, sections: Mapping[str, Any]
) -> str:
    """Turn pydantic's first complaint, unknown keys before all others, into one sentence.

    Parameters
    ----------
    error : ValidationError
    keys : mapping
        What was read.
    name, text : str
        Of the run file.
    sections : mapping
        The class of each section, by name.
    """
    faults = error.errors(include_url=False)
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    if not fault["loc"]:  # of several sections, which the sentence names itself
        message = str(fault["ctx"]["error"])
        named = re.match(r"\[(\w+)\](?: (\w+))?", message)
        line = _line_of(text, named[1], named[2]) if named else None
        return f"{name}, line {line}: {message}" if line else f"{name}: {message}"
    section, *rest = (str(part) for part in fault["loc"])
    number = int(rest.pop(0)) if rest and isinstance(fault["loc"][1], int) else None  # of an array of tables
    key = rest[0] if rest else None
    line = _line_of(text, section, key, number or 0)
    place = f"{name}, line {line}:" if line else f"{name}:"
    owner = f"[{section}]" if number is None else f"[[{section}]] number {number + 1}"
    match fault["type"]:
        case "tuple_type" if key is None and number is None:
            return f"{place} write [[{section}]], with two brackets, above each of several, not [{section}]"
        case "extra_forbidden" if key is None:
            if isinstance(keys.get(section), Mapping):
                return f"{place} there is no section {owner}: {did_you_mean(section, sections, 'sections')}"
            return f"{place} {section!r} stands outside of any section: {_home(section, sections)}"
        case "extra_forbidden":
            return f"{place} {owner} has no key {key!r}: {_home(str(key), sections, section)}"
        case "missing" if key is None:
            return f"{place} the section {owner} is missing"
        case "missing":
            return f"{place} {owner} needs the key {key!r}"
        case "literal_error":
            known = re.findall(r"'([^']+)'", fault["ctx"]["expected"])
            return f"{place} {owner} {key} must be one of {listed(known)}, not {in_brief(fault['input'])}"
        case "value_error":
            return f"{place} {' '.join(filter(None, [owner, key]))} {fault['ctx']['error']}"
        case "too_long" | "string_too_long":
            most, of = fault["ctx"]["max_length"], "letters" if isinstance(fault["input"], str) else "entries"
            return f"{place} {owner} {key} is too long: {most} {of} are the most"
        case "model_type" | "model_attributes_type":
            return f"{place} {owner} must be a section with keys, not {in_brief(fault['input'])}"
    what = lower_first(fault["msg"]).removeprefix("input ").replace("should be", "must be")
    what = what.replace("a valid string", "text in quotes").replace("a valid integer", "a whole number")
    what = what.replace("a valid ", "a ")
    what = what.replace("a boolean", "true or false").replace("greater than or equal to", "at least")
    return f"{place} {' '.join(filter(None, [owner, key]))} {what}, not {in_brief(fault['input'])}"


def _home(key: str, sections: Mapping[str, Any], section: str | None = None) -> str:
    """Return the end of a sentence about a key that its section does not know."""
    keys = {name: list(getattr(s, "model_fields", ())) for name, s in sections.items()}
    for name, known in keys.items():
        if key in known and name != "observations":
            return f"it belongs into [{name}]"
    return did_you_mean(key, keys[section], "keys") if section else did_you_mean(key, keys, "sections")


def _line_of(text: str, section: str, key: str | None, before: int = 0) -> int | None:
    """Return the line of a key, else of its section's header, in a run file's text; of the one after others."""
    here, found = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[{1,2}\s*\"?([\w-]+)\"?\s*\]", line):
            here = header[1]
            if here == section and before > 0:
                here, before = "", before - 1
            elif here == section and found is not None:  # the next of an array
                return found
            elif here == section:
                found = number
                if key is None:
                    return number
        elif match := re.match(r"\s*(?:\"([^\"]+)\"|([\w-]+))\s*=", line):
            name = match[1] or match[2]
            if (here == section and name == key) or (not here and name == section):
                return number
    return found


def lower_first(sentence: str) -> str:
    """Return a sentence with a small first letter."""
    return sentence[:1].lower() + sentence[1:]
