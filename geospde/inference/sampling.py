"""Draws from the joint posterior of theta and the latent vector."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]

BLOCK = 128  # draws at a time: what they take is this many latent vectors


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
    with one_blas_thread():
        for point, count in zip(posterior.points, counts):
            if count == 0:
                continue
            ready = laplace.factor_again(point)
            for a in range(0, count, BLOCK):
                yield point, laplace.draw(ready, rng.standard_normal((laplace.n, min(BLOCK, count - a))))


def leave_one_out(laplace: Laplace, posterior: Posterior, draws: int = 2000, seed: int = 0) -> tuple[Vector, Vector]:
    """Pareto-smoothed importance sampling from joint draws.

    Returns
    -------
    elpd, pareto_k : (m,) arrays
        A k above 0.7 says that the observation shapes its own prediction too much for importance sampling: take its
        CPO, which divides the observation out of the Laplace approximation.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statist. Comput. 27, 1413-1432; computed by arviz-stats.
    """
    from arviz_stats.base import array_stats

    log_density = []
    for point, x in joint_draws(laplace, posterior, draws, seed):
        eta = (laplace.design @ x).T + laplace.model.offset
        log_density.append(laplace.likelihood_at(point.theta).log_density(eta))
    rows = np.vstack(log_density)
    np.random.default_rng(seed).shuffle(rows)  # the order of a chain means nothing here
    elpd, pareto_k, _ = array_stats.loo(rows[None], chain_axis=0, draw_axis=1)
    return elpd, pareto_k
