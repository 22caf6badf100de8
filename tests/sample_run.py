"""What a run hands to its report, made without a fit."""

from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from layered import layered

from geospde.families.registry import family_by_name
from geospde.mesh.trimesh import Mesh
from geospde.prediction.grid import Grid
from geospde.survey.crs import parse_crs

ISLAND = shapely.box(0, 0, 2000, 1000)


def made(response="counts", name="Long Island", *, east=0.0, north=0.0, crs="local:m", **columns):
    """Make survey, mesh, fit and prediction of a long island, 4 in the west and 8 in the east.

    Parameters
    ----------
    response, name : str
        Of the column, and of the survey.
    east, north : float
        Where its south-west corner lies.
    crs : str
    **columns
        Further columns of the three sites.
    """
    crs, island = parse_crs(crs), shapely.transform(ISLAND, lambda xy: xy + [east, north])
    grid = Grid.around(island, cell=100, buffer=100, crs=crs)
    x, y = grid.centres.T
    mean = 4 + 4 * (x > east + 1000)
    frame = pd.DataFrame({"x": x, "y": y, "mean": mean, "sd": 0.25 * mean, "q0.025": 0.5 * mean, "q0.975": 2 * mean})
    frame["exceed_6"] = np.where(x > east + 1500, 0.99, np.where(x > east + 1000, 0.5, 0.01))
    prediction = predicted(grid, frame, f"{response} / time")
    sites = gpd.points_from_xy(np.add([100, 900, 1900], east), np.add([500, 500, 500], north))
    values = {response: [1200, 1500, 2400], "time": [300.0, 300.0, 300.0], **columns}
    survey = SimpleNamespace(points=gpd.GeoDataFrame(values, geometry=sites), coastline=island, crs=crs, name=name)
    corners = np.add([[-500, -500], [2500, -500], [2500, 1500], [-500, 1500]], [east, north])
    columns = {"mean": [250.0], "sd": [30.0], "q0.025": [200.0], "q0.5": [248.0], "q0.975": [310.0]}
    fit = SimpleNamespace(
        fixed=pd.DataFrame({key: np.divide(value, 100) for key, value in columns.items()}, index=["Intercept"]),
        hyper=pd.DataFrame(columns, index=["range(spde)"]),
        fitted=pd.DataFrame({"mean": [4.1, 5, 7.9], "q0.025": [3.0, 4, 7], "q0.975": [5.0, 6, 9]}),
        pointwise=pd.DataFrame({"cpo": [0.011, 0.012, 0.013], "pit": [0.25, 0.5, 0.75]}),
        criteria={"dic": 1234.567, "p_dic": 12.5},
        log_marginal_likelihood=-1328.0196,
        formula=f"{response} ~ 1 + spde(mesh)",
        family="poisson",
        model=SimpleNamespace(family=family_by_name("poisson"), terms=(), hyperparameters=(), recipe=None),
        describe=lambda: {"link": "log", "method": "inla", "theta points": 16},
    )
    mesh = Mesh(corners, [[0, 1, 2], [0, 2, 3]], crs, [True, False])
    return {"survey": survey, "mesh": mesh, "fit": fit, "prediction": prediction}


def predicted(grid, frame, label="counts / time"):
    """A prediction of a table's values on a grid."""
    return layered(frame, label, grid)


def scattered(grid, seed=1):
    """A table in which no two cells are alike: what a raster of them holds is known from the place alone."""
    rng = np.random.default_rng(seed)
    mean = rng.uniform(1, 9, grid.n)
    x, y = grid.centres.T
    columns = {"mean": mean, "sd": rng.uniform(0.1, 2, grid.n), "q0.025": 0.5 * mean, "q0.5": 0.9 * mean}
    return pd.DataFrame({"x": x, "y": y, **columns, "q0.975": 2 * mean, "exceed_6": rng.uniform(0, 1, grid.n)})
