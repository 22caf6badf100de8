"""What an ``spde(...)`` call says besides the kind of precision: fields that are multiplied with columns."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conformance import table
from oracles import square_mesh
from scipy.optimize import minimize

import geospde as gs
from geospde.model.build import build_model

MESH = square_mesh(5, -0.1, 1.1)


def model(term, data=None, **more):
    return build_model(f"v ~ 1 + {term}", table() if data is None else data, mesh=MESH, coords=("x", "y"), **more)


def test_a_number_multiplies_the_rows_and_sets_the_unit_of_sigma():
    data = table()
    plain, varying = model("spde(mesh)"), model("spde(mesh, by=z)")
    n = MESH.n_vertices
    expected = plain.design[:, :n].toarray() * data.z.to_numpy()[:, None]
    assert varying.design[:, :n].toarray() == pytest.approx(expected)
    large = model("spde(mesh, by=w)", data.assign(w=1000 * data.z))
    priors = [m.terms[0].precision.prior.parts[1].sd0 for m in (varying, large)]
    assert priors[1] == pytest.approx(priors[0] / 1000, rel=0.02)  # priors are rounded to two digits


def test_labels_have_a_field_each_and_share_the_range():
    two = model("spde(mesh, by=f)")
    names = [h.name for h in two.hyperparameters]
    assert names[:3] == ["range(spde)", "sigma(spde[one])", "sigma(spde[two])"]
    n, rows = MESH.n_vertices, model("spde(mesh)").design[:, :-1].toarray()
    is_one = (table().f == "one").to_numpy()[:, None]
    assert two.design[:, : 2 * n].toarray() == pytest.approx(np.hstack([rows * is_one, rows * ~is_one]))
    assert two.terms[0].names()[n] == "spde[two, 0]"
    theta = np.log([0.4, 1.2, 0.7])
    q, one = two.precisions[0].matrix(theta).toarray(), model("spde(mesh)").precisions[0]
    assert q[:n, :n] == pytest.approx(one.matrix(theta[[0, 1]]).toarray())
    assert q[n:, n:] == pytest.approx(one.matrix(theta[[0, 2]]).toarray())
    assert not q[:n, n:].any()


def test_fields_of_one_range_have_the_likelihood_of_their_dense_covariance():
    data = table().assign(v=lambda t: t.v + 1.5 * t.z * np.cos(4 * t.x + 2 * t.y))
    fit = gs.fit("v ~ z + spde(mesh, by=(1, z))", data, mesh=MESH, coords=("x", "y"), method="ml")
    plain = model("spde(mesh)").precisions[0]
    basis, x = MESH.basis(data[["x", "y"]].to_numpy()).toarray(), np.column_stack([np.ones(len(data)), data.z])

    def negative(theta):
        inverse = np.linalg.inv(plain.matrix(np.r_[theta[0], 0.0]).toarray())
        covariance = basis @ inverse @ basis.T
        v = covariance * (np.exp(2 * theta[1]) + np.exp(2 * theta[2]) * np.outer(data.z, data.z))
        v += np.exp(2 * theta[3]) * np.eye(len(data))
        beta = np.linalg.solve(x.T @ np.linalg.solve(v, x), x.T @ np.linalg.solve(v, data.v))
        r = data.v - x @ beta
        return 0.5 * (np.linalg.slogdet(2 * np.pi * v)[1] + r @ np.linalg.solve(v, r))

    names = ["range(spde)", "sigma(spde[1])", "sigma(spde[z])", "sigma"]
    found = np.log(fit.hyper.loc[names, "estimate"].to_numpy())
    assert fit.log_likelihood == pytest.approx(-negative(found), abs=1e-6)
    best = minimize(negative, found, method="Nelder-Mead", options={"fatol": 1e-6, "maxfev": 300})
    assert -best.fun < fit.log_likelihood + 1e-4  # no better place nearby


def test_a_prediction_uses_the_column_and_refuses_levels_without_a_field():
    data = table()
    fit = gs.fit("v ~ spde(mesh, by=f)", data, mesh=MESH, coords=("x", "y"), method="eb")
    swapped = data.head(6).assign(f=data.f.to_numpy()[1:7])
    means = [fit.predict(d).to_frame()["mean"].to_numpy() for d in (data.head(6), swapped)]
    assert np.abs(means[0] - means[1]).min() > 1e-6
    with pytest.raises(gs.InputError, match="no field for the level 'three' of 'f'"):
        fit.predict(data.head(3).assign(f="three"))


@pytest.mark.parametrize(
    "option, words",
    [
        ("by=nothing", "no column 'nothing'"),
        ("by=(z, z)", "appears twice"),
        ("by=(1, f)", "must be a finite number"),
        ("by=2", "by takes a column"),
        ("by='z'", "by takes a column"),
        ("by=none", "zero in every row"),
        ("by=same", "is constant"),
        ("by=gap", "must be a finite number: row 3"),
        ("by=(1, z), prior='spde2'", "stationary field of one sigma"),
    ],
)
def test_what_cannot_multiply_a_field_is_refused(option, words):
    data = table().assign(none=0.0, same=3.0)
    data["gap"] = data.z.where(data.index != 3)
    with pytest.raises(gs.InputError, match=words.replace("(", r"\(")):
        model(f"spde(mesh, {option})", data)


def test_a_level_that_is_missing_is_refused():
    data = table()
    data.loc[2, "f"] = pd.NA
    with pytest.raises(gs.InputError, match="no value in row 2"):
        model("spde(mesh, by=f)", data)


def test_longitudes_and_latitudes_are_refused_with_what_to_do():
    import geopandas
    import shapely

    data = table()
    points = geopandas.GeoDataFrame(data[["v"]], geometry=shapely.points(data[["x", "y"]] + 7), crs="EPSG:4326")
    degrees = gs.Mesh(MESH.vertices + 7, MESH.triangles, crs="EPSG:4326")
    with pytest.raises(gs.InputError, match="coordinates are degrees") as told:
        gs.fit("v ~ spde(mesh)", points, mesh=degrees)
    assert "UTM zone 32N" in told.value.remedy
    with pytest.raises(gs.InputError, match="coordinates are degrees"):
        gs.fit("v ~ spde(mesh)", points, mesh=gs.Mesh(MESH.vertices + 7, MESH.triangles))
    with pytest.raises(gs.InputError, match="a mesh measures lengths"):
        gs.build_mesh(sites=[[7, 50], [8, 51], [7.5, 50.2]], crs="EPSG:4326")


@pytest.mark.parametrize(
    "names, latitude, warns", [(("lon", "Lat"), 51, True), (("x", "y"), 51, False), (("lon", "lat"), 2, False)]
)
def test_degrees_without_a_system_are_warned_of_and_a_finding(names, latitude, warns):
    """Columns called longitude and latitude; near the equator, where a degree is as long either way, they may do."""
    data = table()[["x", "y", "v"]].set_axis([*names, "v"], axis=1)
    data[names[1]] += latitude
    mesh = square_mesh(4)
    mesh = gs.Mesh(mesh.vertices + [0, latitude], mesh.triangles)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = gs.fit("v ~ 1 + spde(mesh)", data, mesh=mesh, coords=names, method="ml")
    said = [str(w.message) for w in caught if "look like degrees" in str(w.message)]
    found = [f for f in fit.check() if f.subject == "coordinates"]
    assert len(said) == len(found) == warns
    assert not warns or "one east 0.62 of one north" in said[0] and "EPSG:32631" in said[0]


@pytest.mark.parametrize(
    "term, warns",
    [
        *[(term, 1) for term in ("gp(lon, lat, k=4)", "s(lat, lon, k=8)", "s(lon, lat, bs='gp', k=8)")],
        *[("s(lon, lat, k=8, by=f)", 1), ("gp(lon, lat, k=4, iso=False)", 0)],
        *[(term, 0) for term in ("te(lon, lat, k=4)", "s(x, y, k=8)", "s(lon, k=5)")],
    ],
)
def test_terms_of_distances_warn_of_degrees_too(term, warns):
    data = table()[["x", "y", "v"]].assign(f=["a", "b"] * (len(table()) // 2) + ["a"] * (len(table()) % 2))
    data["lon"], data["lat"] = data.x + 7, data.y + 51
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = gs.fit(f"v ~ 1 + {term}", data, method="reml")
    said = [str(w.message) for w in caught if "look like degrees" in str(w.message)]
    found = [f for f in fit.check() if f.subject == "coordinates"]
    assert len(said) == len(found) == warns
    assert not warns or "one east 0.62 of one north" in said[0] and "EPSG:32632" in said[0]
