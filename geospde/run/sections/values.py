"""What stands in sections of a run file: numbers, flags, texts, and what sections have in common."""

from __future__ import annotations

from typing import Annotated, Any
from unicodedata import category

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from geospde.text.arguments import MOST_DRAWS as MOST_DRAWS
from geospde.text.words import in_brief


def _pair(value: Any) -> Any:
    """Let a key of the mesh be one number or two: inner zone, outer zone."""
    numbers = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(numbers) <= 2 or not all(is_number(n) for n in numbers):
        raise ValueError(f"must be a number or two, [inner, outer], not {in_brief(value)}")
    return tuple(float(n) for n in numbers) if isinstance(value, list | tuple) else float(value)


def is_number(value: Any) -> bool:
    """Tell whether a value of a run file is a number that one can count with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _printable(value: Any) -> Any:
    """Refuse text that commands a terminal, or that no path, picture or XML can hold, and books."""
    if isinstance(value, str) and len(value) > MOST_LETTERS:
        raise ValueError(f"has {len(value):,} letters, more than {MOST_LETTERS:,}")
    if isinstance(value, str) and (odd := next((c for c in value if category(c) == "Cc" and c not in "\t\n\r"), None)):
        raise ValueError(f"has the control character {odd!r}: take it out")
    return value


MOST_LETTERS = 100_000  # of a text
LARGEST = 1e15  # of any number in a run file
MOST_VERTICES = 50_000_000  # of what a mesh may be allowed
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(strict=True, ge=1)]
MOST_LAYERS = 100  # of one kind
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Flag = Annotated[bool, Field(strict=True)]
Pair = Annotated[Any, BeforeValidator(_pair)]
Text = Annotated[str, Field(strict=True, min_length=1), BeforeValidator(_printable)]
Title = Annotated[Text, Field(max_length=200)]  # of maps and tables


class Section(BaseModel):
    """A section: unknown keys are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self, *names: str) -> dict[str, Any]:
        """Return the keys that the run file sets: defaults are the business of the functions they go to."""
        return {n: getattr(self, n) for n in names or type(self).model_fields if n in self.model_fields_set}
