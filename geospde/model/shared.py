"""How the formulas of several likelihoods name what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geospde.errors import InputError
from geospde.formula.elsewhere import Summand, summands
from geospde.formula.parser import parse_expression, parse_sides
from geospde.formula.syntax import Call, Chain, Node, Signed, Symbol
from geospde.model.observations import Observations

NO_INTERCEPT = (("+", "0"), ("-", "1"))  # a sign and a summand that say so


@dataclass(frozen=True)
class Written:
    """A formula without its shared terms."""

    formula: str
    places: dict[str, tuple[int, ...]]  # of each shared term: itself, its copies
    shared_fixed: tuple[Summand, ...]  # of fixed effects that stand in terms=


def _summands(node: Node) -> list[tuple[str, Node]]:
    """Signs and summands of a right side."""
    if isinstance(node, Chain) and node.rank == 1:
        out = _summands(node.first)
        for sign, operand in node.rest:
            out += _summands(operand) if sign == "+" else [(sign, operand)]
        return out
    if isinstance(node, Signed):
        return [(node.sign, node.operand)]
    return [("+", node)]


def written_out(o: Observations, shared: Mapping[str, str], calls: dict[str, Any], copies: Counter[str]) -> Written:
    """Take shared terms out of a formula, and write shared fixed effects out."""
    left, right = parse_sides(o.formula)
    kept: list[str] = []
    fixed: list[Summand] = []
    places: dict[str, tuple[int, ...]] = {}
    has_intercept = any(sign == "+" and str(node) == "1" for sign, node in _summands(right))
    for sign, node in _summands(right):
        if isinstance(node, Symbol) and sign == "+" and node.name in shared:
            if calls[node.name] is None:
                inner = _summands(parse_expression(shared[node.name]))
                fixed += summands(shared[node.name])
                # what is shared having no intercept, the likelihood may have its own
                kept += [f"{s} {n}" for s, n in inner if not (has_intercept and (s, str(n)) in NO_INTERCEPT)]
            else:
                places[node.name] = (*places.get(node.name, ()), 0)
        elif isinstance(node, Call) and node.function == "copy":
            inside = node.arguments[0] if len(node.arguments) == 1 and not node.options else None
            if not isinstance(inside, Symbol) or calls.get(inside.name) is None:
                raise InputError(f"copy(name) takes the name of a shared term of terms=: {node}")
            copies[inside.name] += 1
            places[inside.name] = (*places.get(inside.name, ()), copies[inside.name])
        else:
            kept.append(f"{sign} {node}")
    return Written(f"{left} ~ {' '.join(kept).removeprefix('+ ') or '1'}", places, tuple(fixed))
