import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

if sys.dont_write_bytecode:  # workers and programs of the tests compile each module once, as numba its kernels
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import pytest
from _pytest.doctest import DoctestModule
from sharing import FOLDER

# geospde and matplotlib are imported where a worker needs them: the process that hands out the tests has no need

# files of the most work, which begin first, so that no worker has one of them left when the others are done; hostile
# inputs, which fit nothing, while another worker compiles for all of them what fits need
LONGEST = (
    "terms/test_contract", "cli/test_hostile", "scripts/test_docs", "linalg/test_executor", "families/test_units",
    "results/test_checks", "inference/test_adaptive", "explore/test_exploration", "inference/test_invariance",
    "families/test_families_fit", "prediction/test_regions", "run/test_areal_run", "inference/test_certify",
    "cli/test_init", "run/test_steps", "families/test_conformance", "likelihood/test_lmm", "likelihood/test_gam",
    "cli/test_streams", "results/test_saved", "cli/test_cli", "families/test_families_laplace",
    "prediction/test_validation", "likelihood/test_glmm", "results/test_fit", "run/test_comparing",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest files first; leave slow tests out but where `-m` asks for them or a test is named."""
    rank = {Path(__file__).parent / f"{name}.py": k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    if not config.option.markexpr and not any("::" in argument for argument in config.args):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Iterator[None]:
    """Look for no doctests in the tests' own files."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule)]


def pytest_configure(config: pytest.Config) -> None:
    """Look for no garbage while the tests are collected: all of it stays. Give workers a folder for what they share."""
    gc.disable()
    if FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="geospde-tests-")
        os.environ[FOLDER] = folder
        config.add_cleanup(lambda: shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True))


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and never look for it among the tests themselves and the modules."""
    gc.enable()
    gc.set_threshold(50_000, 20, 20)
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def coarse_pictures():
    """Draw the many pictures of whole runs with few dots: no test looks at single ones."""
    from geospde.plots import canvas

    agg()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canvas, "USUAL", canvas.Style(dpi=60))
        yield


@pytest.fixture(scope="module")
def unrendered():
    """Make all pictures of a file and leave their dots white: for runs of which no test looks at a picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agg()[0], "draw", leave_white)
        yield


@pytest.fixture
def unrendered_here(monkeypatch):
    """Leave the pictures of one test white, in a file of which another test draws them."""
    monkeypatch.setattr(agg()[0], "draw", leave_white)


@pytest.fixture
def rendered_here(monkeypatch):
    """Draw the pictures of one test, in a file whose others leave them white."""
    monkeypatch.setattr(*agg())


@pytest.fixture(scope="module")
def undrawn(unrendered):
    """Leave the pictures of a file's runs empty: runs of the same survey draw them in tests/run/test_steps.py."""
    with pytest.MonkeyPatch.context() as patch:
        leave_empty(patch)
        yield


@pytest.fixture
def undrawn_here(unrendered_here, monkeypatch):
    """Leave the pictures of one test's runs empty, in a file of which another test draws them."""
    leave_empty(monkeypatch)


def leave_empty(patch):
    """Make figures of the names, of nothing."""
    from matplotlib.figure import Figure

    from geospde.plots import exploration, figures

    for name in ("layers_map", "sites_map", "fitted_plot", "predictive_plot", "mesh_map"):
        patch.setattr(figures, name, lambda *_, **__: Figure((1, 1)))
    patch.setattr(exploration, "_pictures", lambda _: iter(()))


@cache
def agg():
    """Return the canvas, the name of what draws it, and that method as it is before any test replaces it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return FigureCanvasAgg, "draw", FigureCanvasAgg.draw


def leave_white(canvas):
    """Draw nothing: a canvas of agg is white to begin with."""
    canvas.renderer = canvas.get_renderer()


@pytest.fixture
def island(tmp_path: Path) -> Path:
    """Return a folder with Rongelap's survey and its run file, to be spoilt."""
    from geospde.survey.datasets import data_folder

    for name in ("points.csv", "coastline.csv", "survey.toml"):
        shutil.copy(data_folder() / "rongelap" / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def edit():
    """Return a function that replaces text in a file, once, and fails if it is not there."""

    def replace(path: Path, old: str, new: str) -> Path:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return replace


@pytest.fixture
def bay(done, tmp_path, monkeypatch):
    """Go to a copy of the folder that the tests' own `done` made, to be spoilt."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def _figures_are_closed() -> Iterator[None]:
    """Close what a file has drawn, lest the next one is warned of too many open figures."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
