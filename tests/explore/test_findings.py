"""Each finding is provoked by a survey or a mesh made for it, and by nothing else."""

import warnings

import numpy as np
import pandas as pd
import pytest
import shapely
from scipy import sparse
from scipy.sparse.linalg import splu

import geospde as gs
from geospde.explore.mesh_checks import ExpectedRange, check_mesh
from geospde.explore.structure import matern_correlation
from geospde.explore.survey_checks import check_survey
from geospde.terms.precisions.fem import fem_matrices
from geospde.text.findings import Finding, count_levels, findings_frame

LAND = shapely.box(0, 0, 1000, 1000)


def table(n=40, seed=1):
    """A sound survey: counts over times, with a trend, in a square of a kilometre."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(20, 980, (2, n))
    hours = rng.uniform(2, 6, n)
    depth = rng.uniform(5, 30, n)
    counts = rng.poisson(hours * np.exp(3 + np.sin(x / 200) / 2))
    return pd.DataFrame({"x": x, "y": y, "counts": counts, "hours": hours, "depth": depth})


def explored(frame, *, coastline=LAND, exposure="hours", crs="local:m", **options):
    """The exploration of a table, without the reader's own warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        survey = gs.read_survey(frame, x="x", y="y", crs=crs, coastline=coastline)
    return gs.explore(survey, "counts", exposure, **options)


def beside_ok(findings):
    return [(f.level, f.subject) for f in findings if f.level != "ok"]


def only(findings, subject):
    (one,) = [f for f in findings if f.subject == subject]
    return one


def test_a_sound_survey_has_nothing_but_ok():
    found = explored(table(), family="poisson").findings
    assert beside_ok(found) == []
    subjects = [
        "number of sites",
        "coordinates",
        "duplicated sites",
        "sites at sea",
        "exposure",
        "response",
        "outliers",
    ]
    assert [f.subject for f in found] == [*subjects, "spatial structure"]
    assert not any(f.remedy or f.rows for f in found)


@pytest.mark.parametrize(("n", "level"), [(30, "ok"), (29, "note"), (10, "note"), (9, "warning")])
def test_few_sites(n, level):
    found = only(explored(table(40).head(n)).findings, "number of sites")
    assert found.level == level
    assert str(n) in found.message
    assert bool(found.remedy) == (level != "ok")


def test_repeats_do_not_count_as_sites():
    frame = pd.concat([table(40).head(20)] * 2)
    assert only(explored(frame).findings, "number of sites").level == "note"


def test_duplicated_sites_and_rows_entered_twice():
    frame = table()
    frame.loc[[3, 7], ["x", "y"]] = frame.loc[0, ["x", "y"]].to_numpy()
    found = explored(frame).findings
    assert beside_ok(found) == [("warning", "duplicated sites")]
    one = only(found, "duplicated sites")
    assert one.message == "1 place measured more than once, in 3 rows"
    assert one.rows == (0, 3, 7)
    again = only(explored(pd.concat([table(), table().iloc[[5]]])).findings, "duplicated sites")
    assert "1 row repeats the reading too" in again.message
    assert again.rows == (5, 40)


def test_sites_at_sea_with_their_distances():
    frame = table()
    frame.loc[4, "x"], frame.loc[9, "y"] = 1012.5, -3
    found = explored(frame).findings
    assert beside_ok(found) == [("warning", "sites at sea")]
    one = only(found, "sites at sea")
    assert "2 of 40 sites off the coastline, by 12.5 m, 3.00 m" in one.message
    assert "row 5 (1,012.50" in one.message
    assert one.rows == (4, 9)


def test_no_coastline_is_a_note():
    assert beside_ok(explored(table(), coastline=None).findings) == [("note", "coastline")]


def test_rows_without_trials_are_a_note():
    frame = table().assign(counts=0.0)
    frame.loc[[2, 6], "hours"] = 0.0
    one = only(explored(frame, family="binomial").findings, "trials")
    assert (one.level, one.rows) == ("note", (2, 6)) and "'hours' is not above 0" in one.message


@pytest.mark.parametrize("bad", [0.0, -2.0])
def test_an_exposure_that_is_not_above_zero(bad):
    frame = table()
    frame.loc[[2, 6], "hours"] = bad
    found = explored(frame)
    one = only(found.findings, "exposure")
    assert (one.level, one.rows) == ("error", (2, 6))
    assert np.isnan(found.observed.rates[[2, 6]]).all()
    assert found.variogram.sites == 38


@pytest.mark.parametrize(("longest", "level"), [(2 * 19.0, "ok"), (2 * 21.0, "note"), (2 * 201.0, "warning")])
def test_an_uneven_exposure(longest, level):
    frame = table()
    frame["hours"] = np.linspace(2, 4, 40)
    frame.loc[[0, 1], "hours"] = longest, 2
    frame["counts"] = (frame["hours"] * 50).round()
    frame.loc[1, "counts"] += 9
    assert only(explored(frame).findings, "exposure").level == level


def test_a_constant_exposure_is_a_note():
    found = explored(table().assign(hours=4.0)).findings
    assert beside_ok(found) == [("note", "exposure")]


def test_without_an_exposure_nothing_is_said_of_it():
    found = explored(table(), exposure=None, family="poisson").findings
    assert "exposure" not in [f.subject for f in found]


@pytest.mark.parametrize(("value", "exposure"), [(0, "hours"), (7, None)])
def test_a_constant_response_is_an_error(value, exposure):
    found = explored(table().assign(counts=value), exposure=exposure)
    assert only(found.findings, "response").level == "error"
    assert found.variogram is None


def test_equal_counts_over_different_times_are_no_constant():
    assert only(explored(table().assign(counts=50)).findings, "response").level == "ok"


def test_many_zeros_are_a_note():
    frame = table()
    frame.loc[:20, "counts"] = 0
    found = explored(frame, family="nbinomial")
    one = only(found.findings, "response")
    assert one.level == "note" and '"nbinomial"' not in one.remedy and "zeroinflated" in one.remedy
    assert found.observed.scale_note and not explored(table(), family="nbinomial").observed.scale_note
    frame.loc[:2, "counts"] = 5
    assert only(explored(frame, family="poisson").findings, "response").level == "ok"


@pytest.mark.parametrize(("factor", "level"), [(1 / 6, "note"), (1 / 60, "warning")])
def test_outliers_are_told_with_their_row(factor, level):
    frame = table()
    frame["counts"] = (frame["hours"] * np.linspace(400, 700, 40)).round()
    assert only(explored(frame).findings, "outliers").level == "ok"
    frame.loc[11, "counts"] = round(frame.loc[11, "counts"] * factor)
    one = only(explored(frame).findings, "outliers")
    assert (one.level, one.rows) == (level, (11,))
    assert "row 12 (" in one.message


def test_a_skewed_value_is_a_shape_and_not_an_outlier():
    frame = table()
    frame["counts"] = np.exp(np.random.default_rng(0).normal(0, 1.2, 40))
    one = only(explored(frame, exposure=None).findings, "outliers")
    assert one.level == "note"
    assert "lognormal" in one.remedy
    assert only(explored(frame, exposure=None, family="lognormal").findings, "outliers").level == "ok"


def test_heavy_tails_are_a_shape_too():
    frame = table()
    frame["counts"] = np.random.default_rng(0).standard_t(1, 40)
    one = only(explored(frame, exposure=None).findings, "outliers")
    assert one.level == "note"
    assert "heavier tails" in one.remedy


def test_a_covariate_with_gaps_and_one_that_is_constant():
    frame = table().assign(soil="clay")
    frame.loc[[8, 9], "depth"] = [np.nan, np.inf]
    found = explored(frame).findings
    assert beside_ok(found) == [("warning", "covariate depth"), ("note", "covariate soil")]
    assert only(found, "covariate depth").rows == (8, 9)


def test_values_without_structure_are_a_note():
    frame = table(120)
    assert only(explored(frame).findings, "spatial structure").level == "ok"
    frame[["counts", "hours"]] = frame[["counts", "hours"]].sample(frac=1, random_state=3).to_numpy()
    one = only(explored(frame).findings, "spatial structure")
    assert one.level == "note"
    assert "p = 0." in one.message


def test_metres_that_may_be_degrees():
    frame = table()
    frame[["x", "y"]] = frame[["x", "y"]] / 1000 + [166, 11]
    found = explored(frame, coastline=None).findings
    assert ("warning", "coordinates") in beside_ok(found)
    kilometres = explored(frame, coastline=None, crs="local:km").findings
    assert only(kilometres, "coordinates").level == "ok"


def test_degrees_are_an_error():
    survey = gs.load_dataset("rongelap")
    lonlat = survey.points.set_geometry(survey.points.geometry.scale(1e-4, 1e-4, origin=(0, 0))).set_crs(
        4326, allow_override=True
    )
    degrees = gs.Survey(lonlat, None, lonlat.crs)
    assert only(check_survey(degrees), "coordinates").level == "error"
    assert only(check_survey(survey), "coordinates").level == "ok"


# ---- meshes ----


@pytest.fixture(scope="module")
def survey():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        return gs.read_survey(table(), x="x", y="y", crs="local:m", coastline=LAND)


def square_mesh(low, high, cells, shear=0.0):
    """Triangles of a square's cells, each cut in two; `shear` moves every second row."""
    side = np.linspace(low, high, cells + 1)
    x, y = np.meshgrid(side, side)
    x = x + shear * (np.arange(cells + 1)[:, None] % 2)
    k = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = (v.ravel() for v in (k[:-1, :-1], k[:-1, 1:], k[1:, 1:], k[1:, :-1]))
    return gs.Mesh(np.column_stack([x.ravel(), y.ravel()]), np.vstack([np.c_[a, b, c], np.c_[a, c, d]]), "local:m")


def mesh_levels(mesh, survey, expected):
    return {f.subject: f.level for f in check_mesh(mesh, survey, ExpectedRange(expected, True))}


SUBJECTS = ["mesh edges", "mesh angles", "mesh extension", "mesh size", "sites in the mesh"]


def test_a_sound_mesh_has_nothing_but_ok(survey):
    mesh = gs.build_mesh(LAND, sites=survey.points, max_edge=(50, 150), offset=300, crs="local:m")
    found = check_mesh(mesh, survey, ExpectedRange(300, True))
    assert [(f.subject, f.level) for f in found] == [(s, "ok") for s in SUBJECTS]


@pytest.mark.parametrize(("expected", "level"), [(720, "ok"), (700, "note"), (142, "note"), (141, "warning")])
def test_edges_against_the_range(survey, expected, level):
    mesh = square_mesh(-1000, 2000, 30)  # edges of 100, and 141.4 across
    assert mesh_levels(mesh, survey, expected)["mesh edges"] == level


@pytest.mark.parametrize(("shear", "angle", "level"), [(80, 22.3, "ok"), (100, 18.4, "note"), (180, 9.4, "warning")])
def test_angles(survey, shear, angle, level):
    one = only(check_mesh(square_mesh(-1000, 2000, 30, shear), survey, ExpectedRange(720, True)), "mesh angles")
    assert one.level == level
    assert f"smallest angle {angle} degrees" in one.message


@pytest.mark.parametrize(("width", "level"), [(400, "ok"), (300, "note"), (100, "warning"), (0, "warning")])
def test_the_extension_against_the_range(survey, width, level):
    """A range of 600 m: the boundary raises standard deviations by 3, 7, 28 and 41 %."""
    mesh = square_mesh(-width, 1000 + width, 20)
    one = only(check_mesh(mesh, survey, ExpectedRange(600, True)), "mesh extension")
    assert one.level == level
    raised = {400: 3, 300: 7, 100: 28, 0: 41}[width]
    assert round(100 * (np.sqrt(1 + float(matern_correlation(2 * width, 600))) - 1)) == raised
    assert (f"by up to {raised} %" in one.message) == (level != "ok")


def test_the_extension_is_what_the_precision_does():
    """The deviation of a field on a fine mesh, from its precision, beside the reflection that the finding states."""
    mesh, reach = square_mesh(0, 100, 50), 40.0
    mass, stiffness = fem_matrices(mesh.vertices, mesh.triangles)
    at = [np.argmin(np.hypot(*(mesh.vertices - place).T)) for place in ([50, 50], [0, 50], [10, 50], [20, 50])]
    # the precision is K C⁻¹ K with K = kappa² C + G
    rows = splu(sparse.csc_matrix(8 / reach**2 * sparse.diags(mass) + stiffness)).solve(np.eye(len(mass))[:, at])
    deviation = np.sqrt(mass @ rows**2)
    stated = np.sqrt(1 + matern_correlation(2 * np.array([0, 10, 20]), reach))
    # 4 %: the mesh, and the farther sides of the square
    np.testing.assert_allclose(deviation[1:] / deviation[0], stated, rtol=0.04)


def test_the_number_of_vertices(survey):
    assert mesh_levels(square_mesh(-1000, 2000, 30), survey, 720)["mesh size"] == "ok"
    assert mesh_levels(square_mesh(-1000, 2000, 5), survey, 720)["mesh size"] == "note"  # 36 for 40 sites
    assert mesh_levels(square_mesh(-1000, 2000, 143), survey, 720)["mesh size"] == "note"  # 20,736


def test_sites_outside_of_the_mesh_are_an_error(survey):
    mesh = square_mesh(0, 500, 10)
    one = only(check_mesh(mesh, survey), "sites in the mesh")
    outside = (survey.coordinates > 500).any(axis=1)
    assert one.level == "error"
    assert one.rows == tuple(np.flatnonzero(outside))
    assert f"{outside.sum()} of 40 sites outside" in one.message


def test_the_expected_range_is_the_variograms_else_a_fifth_of_the_extent(survey):
    assert ExpectedRange.of(survey) == ExpectedRange(200.0, "")
    found = explored(table(120))
    assert ExpectedRange.of(found.survey, found.variogram) == ExpectedRange(
        found.variogram.structure.range, "the variogram"
    )
    assert "a fifth of the extent" in check_mesh(square_mesh(-1000, 2000, 5), survey)[0].message


def test_edges_longer_than_a_guess_are_sure_harm_only_where_no_other_guess_is_longer(survey):
    mesh = square_mesh(-1000, 2000, 5)
    longest = max(mesh.quality().inner_edges)
    guess = ExpectedRange(longest / 2, "a first look")
    assert check_mesh(mesh, survey, guess)[0].level == "warning"
    assert check_mesh(mesh, survey, ExpectedRange(longest / 2, "a first look", 2 * longest))[0].level == "note"


def test_findings_are_counted_and_tabled():
    found = [Finding("ok", "a", "b"), Finding("error", "c", "d", "e", (3,))]
    assert count_levels(found) == {"ok": 1, "note": 0, "warning": 0, "error": 1}
    assert findings_frame(found).to_dict("records")[1] == {
        "level": "error",
        "subject": "c",
        "message": "d",
        "remedy": "e",
    }
    assert findings_frame([]).columns.tolist() == ["level", "subject", "message", "remedy"]
    assert str(found[1]) == "error: c: d; e"
    assert found[1].to_dict()["rows"] == [3]
    with pytest.raises(ValueError, match="level"):
        Finding("bad", "a", "b")
