"""The algebra of terms: a sum such as ``a*b + x - 1`` as terms of crossed variables, and how factors are coded.

The signs mean what they mean in R (Wilkinson & Rogers 1973, Applied Statistics 22, 392-399); the coding is of full
rank, whichever terms there are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NoReturn

from geospde.errors import InputError
from geospde.formula.parser import excerpt
from geospde.formula.syntax import Bar, Call, Chain, Constant, Listing, Node, Power, Signed, Symbol, spelling

MOST_CROSSED = 6  # signs of crossing in a term, and the highest power: more would make hundreds of columns
MOST_TERMS = 10_000
Term = tuple[Node, ...]


@dataclass(frozen=True)
class Sum:
    """Terms of a sum.

    Attributes
    ----------
    intercept : bool
    terms : tuple of tuple of Node
        Each the variables that are crossed; in the order in which they are written.
    notes : tuple of str
        What was read otherwise than one may think.
    """

    intercept: bool
    terms: tuple[Term, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, steps: Sequence[tuple[str, Node]], text: str) -> "Sum":
        """Add and take out what pairs of a sign and a summand say, of a formula."""
        reader = _Reader(text)
        terms = reader.joined(steps)
        return cls(terms.intercept is not False, tuple(terms.crossed.values()), tuple(dict.fromkeys(reader.notes)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The terms as tables have them."""
        return tuple(":".join(map(spelling, term)) for term in self.terms)

    def __str__(self) -> str:
        return " + ".join([str(int(self.intercept)), *(":".join(map(str, term)) for term in self.terms)])


class _Terms:
    """Terms by the variables that they cross; the intercept is said to be in, to be out, or not mentioned."""

    def __init__(self, intercept: bool | None = None):
        self.crossed: dict[frozenset[str], Term] = {}
        self.intercept = intercept

    def add(self, term: Term) -> None:
        """Add a term that is not there; x:z and z:x are one."""
        self.crossed.setdefault(frozenset(map(str, term)), term)

    def every(self) -> list[Term]:
        """All terms, the intercept as one of no variables."""
        return [*([()] if self.intercept else []), *self.crossed.values()]


class _Reader:
    """Expands the terms of one text."""

    def __init__(self, text: str):
        self.text = text
        self.notes: list[str] = []

    def fail(self, what: str) -> NoReturn:
        raise InputError(f"{what}, in the formula {excerpt(self.text)}")

    def of(self, node: Node) -> _Terms:
        """Terms of a node."""
        match node:
            case Constant(0 | 1 as value) if not isinstance(value, bool):
                return _Terms(value == 1)
            case Symbol() | Call():
                out = _Terms()
                out.add((node,))
                return out
            case Signed(sign, operand):
                return self.joined([(sign, operand)])
            case Power(base, exponent):
                return self.power(base, exponent)
            case Chain(first, rest) if node.rank == 1:
                return self.joined([("+", first), *rest])
            case Chain(first, rest) if rest[0][0] in ("*", "/", ":", "%in%"):
                return self.products(first, rest)
            case Bar():
                self.fail("a group term stands in brackets of its own, as in + (x | g)")
            case Constant(value) if isinstance(value, str):
                self.fail(f"the text {value!r} is no term; a column's name stands in backquotes")
            case Constant() | Listing():
                self.fail(f"{node} is no term: a number is 0, 1 or a power; arithmetic reads I(...)")
        self.fail(f"{node} is no term: arithmetic reads I(...), as I({node})")

    def joined(self, steps: Sequence[tuple[str, Node]]) -> _Terms:
        """Terms of a sum, from left to right."""
        out = _Terms()
        for sign, node in steps:
            each = self.of(node)
            if each.intercept is not None:
                out.intercept = each.intercept == (sign == "+")
            for key, term in each.crossed.items():
                if sign == "+":
                    out.crossed.setdefault(key, term)
                elif out.crossed.pop(key, None) is None:
                    self.fail(f"there is no {':'.join(map(spelling, term))!r} to take out")
            self.bounded(out)
        return out

    def products(self, first: Node, rest: Sequence[tuple[str, Node]]) -> _Terms:
        """Terms of factors crossed or nested, from left to right."""
        if sum(sign == "*" for sign, _ in rest) > MOST_CROSSED:
            self.fail(f"a term crosses more than {MOST_CROSSED + 1} variables")
        for node in (first, *(operand for _, operand in rest)):
            if isinstance(node, Signed):
                self.fail(f"the sign of {node} stands in a product: terms are taken out as in - ({node.operand})")
        out = self.of(first)
        for sign, node in rest:
            if sign not in ("*", "/", ":", "%in%"):
                self.fail(f"{sign!r} is no sign between terms: arithmetic reads I(...)")
            right = self.of(node)
            self._note_arithmetic(first if len(rest) == 1 else None, sign, node)
            if sign == "*":
                crossed = self.crossed(out.every(), right.every())
                out = self.united(out, right, crossed)
            elif sign == "/":
                whole: Term = tuple(dict.fromkeys(v for term in out.crossed.values() for v in term))
                out = self.united(out, self.crossed([whole], right.every()))
            else:
                out = self.crossed(out.every(), right.every())
        return out

    def _note_arithmetic(self, first: Node | None, sign: str, node: Node) -> None:
        """Say what stands in a formula where arithmetic may be meant: one over a column, a column times itself."""
        if not isinstance(node, (Symbol, Call)):
            return
        plain = spelling(node)
        if sign == "/" and isinstance(first, Constant):
            said = f"{first}/{plain} in a formula is {plain} nested in nothing, which is {plain}: the quotient is "
            self.notes.append(f"{said}I({first} / {plain})")
        elif sign in ("*", ":", "/") and isinstance(first, (Symbol, Call)) and spelling(first) == plain:
            of = "quotient" if sign == "/" else "product"
            self.notes.append(
                f"{plain}{sign}{plain} in a formula is {plain} crossed with itself, which is {plain}: the {of} of its "
                f"values is I({plain} {'/' if sign == '/' else '*'} {plain})"
            )

    def power(self, base: Node, exponent: Node) -> _Terms:
        """Terms of a sum crossed with itself."""
        order = exponent.value if isinstance(exponent, Constant) else None
        if not isinstance(order, int) or isinstance(order, bool) or order < 1:
            self.fail("the power of a sum in brackets is a number from 1 on")
        if order > MOST_CROSSED:
            self.fail(f"{order} in a term: a power is at most {MOST_CROSSED}; arithmetic reads I(...)")
        one = self.of(base)
        if isinstance(base, (Symbol, Call)) and order > 1:
            plain = spelling(base)
            self.notes.append(
                f"{plain}^{order} in a formula is {plain} crossed with itself, which is {plain}: the power of its "
                f"values is I({plain} ** {order})"
            )
        out = one
        for _ in range(order - 1):
            out = self.united(out, self.crossed(out.every(), one.every()))
        return out

    def crossed(self, left: Sequence[Term], right: Sequence[Term]) -> _Terms:
        """Each term of one side with each of the other."""
        if len(left) * len(right) > MOST_TERMS**2:
            self.fail(f"more than {MOST_TERMS:,} terms")
        out = _Terms()
        for one in left:
            for other in right:
                term = tuple(dict.fromkeys((*one, *other)))
                if term:
                    out.add(term)
                else:
                    out.intercept = True
            self.bounded(out)
        return out

    def united(self, *parts: _Terms) -> _Terms:
        """All terms of several."""
        out = _Terms()
        for part in parts:
            out.intercept = part.intercept if part.intercept is not None else out.intercept
            for term in part.crossed.values():
                out.add(term)
        self.bounded(out)
        return out

    def bounded(self, terms: _Terms) -> None:
        """Refuse what no computer would estimate."""
        if len(terms.crossed) > MOST_TERMS:
            self.fail(f"more than {MOST_TERMS:,} terms")


Piece = dict[str, bool]


def coded(terms: Sequence[Sequence[str]], factors: Collection[str], intercept: bool) -> list[list[Piece]]:
    """How the factors of each term are coded, so that no column is a combination of others.

    A term of factors spans the functions of each subset of its factors, of which other terms span some already. What is
    left is cut into pieces, in each of which a factor has a column for each of its levels or for all but the first.
    Where the margins of all terms are there, as in ``a*b``, or in ``a:b`` alone, the coding is R's.

    Parameters
    ----------
    terms : sequence of sequence of str
        Names of the variables that each crosses.
    factors : collection of str
        Those of the variables that are factors.
    intercept : bool

    Returns
    -------
    list of list of dict of str to bool
        The pieces of each term: by factor whether it has all its levels.

    Examples
    --------
    >>> coded([["a"], ["x"], ["a", "x"]], ["a"], True)
    [[{'a': False}], [{}], [{'a': False}]]
    >>> coded([["a", "b"]], ["a", "b"], True)
    [[{'b': False}, {'a': False, 'b': True}]]
    """
    spanned: dict[frozenset[str], set[frozenset[str]]] = {frozenset(): {frozenset()} if intercept else set()}
    pieces: dict[int, list[Piece]] = {}
    for k in sorted(range(len(terms)), key=lambda k: len(terms[k])):
        own = [v for v in terms[k] if v in factors]
        known = spanned.setdefault(frozenset(terms[k]) - set(own), set())
        subsets = [s for n in range(len(own) + 1) for s in combinations(own, n) if frozenset(s) not in known]
        known |= {frozenset(s) for s in subsets}
        found: list[Piece] = [dict.fromkeys(s, False) for s in subsets]
        for factor in reversed(own):
            for piece in [p for p in found if factor in p]:
                rest = {v: whole for v, whole in piece.items() if v != factor}
                if rest in found:
                    found.remove(rest)
                    piece[factor] = True
        pieces[k] = found
    return [pieces[k] for k in range(len(terms))]
