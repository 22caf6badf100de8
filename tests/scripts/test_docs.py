"""docs/: its code runs and shows what the pages say; its references name all that there is."""

import re
import tomllib

import matplotlib
import pytest
from pages import DOCS, Page, blocks, differs, pages
from sharing import shared

import geospde as gs
from geospde.cli.commands import app, main
from geospde.run.config import Config, read_config
from geospde.run.sections.observations import ObservationsSection
from geospde.survey.covariates.reading import COMMON, KEYS
from geospde.terms.registry import TERMS

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="an installed package has no documentation")


FIT = shared(gs.fit)  # fits are frozen, so that pages may share them


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Go to an empty folder, where figures are drawn without a screen."""
    from matplotlib import pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gs, "fit", FIT)
    before, terms = matplotlib.get_backend(), dict(TERMS)
    plt.switch_backend("agg")
    yield tmp_path
    plt.close("all")
    plt.switch_backend(before)
    TERMS.clear()  # of what a page has registered
    TERMS.update(terms)


def text_of(name):
    return (DOCS / name).read_text(encoding="utf-8")


def section_of(page, heading):
    """What stands below a heading, up to the next of its depth."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def first_cells(section):
    """Code words in the first column of the tables of a section."""
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


FILES = DOCS / "reference" / "files.md"  # has a test of its own, which looks at what it has written
OTHERS = {str(page.relative_to(DOCS)): page for page in pages() if page != FILES}


@pytest.mark.slow
@pytest.mark.parametrize("page", OTHERS.values(), ids=OTHERS)
def test_its_code_runs_and_shows_what_the_page_says(page, elsewhere):
    for block, difference in Page(page).run():
        assert not difference, f"{page.relative_to(DOCS)}, line {block.line}: {difference}"


def test_outputs_agree_by_words_and_to_the_digits_shown():
    shown = "range(spde)  189.97  19.5\n4 vertices, 3 notes"
    assert not differs(shown, "range(spde) 190.0 19.5 4 vertices, 3 notes")
    assert not differs(shown, "... 19.5 ... 3 notes")
    assert not differs("log evidence \u22121,332.69", "log evidence \u22121,332.7")
    for wrong in ("range(spde) 189.8 19.5 4 vertices, 3 notes", "range(spde) ... 3 vertices, 3 notes", "... 3 no", ""):
        assert differs(shown, wrong)


def test_every_key_of_a_run_file_has_its_row():
    page = text_of("reference/run-file.md")
    for name, field in Config.model_fields.items():
        several = name == "observations"
        section = section_of(page, "`[[observations]]`" if several else f"`[{name}]`")
        if name == "covariates":
            keys = {*COMMON, *KEYS, *(key for beside in KEYS.values() for key in beside)}
            assert set(first_cells(section)) == keys
        elif name not in ("priors", "graphs", "terms"):  # whose keys are names of the user's
            model = ObservationsSection if several else field.annotation
            assert first_cells(section) == list(model.model_fields), name


def test_run_files_on_the_pages_are_read():
    whole = 0
    for page in DOCS.rglob("*.md"):
        for block in blocks(page.read_text("utf-8")):
            if block.language == "toml":
                keys = tomllib.loads(block.text)
                rest = {"survey": {"points": "p.csv"}}
                rest |= {} if "observations" in keys else {"model": {"formula": "y ~ 1"}}
                read_config(rest | keys)
                whole += {"survey", "model"} <= set(keys)
    assert whole >= 2


def test_every_command_and_option_has_its_row(capsys):
    page = text_of("reference/commands.md")
    rows = dict(re.findall(r"^\| `geospde (\w+)[^|]*\|[^|]*\| (.*?) ?\|$", page, re.MULTILINE))
    assert sorted(rows) == sorted(command.name or command.callback.__name__ for command in app.registered_commands)
    for command, told in rows.items():
        assert main([command, "--help"]) == 0
        there = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", capsys.readouterr().out.partition("Options:")[2]))
        common = {"--quiet", "--verbose", "--help"}
        assert set(re.findall(r"--[a-z][a-z-]*", told)) == there - common, command


def test_every_public_name_is_in_the_reference():
    referred = set()
    for page in (DOCS / "reference" / "python").glob("*.md"):
        names = re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE)
        referred |= {name.rpartition(".")[2] for name in names}
    errors = {name for name in gs.__all__ if name.endswith(("Error", "Warning"))}  # by their module
    assert set(gs.__all__) - errors <= referred and "errors" in referred


def test_what_the_pages_call_is_there():
    """Attributes of fits and of the package that the text names, in the tables of Coming from R above all."""
    text = "\n".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    of_package = set(re.findall(r"\bgs\.(\w+)", text))
    assert {name for name in of_package if not hasattr(gs, name)} == set()
    kinds = gs.BayesianFit, gs.MaximumLikelihoodFit, gs.PenalisedFit
    told = " ".join(kind.__doc__ or "" for one in kinds for kind in one.__mro__)
    known = {*(name for kind in kinds for name in dir(kind)), *re.findall(r"\w+", told)}
    assert {name for name in re.findall(r"\bfit\.(\w+)", text) if name not in known} == {"npz", "json"}


@pytest.mark.slow
def test_the_files_of_a_run_are_those_it_lists(elsewhere):
    for block, difference in Page(FILES).run():
        assert not difference, f"line {block.line}: {difference}"
    folder = elsewhere / "outputs" / "rongelap"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    listed = set(first_cells(FILES.read_text("utf-8").partition("## In QGIS")[0]))
    pictures = {name for name in written if name.startswith("figures/")}
    assert pictures and listed == written - pictures | {"figures/*.png"}
