"""The documentation's pages as programs: what their code blocks do, in order, and what they say that it shows.

In a page,

- a ``python`` block runs; the blocks of a page share their names, and its last line's value is shown, as in a notebook;
- a ``console`` block holds commands after ``$``, and below each what it shows;
- a ``text`` block after a ``python`` one is what that shows; three dots stand for anything;
- a block with a ``title`` is a file of that name;
- a picture below a ``python`` block is what that draws.

As a program it makes the pictures anew (./scripts/docs pictures): of all pages, or of those named.
"""

import ast
import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from geospde.cli.commands import main
from geospde.errors import GeospdeWarning
from geospde.survey.datasets import data_folder

DOCS = Path(__file__).parents[1] / "docs"
DPI = 110
_BLOCK = re.compile(r"^```(?P<language>\w+)(?P<about>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')
_PICTURE = re.compile(r"!\[[^]]*\]\((?:\.\./)*(pictures/[\w-]+\.png)\)")
_NUMBER = re.compile(r"[-\u2212+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, title (a file's name), text, first line's number, and the picture below it."""

    language: str
    title: str | None
    text: str
    line: int
    picture: str | None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page's text."""
    found = list(_BLOCK.finditer(page))
    ends = [*(match.start() for match in found[1:]), len(page)]
    out = []
    for match, end in zip(found, ends):
        title, picture = _first(_TITLE, match["about"]), _first(_PICTURE, page[match.end() : end])
        line = page.count("\n", 0, match.start("text")) + 1
        out.append(Block(match["language"], title, match["text"], line, picture))
    return out


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found and found[1]


def pages() -> list[Path]:
    """Return the pages with code that runs."""
    programs = {"python", "console"}
    every = sorted(DOCS.rglob("*.md"))
    return [page for page in every if programs & {block.language for block in blocks(page.read_text("utf-8"))}]


@dataclass
class Page:
    """A page that is run in the current folder, which should be empty.

    Attributes
    ----------
    path : Path
    names : dict
        What its Python has defined.
    value : object
        Of the last line of the last block.
    """

    path: Path
    names: dict[str, object] = field(default_factory=dict)
    value: object = None

    def run(self) -> Iterator[tuple[Block, str]]:
        """Run block after block: each one with what it should show, if anything, as pairs; see `differs`.

        Yields
        ------
        block : Block
            That has just run.
        difference : str
            Between what it shows and what the page says that it does; empty where there is none.
        """
        for name in ("rongelap", "chapter"):
            shutil.copytree(data_folder() / name, Path("data") / name)
        every = blocks(self.path.read_text("utf-8"))
        sys.path.insert(0, str(Path.cwd()))  # as Python does for the folder of a script
        try:
            yield from self._each(every)
        finally:
            sys.path.remove(str(Path.cwd()))

    def _each(self, every: list[Block]) -> Iterator[tuple[Block, str]]:
        for block, following in zip(every, [*every[1:], None]):
            if block.title is not None:
                Path(block.title).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                shown = self._python(block)
                said = following.text if following is not None and following.language == "text" else None
                yield block, "" if said is None else differs(shown, said)
            elif block.language == "console":
                yield block, "\n".join(filter(None, (_command(*pair) for pair in _commands(block.text))))

    def _python(self, block: Block) -> str:
        tree = ast.parse(block.text)
        ast.increment_lineno(tree, block.line - 1)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(io.StringIO()) as shown, warnings.catch_warnings():
            warnings.simplefilter("error", GeospdeWarning)  # a reader would see it, too
            exec(compile(tree, self.path, "exec"), self.names)
            self.value = None
            if last is not None:
                self.value = eval(compile(ast.Expression(last.value), self.path, "eval"), self.names)
            if self.value is not None:
                print(repr(self.value))
        return shown.getvalue()


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Commands, and what the page says that each shows."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command.partition("  #")[0].strip(), shown


def _command(command: str, said: str) -> str:
    """Run a command in this process; return what is wrong with it, or nothing."""
    program, *words = shlex.split(command)
    assert program == "geospde", f"console blocks run geospde alone, not {command!r}"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    fails = said.lstrip().startswith("geospde:")
    if bool(code) != fails:
        return f"$ {command}\nended with {code}: {err.getvalue()}"
    return differs(err.getvalue() if fails else out.getvalue(), said) if said.strip() else ""


def differs(shown: str, said: str) -> str:
    """Return how an output differs from what a page says, or nothing.

    Spaces and lines do not count, three dots stand for any words, and a number agrees to a unit of the last digit that
    the page gives.
    """
    if _agree(shown.split(), said.split()):
        return ""
    return f"the page says\n{said}\nand its code shows\n{shown}"


def _agree(shown: list[str], said: list[str]) -> bool:
    """Match words in which "..." stands for any number of them."""
    parts: list[list[str]] = [[]]
    for word in said:
        if word == "...":
            parts.append([])
        else:
            parts[-1].append(word)
    if len(parts) == 1:
        return len(shown) == len(said) and all(map(_same, shown, said))
    first, *middle, last = parts
    if len(shown) < len(first) + len(last):
        return False
    end = len(shown) - len(last)
    if not (all(map(_same, shown, first)) and all(map(_same, shown[end:], last))):
        return False
    at = len(first)
    for part in middle:  # each as early as it can be
        while at + len(part) <= end and not all(map(_same, shown[at:], part)):
            at += 1
        if at + len(part) > end:
            return False
        at += len(part)
    return True


def _same(shown: str, said: str) -> bool:
    """Match one word; numbers in it by value."""
    if shown == said:
        return True
    ours, theirs = _NUMBER.findall(shown), _NUMBER.findall(said)
    if len(ours) != len(theirs) or _NUMBER.sub("#", shown) != _NUMBER.sub("#", said):
        return False
    return all(abs(_value(a) - _value(b)) <= 1.001 * _unit(b) for a, b in zip(ours, theirs))


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("\u2212", "-"))


def _unit(number: str) -> float:
    """A unit of the last digit; of a whole number half of one, so that counts are exact."""
    digits, _, exponent = number.partition("e")
    decimals = len(digits.partition(".")[2])
    return (0.5 if not decimals and not exponent else 1.0) * 10.0 ** (int(exponent or 0) - decimals)


def draw_pictures(wanted: list[str]) -> None:
    """Draw the pictures of the pages whose path has one of these words in it, or of all."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    (DOCS / "pictures").mkdir(exist_ok=True)
    for page in pages():
        if wanted and not any(word in str(page) for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            run = Page(page)
            for block, difference in run.run():
                if difference:
                    print(f"{page.relative_to(DOCS)}, line {block.line}: {difference}", file=sys.stderr)
                if block.picture is not None:
                    figure = run.value if hasattr(run.value, "savefig") else getattr(run.value, "figure", None)
                    (figure or plt.gcf()).savefig(DOCS / block.picture, dpi=DPI, bbox_inches="tight")
                    print(f"docs/{block.picture}")
                plt.close("all")


if __name__ == "__main__":
    draw_pictures(sys.argv[1:])
