"""From the text of a formula to its tree, by recursive descent.

The grammar, loosest signs first; a name is letters, digits, ``_`` and ``.``, or anything in backquotes::

    formula    = comparison "~" comparison
    comparison = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
    sum        = product {("+" | "-") product}
    product    = signed {("*" | "/" | "//" | "%") signed}
    signed     = {"+" | "-"} crossing
    crossing   = power {(":" | "%in%") power}
    power      = atom [("^" | "**") {"+" | "-"} power]
    atom       = number | text | name | call | list | tuple | "(" sum ")" | group
    call       = name "(" [argument {"," argument}] ")"
    argument   = [name "="] comparison
    group      = "(" sum ("|" | "||") name {(":" | "/") name} ")"

Nothing is evaluated. Whatever cannot be read is told in one sentence with its place.
"""

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from geospde.errors import InputError
from geospde.formula.syntax import NAME, RANKS, WORDS, Bar, Call, Chain, Constant, Listing, Node, Power, Signed, Symbol

LONGEST = 100_000  # characters of a formula
DEEPEST = 40  # brackets within brackets, and signs before signs
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<number>(?:[0-9]{1,3}(?:_[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)
    | (?P<name>[^\W\d][\w.]*)
    | (?P<quoted>`[^`]*`)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<sign>%in%|\*\*|//|==|!=|<=|>=|\|\||[-+*/%^:<>()\[\],=~|])""",
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]"}
_OPERANDS = ("number", "name", "quoted", "text")


@dataclass(frozen=True)
class Token:
    """A word or sign of a formula: its kind, text and place."""

    kind: str
    text: str
    at: int


def parse_sides(text: str) -> tuple[Node, Node]:
    """The trees of both sides of a formula, ``response ~ terms``; raises InputError with the place of a mistake."""
    parser = _Parser(text)
    tildes = [k for k, token in enumerate(parser.tokens) if token.text == "~" and token.kind == "sign"]
    if len(tildes) != 1 or tildes[0] in (0, len(parser.tokens) - 2):
        raise InputError(f"a formula reads 'response ~ terms', this one does not: {excerpt(text)}")
    left = parser.whole("~")
    parser.take()
    return left, parser.whole("")


def parse_expression(text: str) -> Node:
    """The tree of one side of a formula, or of a part of it; raises InputError with the place of a mistake.

    Examples
    --------
    >>> parse_expression("log(x)^2")
    Power(base=Call(function='log', arguments=(Symbol(name='x'),), options=()), exponent=Constant(value=2))
    >>> str(parse_expression("a*(b+`soil type`)"))
    'a * (b + `soil type`)'
    """
    return _Parser(text).whole("")


def excerpt(text: str, at: int = 0) -> str:
    """A formula in quotes, of a long one what stands about a place."""
    if len(text) <= 120:
        return repr(text)
    start = max(0, min(at - 50, len(text) - 100))
    end = start + 100
    return f"{'... ' if start else ''}{text[start:end]!r}{' ...' if end < len(text) else ''}"


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise InputError(f"a formula is a string such as 'y ~ 1 + x', not a {type(text).__name__}")
        self.text = text
        if len(text) > LONGEST:
            raise InputError(f"a formula of {len(text):,} characters is too long to be meant: {excerpt(text)}")
        self.tokens = self._tokens()
        self.place = 0
        self.open: list[Token] = []
        self.calls = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    def take(self) -> Token:
        """The next token; go on behind it."""
        self.place += 1
        return self.tokens[self.place - 1]

    def next_is(self, *signs: str) -> bool:
        """Whether the next token is one of these signs."""
        return self.token.kind == "sign" and self.token.text in signs

    def fail(self, what: str, token: Token | None = None) -> NoReturn:
        """Raise InputError that says what is wrong, and where."""
        at = (token or self.token).at
        where = "at the end" if at >= len(self.text.rstrip()) else f"at character {at + 1}"
        raise InputError(f"{what}, {where} of the formula {excerpt(self.text, at)}")

    def whole(self, end: str) -> Node:
        """An expression that ends at a sign, or with the text."""
        if self.token.kind == "end":
            raise InputError(f"cannot read the formula {self.text!r}: it has no term")
        node = self.comparison()
        if not (self.next_is(end) if end else self.token.kind == "end"):
            self.unexpected("")
        return node

    def unexpected(self, wanted: str) -> NoReturn:
        """Refuse a token that stands where none or another can stand."""
        token = self.token
        if token.kind == "end":
            self.fail(f"the bracket {self.open[-1].text!r} is not closed", self.open[-1])
        if token.kind in _OPERANDS or token.text in _CLOSING:
            before = self.tokens[self.place - 1]
            names = token.kind == before.kind == "name"
            hint = f" (a name with a space stands in backquotes, as `{before.text} {token.text}`)" if names else ""
            self.fail(f"a sign is missing before {token.text!r}{hint}")
        if token.text in ")]":
            if wanted:
                self.fail(f"{token.text!r} closes what {self.open[-1].text!r} opened")
            self.fail(f"the bracket {token.text!r} closes and was not opened")
        if token.text in ("|", "||"):
            if any(later.kind == "sign" and later.text == "~" for later in self.tokens[self.place :]):
                self.fail("a response has no '|': successes of trials are p(successes, trials), bounds cens(y, how)")
            self.fail("a group term stands in brackets of its own, as in + (x | g)")
        hint = "; arithmetic reads I(...)" if token.text in ("=", "%") else ""
        self.fail(f"{token.text!r} has no meaning here{hint}")

    # ---- the grammar ----

    def comparison(self) -> Node:
        """A sum, or two compared."""
        node = self.chain(1)
        if not self.next_is(*RANKS[0]):
            return node
        sign = self.take().text
        node = Chain(node, ((sign, self.chain(1)),))
        if self.next_is(*RANKS[0]):
            self.fail("a comparison has two sides")
        return node

    def chain(self, rank: int) -> Node:
        """Operands joined by signs of a rank."""
        inner = {1: lambda: self.chain(2), 2: self.signed, 3: self.power}[rank]
        first, rest = inner(), []
        while self.next_is(*RANKS[rank]):
            sign = self.take()
            if rank == 1 and self.next_is("+", "-") and not self.calls:
                self.fail(f"a term is missing beside {sign.text!r}: signs stand between terms", sign)
            rest.append((sign.text, inner()))
        return Chain(first, tuple(rest)) if rest else first

    def signed(self) -> Node:
        """A crossing, with signs before it or none."""
        if not self.next_is("+", "-"):
            return self.chain(3)
        with_sign = self.take()
        self.deeper(with_sign)
        node = Signed(with_sign.text, self.signed())
        self.depth -= 1
        return node

    def power(self) -> Node:
        """An atom, or a power of one."""
        base = self.atom()
        if not self.next_is("^", "**"):
            return base
        self.deeper(self.take())
        node = Power(base, self.exponent())
        self.depth -= 1
        return node

    def exponent(self) -> Node:
        """A power, with signs before it or none."""
        if not self.next_is("+", "-"):
            return self.power()
        with_sign = self.take()
        self.deeper(with_sign)
        node = Signed(with_sign.text, self.exponent())
        self.depth -= 1
        return node

    def atom(self) -> Node:
        """What has no sign in it outside brackets."""
        token = self.token
        if token.kind == "number":
            return Constant(self.number(self.take()))
        if token.kind == "text":
            return Constant(re.sub(r"\\(.)", r"\1", self.take().text[1:-1], flags=re.DOTALL))
        if token.kind == "quoted":
            if len(token.text) == 2:
                self.fail("there is no name between the backquotes")
            return Symbol(self.take().text[1:-1])
        if token.kind == "name":
            self.take()
            if self.next_is("("):
                return self.call(token.text)
            return Constant(WORDS[token.text]) if token.text in WORDS else Symbol(token.text)
        if self.next_is("("):
            return self.bracket()
        if self.next_is("["):
            opened = self.enter()
            items = self.items(opened)
            return Listing(tuple(items), "[")
        self.missing()

    def missing(self) -> NoReturn:
        """Refuse a sign, a closing bracket or the end, where an operand should be."""
        before = self.tokens[self.place - 1] if self.place else None
        if self.token.kind == "end" and self.open:
            self.fail(f"the bracket {self.open[-1].text!r} is not closed", self.open[-1])
        if before is None or before.text == "~" or before.text in _CLOSING or before.text in (",", "="):
            if self.next_is("|", "||"):
                self.fail("a group term reads (effects | group) or (effects || group)")
            if self.next_is(")", "]") and not self.open:
                self.unexpected("")
            self.fail(f"a term is missing before {self.token.text!r}")
        self.fail(f"a term is missing beside {before.text!r}: signs stand between terms", before)

    def call(self, function: str) -> Node:
        """The arguments and options of a function."""
        opened = self.enter()
        self.calls += 1
        arguments: list[Node] = []
        options: dict[str, Node] = {}
        while not self.next_is(")"):
            name, after = self.token, self.tokens[min(self.place + 1, len(self.tokens) - 1)]
            if name.kind == "name" and after.kind == "sign" and after.text == "=":
                if name.text in options:
                    self.fail(f"the option {name.text!r} of {function} appears twice")
                self.place += 2
                options[name.text] = self.comparison()
            elif options:
                self.fail(f"what has no name stands before the options of {function}")
            else:
                arguments.append(self.comparison())
            if not self.next_is(","):
                break
            self.take()
        self.leave(opened)
        self.calls -= 1
        return Call(function, tuple(arguments), tuple(options.items()))

    def bracket(self) -> Node:
        """What stands in round brackets: a sum, a group or a tuple."""
        opened = self.enter()
        if self.next_is(")"):
            self.fail("a term is missing between brackets", opened)
        node = self.comparison()
        if self.next_is(","):
            return Listing((node, *self.items(opened)), "(")
        if self.next_is("|", "||"):
            return self.group(node, opened)
        if isinstance(node, Bar):
            self.fail("a group term stands in brackets of its own, as in + (x | g)", opened)
        self.leave(opened)
        return node

    def items(self, opened: Token) -> list[Node]:
        """The rest of a list or a tuple."""
        out: list[Node] = []
        while True:
            if self.next_is(",") and (out or opened.text == "("):
                self.take()
            if self.next_is(_CLOSING[opened.text]):
                break
            out.append(self.comparison())
            if not self.next_is(","):
                break
        self.leave(opened)
        return out

    def group(self, effects: Node, opened: Token) -> Node:
        """The right side of a group term."""
        bar = self.take()
        nested: list[tuple[str, ...]] = []
        names: list[str] = []
        if self.token.kind == "sign":
            self.fail("a group term reads (effects | group) or (effects || group)")
        while True:
            token = self.token
            if token.kind not in ("name", "quoted") or token.text == "``":
                self.not_grouping()
            names.append(self.take().text.strip("`"))
            if self.next_is("/"):
                nested.append(tuple(names))
                names = []
            elif not self.next_is(":"):
                break
            self.take()
        if self.next_is("|", "||"):
            self.fail("a group term reads (effects | group) or (effects || group)")
        if self.token.kind != "end" and not self.next_is(")"):
            self.not_grouping()
        self.leave(opened)
        return Bar(effects, (*nested, tuple(names)), bar.text == "||")

    def not_grouping(self) -> NoReturn:
        """Refuse what is no grouping."""
        self.fail("the right side of a group term is a column, columns crossed as a:b, or nested as a/b")

    # ---- brackets and words ----

    def enter(self) -> Token:
        """Go into a bracket."""
        self.open.append(self.take())
        self.deeper(self.open[-1])
        return self.open[-1]

    def leave(self, opened: Token) -> None:
        """Come out of a bracket."""
        if not self.next_is(_CLOSING[opened.text]):
            self.unexpected(_CLOSING[opened.text])
        self.take()
        self.open.pop()
        self.depth -= 1

    def deeper(self, token: Token) -> None:
        """Count what is within something else."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"brackets and signs lie within each other more than {DEEPEST} deep", token)

    def number(self, token: Token) -> float:
        """The number of a token."""
        text = token.text.replace("_", "")
        value = int(text) if text.isdigit() and len(text) < 300 else float(text)
        if not math.isfinite(value):
            self.fail(f"{token.text[:12]!r} is too large a number", token)
        return value

    def _tokens(self) -> list[Token]:
        """Words and signs, and an end."""
        tokens, at = [], 0
        while at < len(self.text):
            found = _TOKEN.match(self.text, at)
            if found is None:
                self._unreadable(at)
            token = Token(str(found.lastgroup), found[0], at)
            at = found.end()
            if token.kind == "number" and re.match(r"\w", self.text[at : at + 1]):
                name = token.text + str(NAME.match("_" + self.text[at:])[0])[1:]  # type: ignore[index]
                self.fail(f"a name that begins with a digit stands in backquotes, as `{name}`", token)
            if token.kind != "space":
                tokens.append(token)
        return [*tokens, Token("end", "", len(self.text))]

    def _unreadable(self, at: int) -> NoReturn:
        """Refuse a character that no word or sign begins with."""
        c, token = self.text[at], Token("", self.text[at], at)
        if c in "'\"`":
            self.fail(f"the quote {c} is not closed", token)
        if c == ".":
            self.fail("cannot read '.': a formula names its columns, and terms stand alone, joined by +", token)
        hint = "; arithmetic reads I(...)" if c in "{}!&" else ""
        self.fail(f"cannot read {c!r}{hint}", token)
