"""A run whose response has two parts: mapped as their product, one part cross-validated, mistakes told."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.run.analysis import make_model
from geospde.run.config import read_config
from geospde.run.inputs import load_survey
from geospde.run.pipeline import run

pytestmark = pytest.mark.usefixtures("unrendered")

RUN_FILE = """
[survey]
points = "sites.csv"
crs = "local:m"
[mesh]
max_edge = [300, 600]
[model]
formula = "caught ~ 1 + spde(mesh)"
formula2 = "~ 1"
family = "delta_gamma"
[inference]
method = "eb"
strategy = "gaussian"
[prediction]
cell = 200
exceed = [1]
[validation]
folds = "random"
k = 2
observations = "positive"
[output]
dir = "out"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (80, 2)), columns=["x", "y"])
    there = rng.uniform(size=80) < 1 / (1 + np.exp(-0.3 - np.sin(table["x"] / 200)))
    table.assign(caught=there * rng.gamma(3, 0.8, size=80)).to_csv(tmp_path / "sites.csv", index=False)
    (tmp_path / "bay.toml").write_text(RUN_FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_delta_model_runs_from_its_file(folder):
    run("bay.toml")
    fit = gs.load_fit(folder / "out")
    assert fit.model.multiplies and "presence: range(spde)" in fit.hyper.index
    grid = pd.read_csv(folder / "out" / "grid.csv")
    assert (grid["mean"] > 0).all() and grid["exceed_1"].between(0, 1).all()
    checked = pd.read_csv(folder / "out" / "checks.csv")
    assert checked["message"].str.startswith("presence: range(spde) is").any()
    assert checked["message"].str.contains("replicates of the fit").any()  # of the whole response, not of its parts
    assert {"fitted.png", "predictive_check.png"} <= {path.name for path in (folder / "out" / "figures").iterdir()}
    seen = pd.read_csv(folder / "sites.csv")["caught"]
    validation = pd.read_csv(folder / "out" / "validation-pointwise.csv")
    assert len(validation) == (seen > 0).sum()


@pytest.mark.slow
def test_a_poisson_link_runs_from_its_file(folder):
    (folder / "bay.toml").write_text(RUN_FILE.replace('"delta_gamma"', '"delta_gamma"\nlink = "poisson-link"'))
    run("bay.toml")
    fit = gs.load_fit(folder / "out")
    assert fit.describe()["family"] == "delta_poisson_link_gamma"
    grid = pd.read_csv(folder / "out" / "grid.csv")
    assert (grid["mean"] > 0).all() and grid["exceed_1"].between(0, 1).all()
    seen = pd.read_csv(folder / "sites.csv")["caught"]
    assert len(pd.read_csv(folder / "out" / "validation-pointwise.csv")) == (seen > 0).sum()


@pytest.mark.parametrize(
    "old, new, words",
    [
        (
            'family = "delta_gamma"',
            'family = "tweedie"',
            "formula2 in .model. is only for families of two parts, not for 'tweedie'",
        ),
        ('family = "delta_gamma"', 'family = "delta_gamma"\nexposure = "x"', "takes no exposure=: an amount per"),
        ('family = "delta_gamma"', 'family = "delta_gamma"\nlink = "log"', "has two links, of its own"),
        ('formula2 = "~ 1"', 'formula2 = "~ depth"', "no column 'depth'"),
    ],
)
def test_mistakes_are_told(folder, old, new, words):
    (folder / "bay.toml").write_text(RUN_FILE.replace(old, new))
    config = read_config(folder / "bay.toml")
    with pytest.raises(gs.InputError, match=words):
        survey = load_survey(config)
        make_model(config, survey, gs.build_mesh(survey.points, max_edge=(300, 600)))


def test_the_dispersion_of_a_run_follows_a_column(folder):
    (folder / "bay.toml").write_text(RUN_FILE.replace('formula2 = "~ 1"', 'formula2 = "~ 1"\ndispformula = "~ x"'))
    config = read_config(folder / "bay.toml")
    survey = load_survey(config)
    model = make_model(config, survey, gs.build_mesh(survey.points, max_edge=(300, 600)))
    assert [h.name for h in model.hyperparameters][-2:] == [
        "positive: log(shape): Intercept",
        "positive: log(shape): x",
    ]
