"""A run of a field in time: maps of several years, a report whose map has a slider."""

import pandas as pd
import pytest
import rasterio
from small_run import quietly_in, write_survey

from geospde.errors import InputError
from geospde.run.pipeline import run

YEARS = "at.year = [2002, 2003, 2006]\n"


@pytest.fixture(scope="module")
def bay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bay")
    path = write_survey(folder)
    table = pd.read_csv(folder / "sites.csv")
    table["year"] = [2001, 2002, 2004, 2005] * 10
    table.to_csv(folder / "sites.csv", index=False)
    text = path.read_text().replace("spde(mesh)", "spde(mesh, time=year)")
    path.write_text(text.replace("cell = 100\n", "cell = 200\nexceed = 4\nlayers = 'cv'\n" + YEARS))
    return path


@pytest.mark.slow
def test_a_run_maps_every_step(bay):
    with quietly_in(bay.parent):
        run(bay)
    out = bay.parent / "out"
    with rasterio.open(out / "prediction.tif") as raster:
        assert {"mean_2002", "mean_2006", "exceed_4_2003", "cv_2003"} <= set(raster.descriptions)
    assert (out / "figures" / "mean.png").exists() and (out / "figures" / "exceed_4.png").exists()
    index = pd.read_csv(out / "index.csv")
    assert index["year"].tolist() == [2002, 2003, 2006] and (index["q0.025"] < index["q0.975"]).all()
    with rasterio.open(out / "prediction.tif") as raster:  # of one link, means over all cells are those of the map
        cells = raster.read(raster.descriptions.index("mean_2003") + 1, masked=True)
    assert index["mean"][1] == pytest.approx(float(cells.mean()), rel=1e-5)
    assert (out / "figures" / "index.png").exists()
    report = (out / "report.html").read_text()
    assert '<section id="index">' in report
    assert 'id="map-step" min="0" max="2" step="1" value="2"' in report  # the year that the sentences are of
    assert "In 2006, the last of 3" in report


def test_a_year_that_is_missing_is_told(bay):
    text = bay.read_text()
    bay.with_name("none.toml").write_text(text.replace(YEARS, ""))
    with quietly_in(bay.parent), pytest.raises(InputError, match=r"its value in \[prediction\], as in at.year"):
        run(bay.with_name("none.toml"), overwrite=True)
    bay.with_name("twice.toml").write_text(text.replace("2003, 2006", "2002"))
    with quietly_in(bay.parent), pytest.raises(InputError, match="gives 2002 twice"):
        run(bay.with_name("twice.toml"), overwrite=True)
