"""Draws from the joint posterior of theta and the latent vector."""

from collections.abc import Callable, Iterator
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mode import silent
from geospde.inference.pareto import smoothed_leave_one_out
from geospde.linalg.threads import ahead, one_blas_thread
from geospde.text.progress import Callback

Vector = NDArray[np.float64]

BLOCK = 128  # draws at a time: what they take is this many latent vectors
DRAWS = 2000  # for leave-one-out
MANY = 20_000  # observations from which half of them have to do


def joint_draws(
    laplace: Laplace, posterior: Posterior, n: int, seed: int | None = None
) -> Iterator[tuple[LaplacePoint, Vector]]:
    """Draw theta among the integration points, by their weights, and the latent vector from its Gaussian there.

    Parameters
    ----------
    n : int
        Number of draws.
    seed : int, optional

    Yields
    ------
    point : LaplacePoint
        Holds theta.
    x : (n_latent, k) array
        Draws of the latent vector at that point; the k sum to n. They come sorted by point.
    """
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, posterior.weights)

    def blocks() -> Iterator[tuple[LaplacePoint, Callable[[], LaplacePoint], Vector]]:
        for point, count in zip(posterior.points, counts):
            ready = _once(partial(laplace.factor_again, point))
            for a in range(0, count, BLOCK):
                yield point, ready, rng.standard_normal((laplace.n, min(BLOCK, count - a)))

    def drawn(block: tuple[LaplacePoint, Callable[[], LaplacePoint], Vector]) -> tuple[LaplacePoint, Vector]:
        point, ready, noise = block
        return point, laplace.draw(ready(), noise)

    with one_blas_thread():
        yield from ahead(drawn, blocks(), laplace.n)


def _once(make: Callable[[], LaplacePoint]) -> Callable[[], LaplacePoint]:
    """Return a function that makes something at its first call, of whichever thread, and returns it at each."""
    made: list[LaplacePoint] = []
    lock = Lock()

    def get() -> LaplacePoint:
        with lock:
            if not made:
                made.append(make())
        return made[0]

    return get


def leave_one_out(
    laplace: Laplace, posterior: Posterior, draws: int | None = None, seed: int = 0, progress: Callback = silent
) -> tuple[Vector, Vector]:
    """Pareto-smoothed importance sampling from joint draws.

    Parameters
    ----------
    draws : int, optional
        By default 2,000, and 1,000 where there are many observations.
    seed : int
    progress : callable, optional
        Called as ``progress(done, total, message)``.

    Returns
    -------
    elpd, pareto_k : (m,) arrays
        Of two rows that one density couples, which are left out together, the second is given the first.
        A k above 0.7 says that the observation shapes its own prediction too much for importance sampling: take its
        CPO, which divides the observation out of the Laplace approximation.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statist. Comput. 27, 1413-1432.
    """
    m = laplace.design.shape[0]
    draws = (DRAWS if m < MANY else DRAWS // 2) if draws is None else draws
    log_density, done = np.empty((m, draws)), 0
    for point, x in joint_draws(laplace, posterior, draws, seed):
        eta = (laplace.design @ x).T + laplace.model.offset
        log_density[:, done : done + x.shape[1]] = laplace.likelihood_at(point.theta).log_density(eta).T
        done += x.shape[1]
        progress(done, draws, "draws")
    if laplace.pairs is None:
        return smoothed_leave_one_out(log_density, progress)
    i, j = laplace.pairs.T  # left out together: first what is told of i, then of both
    log_density[j] += log_density[i]
    whole = log_density.copy()
    whole[i] = log_density[j]
    elpd, k = smoothed_leave_one_out(log_density, progress, whole)
    elpd[j] -= elpd[i]
    return elpd, k
