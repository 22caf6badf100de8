"""Runs of several likelihoods: shared terms, a pattern and its marks, maps of each, mistakes told in a sentence."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from small_run import quietly_in

import geospde as gs
from geospde.cli.commands import main
from geospde.model.joint import build_joint
from geospde.run.analysis import make_mesh, make_model
from geospde.run.check import check
from geospde.run.config import read_config
from geospde.run.inputs import load_survey
from geospde.run.pipeline import run

pytestmark = pytest.mark.usefixtures("unrendered")

SQUARE = shapely.box(0, 0, 10, 10)
FIELD = "spde(mesh, prior_range=(1, 0.05), prior_sigma=(2, 0.05))"
RUN_FILE = f"""
[survey]
points = "lead.csv"
boundary = "square.csv"
crs = "local:km"
[terms]
field = "{FIELD}"
[[observations]]
formula = "lead ~ 1 + field"
[[observations]]
name = "sites"
formula = "~ 1 + copy(field)"
family = "lgcp"
[mesh]
max_edge = [1.5, 3]
use_sites = false
[inference]
method = "eb"
strategy = "gaussian"
[prediction]
cell = 1
[output]
dir = "out"
"""


def written(folder, text=RUN_FILE):
    """Write marks at places that are denser where they are high, and the run file; return its path."""
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 10, (800, 2))
    level = np.sin(places[:, 0] / 2) + np.cos(places[:, 1] / 3)
    seen = rng.uniform(size=800) < np.exp(1.2 * level - 3.2)
    lead = 2 + level + 0.1 * rng.normal(size=800)
    table = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "lead": lead})
    table[seen].to_csv(folder / "lead.csv", index=False)
    table[:40].assign(count=rng.poisson(np.exp(level[:40]))).to_csv(folder / "plots.csv", index=False)
    pd.DataFrame(SQUARE.exterior.coords[:], columns=["x", "y"]).to_csv(folder / "square.csv", index=False)
    (folder / "lead.toml").write_text(text)
    return folder / "lead.toml"


@pytest.mark.slow
def test_a_pattern_and_its_marks_are_fitted_and_mapped_together(tmp_path, capsys):
    with quietly_in(tmp_path):
        result = run(written(tmp_path))
        sites = result.survey.parts[0].points
        fit = gs.fit(
            [
                gs.Observations("lead ~ 1 + field", sites),
                gs.Observations("~ 1 + copy(field)", sites, family="lgcp", domain=SQUARE, name="sites"),
            ],
            terms={"field": FIELD}, mesh=result.mesh, method="eb", strategy="gaussian",
        )  # fmt: skip
        assert main(["report", "lead.toml", "--quiet"]) == 0
        assert main(["explore", "lead.toml", "--quiet"]) == 2
        assert "an exploration is of one response" in capsys.readouterr().err
    np.testing.assert_allclose(result.fit.hyper["mean"], fit.hyper["mean"], rtol=1e-6)
    out, grid = tmp_path / "out", result.prediction.grid
    for name, folder in {"lead": out, "sites": out / "likelihoods" / "sites"}.items():
        expected = fit.predict(grid, observations=name).to_frame()["mean"]
        np.testing.assert_allclose(pd.read_csv(folder / "grid.csv")["mean"], expected, rtol=1e-6)
        assert (folder / "prediction.tif").exists() and (folder / "figures" / "mean.png").exists()
    numbers = pd.read_csv(out / "numbers.csv")
    assert numbers["area"].tolist() == ["domain"] and 0.7 < numbers["mean"][0] / len(sites) < 1.3
    page = (out / "report.html").read_text()
    assert '<section id="likelihoods">' in page and "family lgcp" in page and "sites: Intercept" in page


def test_each_may_have_data_of_its_own(tmp_path):
    two = RUN_FILE.replace('name = "sites"\nformula = "~ 1', 'points = "plots.csv"\nformula = "count ~ 1')
    with quietly_in(tmp_path):
        findings = check(written(tmp_path, two.replace("lgcp", "poisson")))
    described = next(one.message for one in findings if one.subject == "model")
    assert "lead: Intercept" in described and "count: Intercept" in described and "scale(copy(field))" in described


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('name = "sites"', 'nam = "sites"', r"line 11: \[\[observations\]\] number 2 has no key 'nam'.*'name'"),
        ('formula = "lead ~ 1 + field"', 'family = "t"', r"line 8: .*number 1 needs the key 'formula'"),
        ('family = "lgcp"', 'family = "lgpc"', "no family 'lgpc'|'lgpc'"),
        (
            "[mesh]",
            '[model]\nformula = "lead ~ 1"\n[mesh]',
            r"\[model\] is for a single likelihood: with several, its keys go in each",
        ),
        ("[terms]", "[terms]\nother = 'spde(mesh)'", "terms has 'other', which no formula names"),
        ("copy(field)", "copy(fiel)", "copy.name. takes the name of a shared term"),
        ('formula = "lead', 'name = "sites"\nformula = "lead', "two likelihoods are called 'sites'"),
        ('name = "sites"', 'name = "../a"', "name is of letters and digits"),
        ('points = "lead.csv"', "", r"\[\[observations\]\] number 1 needs the key 'points'"),
        ('"lead ~ 1', '"leed ~ 1', r"number 1: lead.csv has no column 'leed'.*'lead'"),
        ('[[observations]]\nname = "sites"\nformula = "~ 1 + copy(field)"\nfamily = "lgcp"\n', "", "be two or more"),
    ],
)
def test_mistakes_are_told(old, new, words, tmp_path):
    assert old in RUN_FILE
    with quietly_in(tmp_path), pytest.raises(gs.InputError, match=words):
        check(written(tmp_path, RUN_FILE.replace(old, new)))


def test_a_row_is_told_by_the_line_of_its_own_file(tmp_path):
    second = '[[observations]]\npoints = "plots.csv"\nformula = "count ~ log(lead)"\nfamily = "poisson"\n[mesh]'
    path = written(tmp_path, RUN_FILE.replace("[mesh]", second))
    table = pd.read_csv(tmp_path / "plots.csv")
    table.assign(lead=table["lead"].where(table.index != 5, -1)).to_csv(tmp_path / "plots.csv", index=False)
    with quietly_in(tmp_path), pytest.raises(gs.InputError, match=r"^count: in line 7 of plots.csv, lead = -1.0: log"):
        check(path)


def test_one_bracket_and_terms_alone_are_told(tmp_path):
    alone = '[survey]\npoints = "lead.csv"\n'
    with pytest.raises(gs.InputError, match=r"line 3: write \[\[observations\]\], with two brackets"):
        check(written(tmp_path, alone + '[observations]\nformula = "lead ~ 1"\n'))
    with pytest.raises(gs.InputError, match=r"\[terms\] are what several likelihoods share"):
        check(written(tmp_path, alone + '[model]\nformula = "lead ~ 1"\n[terms]\nfield = "spde(mesh)"\n'))
    with pytest.raises(gs.InputError, match=r"the section \[model\] is missing"):
        check(written(tmp_path, alone))


def test_areas_are_among_several_likelihoods(tmp_path):
    boxes = [shapely.box(i, j, i + 5, j + 5) for i in (0, 5) for j in (0, 5)]
    gpd.GeoDataFrame({"code": list("abcd")}, geometry=boxes).to_file(tmp_path / "quarters.gpkg")
    pd.DataFrame({"code": list("abcd"), "average": [2.1, 1.5, 2.9, 2.0]}).to_csv(tmp_path / "averages.csv", index=False)
    text = RUN_FILE.replace(
        'name = "sites"\nformula = "~ 1 + copy(field)"\nfamily = "lgcp"\n',
        'areas = { file = "quarters.gpkg", kind = "mean" }\ntable = "averages.csv"\nkey = "code"\n'
        'formula = "average ~ 1 + field"\n',
    )
    with quietly_in(tmp_path):
        config = read_config(written(tmp_path, text))
        survey = load_survey(config)
        mesh = make_mesh(config, survey)
        model = make_model(config, survey, mesh)
    assert list(model.parts) == ["lead", "average"] and model.parts["average"].support.kind == "mean"
    alone = gs.Observations("average ~ 1 + field", survey.parts[1].table, areas="mean")
    by_hand = build_joint(
        [gs.Observations("lead ~ 1 + field", survey.parts[0].points), alone], terms={"field": FIELD}, mesh=mesh
    )
    assert abs(model.design - by_hand.design).max() < 1e-12


def test_an_area_needs_a_kind(tmp_path):
    text = RUN_FILE.replace('name = "sites"\n', 'areas = "quarters.gpkg"\n')
    with pytest.raises(gs.InputError, match=r"areas is a table such as \{ file ="):
        read_config(written(tmp_path, text))
