"""The posterior of a latent Gaussian model: its mode in theta, and the rule that integrates over theta."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.higher_order import worth_correcting
from geospde.inference.hyper import HyperPosterior, Posterior
from geospde.inference.integration import Explorer, finished, integrate
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mode import Guess, Progress, curvature, find_mode, silent
from geospde.inference.residual import Nothing
from geospde.inference.warm import WarmLaplace
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]


def posterior(
    laplace: Laplace,
    start: Vector,
    rule: str = "auto",
    strategy: str = "auto",
    progress: Progress = silent,
    guess: Guess | None = None,
) -> Posterior:
    """Posterior of a latent Gaussian model.

    Parameters
    ----------
    laplace : Laplace
    start : (d,) array
        Where the search for the mode of theta starts.
    rule : {"auto", "grid", "ccd", "adaptive", "eb"}
        How to integrate over theta; `eb` stays at its mode (empirical Bayes).
    strategy : {"auto", "gaussian", "vb", "simplified", "laplace"}
        Latent Gaussians at the mode; with variational means; with second-order variances, skewness and evidence,
        too; with a full Laplace approximation of each marginal that is asked for. `auto` is `simplified` where the
        Laplace approximation errs noticeably by its own next term, else `vb`.
    progress : callable
        Told of every evaluation.
    guess : Guess, optional
        Of a smaller model of the same hyperparameters, where the search for the mode then starts.
    """
    if laplace.pairs is not None:
        raise InputError(
            "a likelihood of two predictors a row, such as one with a Poisson link, is fitted by maximum likelihood",
            remedy="give method='ml' or 'reml'",
        )
    with one_blas_thread():
        if laplace.n_theta == 0:
            only = laplace.at(np.zeros(0))
            strategy = _settled(strategy, laplace, only)
            only = finished(laplace, only, strategy)
            return Posterior([only], np.ones(1), only.log_posterior, None, only, strategy)
        warm = WarmLaplace(laplace)
        near, bend = (start, None) if guess is None else (guess.theta, guess.curvature)
        mode, covariance = find_mode(warm, near, progress, curvature=bend)
        warm.root = np.asarray(np.linalg.cholesky(covariance), dtype=float)
        root, third = curvature(warm, mode, covariance, progress)
        warm.root = root
        strategy = _settled(strategy, laplace, mode)
        if rule == "eb":
            mode = finished(laplace, mode, strategy)
            evidence = mode.log_posterior + 0.5 * mode.theta.size * np.log(2 * np.pi) + np.linalg.slogdet(root)[1]
            gaussian = HyperPosterior(mode.theta, root, Nothing())
            return Posterior([mode], np.ones(1), float(evidence), gaussian, mode, strategy)
        explorer = Explorer(warm, mode.without_factor(), strategy, progress)
        return replace(integrate(explorer, root, third, rule, start), strategy=strategy)


def _settled(strategy: str, laplace: Laplace, mode: LaplacePoint) -> str:
    """What `auto` stands for with this model."""
    if strategy != "auto":
        return strategy
    return "simplified" if worth_correcting(laplace, mode) else "vb"
