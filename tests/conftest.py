import shutil
from pathlib import Path

import pytest

from geospde.survey.datasets import data_folder


@pytest.fixture
def island(tmp_path: Path) -> Path:
    """Return a folder with Rongelap's survey and its run file, to be spoilt."""
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
