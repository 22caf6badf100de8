"""Fits and runs whose maps take covariates from rasters."""

import json
import warnings

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main

pytestmark = pytest.mark.usefixtures("unrendered")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a survey and a raster that rises to the north, but in its north-east corner."""
    folder = tmp_path_factory.mktemp("covariates")
    write_survey(folder)
    values = np.repeat(np.arange(60.0)[::-1, None], 60, axis=1)
    values[:20, 42:] = -1
    kind = {"driver": "GTiff", "height": 60, "width": 60, "count": 1, "dtype": "float64", "nodata": -1}
    with rasterio.open(folder / "up.tif", "w", transform=Affine(20, 0, -100, 0, -20, 1100), **kind) as raster:
        raster.write(values, 1)
    text = (folder / "bay.toml").read_text().replace("~ 1 +", "~ 1 + up +")
    covariates = '[covariates]\nup = { raster = "up.tif", missing = "drop" }\n'
    (folder / "up.toml").write_text(text.replace('"out"', '"mapped"') + covariates)
    return folder


@pytest.fixture(scope="module")
def fitted(here):
    """A survey, its fit, and the grid."""
    with quietly_in(here):
        survey = gs.read_survey("sites.csv", crs="local:m")
        mesh = gs.build_mesh(survey.points, max_edge=(200, 400), crs=survey.crs)
        spec = {"up": {"raster": "up.tif", "missing": "drop"}}
        fit = gs.fit(
            "caught ~ 1 + up + spde(mesh)", survey.points, mesh=mesh, family="poisson", method="eb", covariates=spec
        )
    return survey, fit, gs.Grid.around(survey.domain, cell=50, crs=survey.crs)


def test_a_map_equals_a_table_with_the_column(fitted):
    survey, fit, grid = fitted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        surface = fit.predict(grid)
    assert surface.grid.n < grid.n  # the corner is left out
    centres = surface.grid.centres
    # 50 m by 50 m of cells of 20 m: the mean of a plane is its value at the centre, but for the raster's steps
    up = np.array([np.clip(np.floor((np.arange(y - 24.5, y + 25) + 100) / 20), 0, 59).mean() for y in centres[:, 1]])
    table = gpd.GeoDataFrame({"up": up}, geometry=gpd.points_from_xy(*centres.T), crs=survey.crs)
    by_hand = fit.predict(table)
    np.testing.assert_allclose(surface.values("mean"), by_hand.values("mean"), rtol=1e-3)


def test_cells_that_lack_a_covariate_are_told(fitted):
    _, fit, grid = fitted
    left = grid.n - fit.model.covariates.at(grid.centres, grid.crs, grid.cells).usable.sum()
    assert left > 0
    with pytest.warns(
        gs.GeospdeWarning, match=rf"{left:,} of {grid.n:,} cells of the map .* no value: 'up' \({left:,}\)"
    ):
        fit.predict(grid)


def test_a_saved_fit_maps_with_its_rasters(fitted, tmp_path, here):
    _, fit, grid = fitted
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        np.testing.assert_array_equal(again.predict(grid).values("mean"), fit.predict(grid).values("mean"))
    (here / "up.tif").rename(here / "gone.tif")
    try:
        lost = gs.load_fit(tmp_path / "fit")
        with pytest.raises(gs.InputError, match="there is no file .*up.tif"):
            lost.predict(grid)
    finally:
        (here / "gone.tif").rename(here / "up.tif")


@pytest.mark.slow
def test_a_run_maps_with_rasters_step_by_step_too(here):
    with quietly_in(here):
        assert main(["run", "up.toml", "--quiet"]) == 0
        assert main(["map", "up.toml", "--quiet"]) == 0
        record = json.loads((here / "mapped" / "run.json").read_text())
        assert any(entry["path"].endswith("up.tif") for entry in record["inputs"])
        page = (here / "mapped" / "report.html").read_text()
        assert "The covariate up comes from up.tif" in page
        with rasterio.open(here / "mapped" / "prediction.tif") as raster:
            assert raster.descriptions[-1] == "extrapolation"


def test_a_run_refuses_bad_rasters_in_a_sentence(here, capsys):
    with quietly_in(here):
        text = (here / "up.toml").read_text()
        (here / "bad.toml").write_text(text.replace('missing = "drop"', 'missing = "refuse"').replace("mapped", "bad"))
        assert main(["run", "bad.toml", "--quiet"]) == 2
        assert "has no value at" in capsys.readouterr().err.replace("\n", " ")
        assert not (here / "bad").exists()


def test_init_proposes_a_term_for_a_raster(here, capsys):
    with quietly_in(here):
        command = ["init", "sites.csv", "--covariate", "up.tif", "--crs", "local:m", "--yes", "--out", "mine.toml"]
        assert main([*command, "--overwrite"]) == 0
        text = (here / "mine.toml").read_text()
        assert "a first look at what the covariates" in text.replace("\n# ", " ")  # the mesh is that of the field left
        assert "~ 1 + up + spde(mesh)" in text and 'up = { raster = "up.tif", standardise = true' in text
        assert main(["check", "mine.toml", "--quiet"]) == 0
