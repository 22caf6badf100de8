"""README.md: short; its Python runs, its run file is read, its commands, links and numbers are there."""

import re
from pathlib import Path

import matplotlib
import pytest

from geospde.cli.commands import main
from geospde.run.config import read_config
from geospde.survey.datasets import data_folder

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def shell_commands():
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Go to an empty folder, where figures are drawn without a screen."""
    from matplotlib import pyplot as plt

    monkeypatch.chdir(tmp_path)
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    yield tmp_path
    plt.close("all")
    plt.switch_backend(before)


def test_it_is_short():
    assert len(README.encode()) <= 6 * 1024
    (python,), (toml,) = blocks("python"), blocks("toml")
    assert sum(bool(line.strip()) for line in python.splitlines()) <= 12 and len(toml.splitlines()) == 6


def test_its_python_runs_from_top_to_bottom_and_gives_the_numbers_shown(elsewhere, capsys):
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (elsewhere / "prediction.tif").is_file() and (elsewhere / "rongelap.npz").is_file()
    assert list(names["surface"].to_frame()) == "x y mean sd q0.025 q0.5 q0.975 exceed_8".split()
    printed = capsys.readouterr().out
    (shown,) = blocks("text")
    rows = re.findall(r"^(\S+) +(-?\d.*)$", shown, re.MULTILINE)
    assert [name for name, _ in rows] == ["Intercept", "range(spde)", "sigma(spde)"]
    for name, numbers in rows:
        now = re.search(rf"^{re.escape(name)} +(-?\d.*)$", printed, re.MULTILINE)[1]
        assert [float(n) for n in now.split()] == pytest.approx([float(n) for n in numbers.split()], rel=0.02)


def test_its_run_file_and_the_bundled_one_are_read(tmp_path):
    (text,) = blocks("toml")
    path = tmp_path / "run.toml"
    path.write_text(text)
    config = read_config(path)
    assert config.survey.source_crs == "EPSG:4326" and config.model.exposure == "population"
    assert read_config(data_folder() / "rongelap" / "survey.toml").model.exposure == "time"


def test_its_run_file_runs_on_files_of_its_kind(tmp_path, capsys):
    import geopandas as gpd

    places = gpd.points_from_xy([166.80, 166.83, 166.86, 166.81], [11.15, 11.16, 11.15, 11.18])
    columns = {"cases": [3, 0, 5, 2], "population": [50, 20, 90, 40]}
    table = gpd.GeoDataFrame(columns, geometry=places).assign(lon=places.x, lat=places.y)
    table.drop(columns="geometry").to_csv(tmp_path / "sites.csv", index=False)
    (tmp_path / "run.toml").write_text(blocks("toml")[0])
    assert main(["check", str(tmp_path / "run.toml")]) == 0
    assert "can be run" in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(set(shell_commands())))
def test_its_commands_are_there(command, capsys):
    program, *words = command.split()
    if program.startswith("./scripts/"):
        script = ROOT / program
        if not script.parent.is_dir():
            pytest.skip("an installed package has no scripts")
        assert script.stat().st_mode & 0o100
    elif program.endswith("geospde"):
        assert main([words[0], "--help"]) == 0
        usage = capsys.readouterr().out
        assert all(word in usage for word in words if word.startswith("--"))
    else:
        assert program.endswith(("python3", "pip"))


def test_its_links_and_pictures_are_there():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "outputs/readme/mean.png" in targets
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).is_file(), target
