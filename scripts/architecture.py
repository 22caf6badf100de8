"""The rooms of geospde and who imports whom, read from the code: a table, circles of files, a picture.

    python scripts/architecture.py            write docs/contributing/imports.csv and docs/pictures/architecture.png
    python scripts/architecture.py circles    print the circles of files

An import is `direct` at the top of a file or under TYPE_CHECKING, and `handed on` inside a function: the body of a
method such as `fit.predict`, by which an object goes on to a later room. tests/scripts/test_architecture.py holds the
table and the page to the code.
"""

import ast
import csv
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "geospde"
TABLE = ROOT / "docs" / "contributing" / "imports.csv"
PICTURE = ROOT / "docs" / "pictures" / "architecture.png"

# from the ground up: a room imports rooms beneath it
ROOMS = (
    "errors", "text", "survey", "mesh", "linalg", "families", "formula", "terms", "model", "inference", "likelihood",
    "results", "prediction", "explore", "plots", "export", "report", "run", "cli",
)  # fmt: skip


def files() -> dict[str, Path]:
    """Return every module's file by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@cache
def statements(path: Path) -> list[tuple[ast.stmt, bool]]:
    """Return a file's imports as Python parses them, and whether a function holds each; every file is parsed once."""
    found: list[tuple[ast.stmt, bool]] = []

    def search(node: ast.AST, inside: bool) -> None:
        for part in ast.iter_child_nodes(node):
            if isinstance(part, ast.Import | ast.ImportFrom):
                found.append((part, inside))
            elif not isinstance(part, ast.expr):  # in which no import can stand
                search(part, inside or isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))

    search(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """Yield the modules that a file imports, and whether a function does."""
    for node, inside in statements(path):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else node.module for name in names]
        else:
            continue
        yield from ((name, inside) for name in names if name in known)


def room(module: str) -> str:
    """Return the room that a module stands in; the package's own front is none."""
    return module.split(".")[1] if "." in module else ""


def arrows() -> dict[tuple[str, str], str]:
    """Return `direct` or `handed on` for each pair of rooms of which one imports the other."""
    known, found = files(), {}
    for name, path in known.items():
        for target, inside in imports(path, known):
            pair = room(name), room(target)
            if pair[0] != pair[1] and set(pair) <= set(ROOMS):
                kind = "handed on" if inside else "direct"
                found[pair] = "direct" if "direct" in (kind, found.get(pair)) else kind
    return dict(sorted(found.items(), key=lambda item: tuple(map(ROOMS.index, item[0]))))


def circles() -> list[tuple[str, ...]]:
    """Return the groups of files each of which imports, by way of others, every other of its group.

    Imports inside functions count as well, but for those by which an object goes on to a later room, and what anybody
    takes from the package's front (its version).
    """
    known = files()
    reach = {name: {to for to, _ in imports(path, known) if not _apart(name, to)} for name, path in known.items()}
    grown = True
    while grown:
        grown = False
        for name, targets in reach.items():
            further = targets.union(*(reach[target] for target in targets))
            grown |= len(further) > len(targets)
            reach[name] = further
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in known}
    return sorted(group for group in groups if len(group) > 1)


def _apart(name: str, target: str) -> bool:
    """Return whether an import makes no circle: it goes up, or to the front."""
    rooms = room(name), room(target)
    return target in (name, "geospde") or (set(rooms) <= set(ROOMS) and ROOMS.index(rooms[1]) > ROOMS.index(rooms[0]))


def rows() -> list[list[str]]:
    """Return the table: a row an arrow."""
    return [["room", "imports", "how"], *([a, b, how] for (a, b), how in arrows().items())]


def draw() -> None:
    """Draw a table of rooms: a dot where the room of the row imports that of the column."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(ROOMS)
    figure = Figure(figsize=(8.0, 7.2))
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.16, 0.03, 0.82, 0.80))
    ax.set(xlim=(-0.5, count - 0.5), ylim=(-0.5, count - 0.5), aspect="equal")
    for k, name in enumerate(ROOMS):
        files_of = sum(room(module) == name for module in files())
        row = count - 1 - k
        ax.axhspan(row - 0.5, row + 0.5, color="0.96" if k % 2 else "w", zorder=0)
        ax.text(k, row, str(files_of), ha="center", va="center", fontsize=8, color="0.35")
    places, colours, faces = [], [], []
    for (above, below), how in arrows().items():
        places.append((ROOMS.index(below), count - 1 - ROOMS.index(above)))
        colours.append("C1" if ROOMS.index(below) > ROOMS.index(above) else "C0")
        faces.append("none" if how == "handed on" else colours[-1])
    ax.scatter(*zip(*places), s=55, edgecolors=colours, facecolors=faces, zorder=2)
    ax.plot([-0.5, count - 0.5], [count - 0.5, -0.5], color="0.7", linewidth=0.8, zorder=1)
    ax.set_xticks(range(count), ROOMS, rotation=60, ha="left")
    ax.set_yticks(range(count), reversed(ROOMS))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=110)


def main(arguments: list[str]) -> int:
    """Write the table and the picture, or print the circles."""
    if arguments == ["circles"]:
        for group in circles():
            print(", ".join(group))
        return 0
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows())
    draw()
    print(TABLE.relative_to(ROOT), PICTURE.relative_to(ROOT), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
