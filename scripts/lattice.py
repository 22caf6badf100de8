"""Fill the gaps of a simulated satellite image, and score it as a published competition did.

The competition (Heaton et al. 2019, J. Agric. Biol. Environ. Stat. 24, 398-425) gave 105,569 land-surface temperatures
on a lattice of 500 x 300 cells in degrees, and asked for 42,740 more under clouds. Its temperatures are not here: this
simulates others on such a lattice, an exponential field, a rougher one of short range, a trend and noise, and clouds.
Everything from the table of places to the scores is through the public interface, in a process of its own whose seconds
and memory are printed.
"""

import argparse
import json
import resource
import sys
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

import geospde as gs

WEST, EAST, SOUTH, NORTH = -95.91, -91.28, 34.30, 37.07
COLUMNS, ROWS, OBSERVED, HELD_OUT = 500, 300, 105_569, 42_740
LEVEL = 0.95
# standard deviation and decay (degrees) of two exponential fields, the noise's standard deviation
SCALES, NOISE = ((4.0, 0.75), (0.9, 0.03)), 0.25

Vector = NDArray[np.float64]


def stationary(shape: tuple[int, int], steps: tuple[float, float], covariance: Any, rng: Any) -> Vector:
    """A Gaussian field on a lattice by circulant embedding (Dietrich & Newsam 1997); eigenvalues below 0 are left out.

    Parameters
    ----------
    shape, steps : pairs
        Rows and columns, and their spacing.
    covariance : callable
        Of distances.
    """
    tall, wide = (2 * n for n in shape)
    down, across = (np.minimum(np.arange(n), n - np.arange(n)) * step for n, step in zip((tall, wide), steps))
    spectrum = np.maximum(np.fft.fft2(covariance(np.hypot(down[:, None], across))).real, 0.0)
    noise = rng.standard_normal((tall, wide)) + 1j * rng.standard_normal((tall, wide))
    field: Vector = np.fft.fft2(np.sqrt(spectrum / spectrum.size) * noise).real[: shape[0], : shape[1]]
    return field


def simulated(columns: int = COLUMNS, rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    """Cells with ``lon``, ``lat``, ``temperature`` and ``role``: observed, held out, or neither.

    The competition's shares of each, on a lattice of any size with its spacing.
    """
    rng = np.random.default_rng(seed)
    lon = WEST + np.arange(columns) * (EAST - WEST) / (COLUMNS - 1)
    lat = SOUTH + np.arange(rows) * (NORTH - SOUTH) / (ROWS - 1)
    shape, steps = (rows, columns), (lat[1] - lat[0], lon[1] - lon[0])

    def exponential(sigma: float, decay: float) -> Vector:
        return stationary(shape, steps, lambda d: sigma**2 * np.exp(-d / decay), rng)

    truth = 44.5 - 0.6 * (lon - lon.mean()) - 1.2 * (lat[:, None] - lat.mean()) + sum(exponential(*s) for s in SCALES)
    temperature = truth + NOISE * rng.standard_normal(shape)
    # clouds: banks a third of a degree across with ragged edges
    cloud = stationary(shape, steps, lambda d: np.exp(-((d / 0.35) ** 2)), rng) + exponential(0.35, 0.1)
    order = np.argsort(cloud, axis=None)
    role = np.full(columns * rows, "neither", dtype=object)
    observed, held_out = (round(n / (COLUMNS * ROWS) * role.size) for n in (OBSERVED, HELD_OUT))
    role[order[:observed]] = "observed"
    role[rng.choice(order[observed:], held_out, replace=False)] = "held out"
    x, y = np.meshgrid(lon, lat)
    return pd.DataFrame({"lon": x.ravel(), "lat": y.ravel(), "temperature": temperature.ravel(), "role": role})


def scores(observed: Vector, mean: Vector, sd: Vector) -> dict[str, float]:
    """MAE, RMSE, CRPS, interval score and coverage of normal predictions (Gneiting & Raftery 2007)."""
    error = observed - mean
    z = error / sd
    crps = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    reach = float(norm.ppf(0.5 + LEVEL / 2))
    outside = np.maximum(np.abs(error) - reach * sd, 0.0)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "crps": float(crps.mean()),
        "interval": float((2 * reach * sd + 2 / (1 - LEVEL) * outside).mean()),
        "coverage": float((outside == 0).mean()),
    }


def filled(cells: pd.DataFrame, arguments: argparse.Namespace) -> dict[str, Any]:
    """Fit what is observed, predict what is held out, and score it."""
    began = perf_counter()
    survey = gs.read_survey(cells, source_crs="EPSG:4326", crs=arguments.crs)
    points = survey.points
    observed, held_out = (points[points.role == role] for role in ("observed", "held out"))
    spacing = float(np.sqrt(points.union_all().convex_hull.area / len(points)))
    read = perf_counter()
    edges = (arguments.edge * spacing, 15 * spacing)
    sites = points if arguments.edge < 2 else None  # the lattice's own places as vertices
    meshes = {"mesh": gs.build_mesh(points, sites=sites, max_edge=edges, offset=60 * spacing, convex=2 * spacing)}
    formula = f"temperature ~ lon + lat + spde(mesh, {arguments.field})"
    if arguments.wide:
        wide = (arguments.wide * spacing, 2 * arguments.wide * spacing)
        meshes["wide"] = gs.build_mesh(points, max_edge=wide, offset=150 * spacing, convex=2 * spacing)
        formula += " + spde(wide)"
    meshed = perf_counter()
    fit = gs.fit(formula, observed, mesh=meshes, method=arguments.method, callback=said if arguments.verbose else None)
    fitted = perf_counter()
    prediction = fit.predict(held_out).to_frame()
    sigma = float(fit.hyper.loc["sigma"].iloc[0])
    done = perf_counter()
    sd = np.hypot(prediction["sd"], sigma)
    found = scores(np.asarray(held_out.temperature), np.asarray(prediction["mean"]), np.asarray(sd))
    return {
        "field": arguments.field, "method": arguments.method, "observed": len(observed),
        "vertices": sum(mesh.n_vertices for mesh in meshes.values()),
        **found, "read_s": read - began, "mesh_s": meshed - read, "fit_s": fitted - meshed, "predict_s": done - fitted,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "hyper": {str(name): float(value) for name, value in fit.hyper.iloc[:, 0].items()},
    }  # fmt: skip


def said(done: int, total: int | None, message: str) -> None:
    """Tell of each evaluation."""
    print(f"{message} {done}{f'/{total}' if total else ''}", file=sys.stderr)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--field", default="alpha=1.5", help="options of spde(mesh, ...)")
    parser.add_argument("--wide", type=float, default=15, help="longest edge, in cells, of a second field; 0: none")
    parser.add_argument("--method", default="eb", choices=["eb", "inla", "ml", "reml"])
    parser.add_argument(
        "--edge", type=float, default=1.5, help="longest edge, in cells; from 2 without vertices on cells"
    )
    parser.add_argument("--crs", default="EPSG:32615", help="where lengths are measured")
    parser.add_argument("--size", type=int, nargs=2, default=(COLUMNS, ROWS), metavar=("COLUMNS", "ROWS"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="tell of each evaluation")
    arguments = parser.parse_args()
    print(json.dumps(filled(simulated(*arguments.size, arguments.seed), arguments), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
