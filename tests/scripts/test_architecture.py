"""scripts/architecture.py: imports run downwards, the table beside the picture is the code's, circles are defended."""

import ast
import csv
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "architecture.py"
PAGE = ROOT / "docs" / "contributing" / "architecture.md"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="an installed package has no scripts")


@pytest.fixture(scope="module")
def architecture():
    spec = importlib.util.spec_from_file_location("architecture", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_folder_is_a_room(architecture):
    folders = {path.parent.name for path in (ROOT / "geospde").glob("*/__init__.py")}
    assert folders | {"errors"} == set(architecture.ROOMS)


def test_imports_run_downwards_but_for_objects_that_hand_themselves_on(architecture):
    floor = architecture.ROOMS.index
    up = {pair for pair, how in architecture.arrows().items() if how == "direct" and floor(pair[1]) > floor(pair[0])}
    assert up == set()


def test_the_table_beside_the_picture_is_that_of_the_code(architecture):
    with architecture.TABLE.open(encoding="utf-8", newline="") as file:
        there = list(csv.reader(file))
    assert there == architecture.rows(), "imports have changed: run python scripts/architecture.py"
    assert architecture.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_circles_of_files_stay_in_a_room_and_the_page_defends_them(architecture):
    section = PAGE.read_text(encoding="utf-8").partition("## Circles of files")[2].partition("\n## ")[0]
    defended = set(re.findall(r"^- `([\w/]+)/`: ", section, re.MULTILINE))
    for group in architecture.circles():
        folders = {"/".join(module.split(".")[1:-1]) for module in group}
        assert len(folders) == 1 and folders <= defended, group


def test_the_picture_is_drawn(architecture, tmp_path, monkeypatch):
    monkeypatch.setattr(architecture, "PICTURE", tmp_path / "rooms.png")
    architecture.draw()
    assert (tmp_path / "rooms.png").stat().st_size > 10_000


def test_contributing_has_a_row_for_every_room(architecture):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(architecture.ROOMS)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).is_file(), target
    for command in re.findall(r"\./scripts/\w+|\.ci/run", text):
        assert (ROOT / command).is_file(), command


def test_what_the_scripts_import_is_there():
    for path in sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file()):
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".py":  # a shell script with a program in it
            found = re.search(r"<<'PYTHON'\n(.*?)^PYTHON$", text, re.DOTALL | re.MULTILINE)
            text = found[1] if found else ""
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geospde"):
                module = importlib.import_module(node.module)
                for name in (alias.name for alias in node.names):
                    there = hasattr(module, name) or importlib.util.find_spec(f"{node.module}.{name}")
                    assert there, (path.name, node.module, name)
