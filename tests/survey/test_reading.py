"""Marks of missing values, what spreadsheets put before a header, and rings that touch themselves."""

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon

import geospde as gs
from geospde.survey.polygons import as_land

ROWS = [
    (0, 0, "None", "1"), (500, 10, "lime", "NA"), (300, 400, "NA", "3"), (20, 70, "n/a", "-9999"), (9, 8, "ash", ""),
]  # fmt: skip
TEXT = "x,y,treatment,depth\n" + "".join(f"{x},{y},{t},{d}\n" for x, y, t, d in ROWS)


def read(tmp_path, text, **options):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        survey = gs.read_survey(path, crs="local:m", **options)
    return survey, [str(w.message) for w in caught]


def test_marks_are_labels_among_labels_and_missing_among_numbers(tmp_path):
    survey, said = read(tmp_path, TEXT)
    assert survey.points["treatment"].tolist() == ["None", "lime", "NA", "n/a", "ash"]
    np.testing.assert_array_equal(survey.points["depth"], [1, np.nan, 3, -9999, np.nan])
    assert said == ["t.csv, line 3, column 'depth': 'NA' among numbers counts as missing, in 1 line"]


def test_marks_are_known_in_any_case(tmp_path):
    survey, said = read(
        tmp_path, "x,y,treatment,depth\n0,0,Null,NAN\n500,10,NAN,2\n300,400,lime,Null\n20,70,ash,None\n"
    )
    assert survey.points["treatment"].tolist() == ["Null", "NAN", "lime", "ash"]
    np.testing.assert_array_equal(survey.points["depth"], [np.nan, 2, np.nan, np.nan])
    assert said == ["t.csv, line 4, column 'depth': 'Null' and 'None' among numbers counts as missing, in 2 lines"]


def test_truths_with_gaps_are_truths(tmp_path):
    """R writes NA among TRUE and FALSE: read as 1 and 0 they were a slope, as text a level NA."""
    cells = ["TRUE,true", "FALSE,", "NA,false", "TRUE,true", "FALSE,false"]
    rows = "".join(f"{99 * i * i},{99 * i},{cell}\n" for i, cell in enumerate(cells))
    survey, said = read(tmp_path, f"x,y,limed,drained\n{rows}")
    assert said == ["t.csv, line 4, column 'limed': 'NA' among True and False counts as missing, in 1 line"]
    points = survey.points.assign(z=[1.0, 2, 3, 4, 6])
    assert points["drained"].isna().tolist() == [False, True, False, False, False]
    known = points.dropna(subset=["limed"])
    assert gs.fit("z ~ 0 + limed", known, method="ml").fixed.index.tolist() == ["limed[False]", "limed[True]"]
    assert gs.fit("z ~ 0 + limed", known, method="ml").fixed["estimate"].tolist() == pytest.approx([4, 2.5])


def test_marks_that_are_listed_are_missing_everywhere(tmp_path):
    survey, said = read(tmp_path, TEXT, missing=["NA", "-9999"])
    assert said == []
    assert survey.points["treatment"].isna().tolist() == [False, False, True, False, False]
    np.testing.assert_array_equal(survey.points["depth"], [1, np.nan, 3, np.nan, np.nan])
    layer = gpd.GeoDataFrame(survey.points.assign(depth=[1.0, -9999.0, 3, 4, 5]))
    assert gs.read_survey(layer, missing=["-9999"]).points["depth"].isna().sum() == 1


@pytest.mark.parametrize(
    "before",
    [
        *["sep=,\n", '"sep=,"\n', "# from the lab\n", "# a, b, c, d\n#\n", "\n# late\n\n"],
        *["sep=,\n# units: m\n", "# units: m\n#\nsep=,\n"],
    ],
)
def test_what_stands_before_the_header_is_read_over_and_lines_are_still_counted(tmp_path, before):
    survey, _ = read(tmp_path, before + TEXT, missing=["NA"])
    assert len(survey.points) == 5 and list(survey.points.columns)[:4] == ["x", "y", "treatment", "depth"]
    line = before.count("\n") + 7
    with pytest.raises(gs.InputError, match=f"t.csv, line {line}, column 'x': 'q' is not a number"):
        read(tmp_path, before + TEXT + "q,1,ash,2\n")
    with pytest.raises(gs.InputError, match=f"line {line + 2}, column 'x': 'q' is not a number"):
        read(tmp_path, before + TEXT + '3,4,"two\nlines",2\nq,1,ash,2\n')


def test_separators_that_are_said_and_headers_behind_a_comment(tmp_path):
    survey, _ = read(tmp_path, "sep=;\nx;y;z\n0;0;1\n5;100;2\n")
    assert survey.points["z"].tolist() == [1, 2]
    survey, _ = read(tmp_path, "sep=|\nx|y|z\n0|0|1\n5|100|2\n")
    assert survey.points["z"].tolist() == [1, 2]
    survey, _ = read(tmp_path, "# x,y,z\n0,0,1\n5,100,2\n")
    assert survey.points["z"].tolist() == [1, 2]


SQUARE = [(0, 0), (100, 0), (100, 100), (0, 100)]
LOBES = [(0, 0), (50, 50), (100, 0), (100, 100), (50, 50), (0, 100)]
SPIKE = [(0, 0), (100, 0), (100, 50), (200, 50), (100, 50), (100, 100), (0, 100)]
SITES = pd.DataFrame({"x": [5.0, 60, 20], "y": [50.0, 70, 52], "z": [1.0, 2, 3]})


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (Polygon(LOBES), 5000),
        (Polygon(SPIKE), 10000),
        (Polygon([(0, 0), (100, 0), (100, 50), (60, 50), (100, 50), (100, 100), (0, 100)]), 10000),  # a spike inwards
        (Polygon([*SQUARE, (0, 0), (50, 50)]), 10000),  # goes back the way it came
        (Polygon([(0, 0), (100, 0), (100, 100), (0, 100), (0, 0), (0, 100), (0, 0)]), 10000),
        (Polygon(SQUARE, [[(0, 40), (30, 40), (30, 60), (0, 60)]]), 9400),  # a hole along the shell
        (Polygon(SQUARE, [[(20, 20), (40, 40), (40, 20), (20, 40)]]), None),  # a hole that crosses itself
        (Polygon(SQUARE, [[(20, 20), (40, 40), (60, 20), (60, 60), (40, 40), (20, 60)]]), 9200),  # touches itself
        (Polygon([*SQUARE, *SQUARE]), 10000),  # gone round twice
        (Polygon([*SQUARE, (0, 0), *SQUARE]), 10000),  # closed, and gone round again
        (Polygon(SQUARE, [[(20, 20), (40, 20), (40, 40), (20, 40)]] * 2), 9600),  # a hole given twice
        (Polygon(SQUARE, [[(20, 20), (40, 20), (40, 40)], [(40, 40), (20, 20), (40, 20)]]), 9800),
        (Polygon(SQUARE, [[(50, 50), (60, 50), (50, 50)]]), 10000),
        (MultiPolygon([Polygon(SQUARE), Polygon([(200, 200)] * 4)]), 10000),
        (MultiPolygon([Polygon(SQUARE), Polygon([(200, 200), (300, 300), (400, 400), (200, 200)])]), 10000),
        (Polygon([(0, 0), (100, 100), (100, 0), (0, 100)]), None),  # a bow tie may be a square, its vertices swapped
        (Polygon([(0, 0), (50, 50), (100, 100), (100, 0), (50, 50), (0, 100)]), None),  # through the same vertex
        (Polygon(SQUARE, [[(50, 50), (150, 50), (150, 60), (50, 60)]]), None),  # partly outside
        (Polygon(SQUARE, [[(10, 10), (50, 10), (50, 50), (10, 50)], [(40, 40), (60, 40), (60, 60), (40, 60)]]), None),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e5])
def test_rings_that_touch_themselves_are_mended_and_those_that_cross_are_refused(shape, area, scale):
    shape = shapely.transform(shape, lambda v: scale * v + 3e6 * (scale > 1))
    sites = SITES.assign(x=scale * SITES["x"] + 3e6 * (scale > 1), y=scale * SITES["y"] + 3e6 * (scale > 1))
    coast = gpd.GeoDataFrame(geometry=[shape])
    if area is None:
        with pytest.raises(gs.InputError, match="crosses itself|not a valid polygon"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gs.read_survey(sites, coastline=coast, crs="local:unit")
        return
    with pytest.warns(gs.GeospdeWarning, match="mended|left out"):
        survey = gs.read_survey(sites, coastline=coast, crs="local:unit")
    assert survey.coastline.is_valid and survey.coastline.area == pytest.approx(area * scale**2)


def test_rings_of_a_table_are_mended_alike(tmp_path):
    rings = {"a": LOBES, "b": [(300, 0), (400, 0), (400, 0)], "c": [(300, 0), (400, 0), (350, 80)]}
    text = "ring,x,y\n" + "".join(f"{name},{x},{y}\n" for name, ring in rings.items() for x, y in ring)
    (tmp_path / "coast.csv").write_text(text)
    with pytest.warns(gs.GeospdeWarning) as caught:
        survey = gs.read_survey(SITES, coastline=tmp_path / "coast.csv", crs="local:m")
    assert survey.coastline.area == pytest.approx(5000 + 4000)
    said = " ".join(str(w.message) for w in caught)
    assert "1 ring of coast.csv without area left out" in said and "ring a of coast.csv touches" in said


def test_rows_of_a_frame_are_called_by_their_labels():
    frame = pd.DataFrame(
        {"x": [5e5, 5.01e5, 5.02e5, 5.02e5], "y": [0.0, 1e3, 0.0, 0.0], "zinc": [1.0, 2.0, 3.0, np.inf]}
    )
    for labels, told in ((["S1", "S7", "S3", "S9"], "'S9'"), ([3, 7, 12, 40], "40"), (range(4), "4")):
        table = frame.set_axis(pd.Index(labels), axis=0)
        with pytest.warns(gs.GeospdeWarning, match=rf"again: row {told}\)"):
            survey = gs.read_survey(table, crs="EPSG:32631")
        assert str(survey.place(3, None)) == f"the points, row {told}"


def test_islands_apart_are_not_united_and_neighbours_are(monkeypatch):
    """A union of 5,000 islands takes a second, and a coastline is read seven times by a check."""
    grid = [shapely.box(3 * i, 3 * j, 3 * i + 2, 3 * j + 2) for i in range(4) for j in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(shapely, "union_all", lambda *_: pytest.fail("a union"))
        land = as_land(shapely.MultiPolygon(grid))
        assert as_land(land).equals_exact(land) and land.area == 64
    joined = as_land(shapely.GeometryCollection([*grid, shapely.box(2, 0, 3, 2)]))
    assert len(joined.geoms) == 15 and joined.area == 66
