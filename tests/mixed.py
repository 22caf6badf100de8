"""Mixed models by dense algebra: what the tests of fits by maximum likelihood compare with."""

import json
from pathlib import Path

import numpy as np

CHAPTER = Path(__file__).parent / "reference" / "chapter"


def chapter(name):
    """One file of the chapter's reference numbers."""
    return json.loads((CHAPTER / f"{name}.json").read_text())


def indicator(levels):
    """Indicator matrix of the levels of a group."""
    return np.equal.outer(np.asarray(levels), np.unique(levels)).astype(float)


def effects(levels, columns):
    """Design of effects that each level has, level by level: (n, levels times columns)."""
    columns = np.asarray(columns, dtype=float).reshape(len(levels), -1)
    return np.einsum("ng,nq->ngq", indicator(levels), columns).reshape(len(levels), -1)


def dense_log_likelihood(y, x, parts, sigma, restricted, beta=None):
    """Log likelihood of y ~ N(x beta, sum of z g z' + sigma² 1), at the best beta unless one is given.

    Parameters
    ----------
    parts : list of (z, g)
        Design and covariance of each term's effects.
    """
    n, p = x.shape
    v = sigma**2 * np.eye(n) + sum(z @ g @ z.T for z, g in parts)
    inverse = np.linalg.inv(v)
    information = x.T @ inverse @ x
    if beta is None:
        beta = np.linalg.solve(information, x.T @ inverse @ y)
    left = y - x @ beta
    value = -0.5 * (n * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + left @ inverse @ left)
    if restricted:  # beta integrated out
        value -= 0.5 * np.linalg.slogdet(information)[1] - 0.5 * p * np.log(2 * np.pi)
    return value


def hessian(f, at, step=1e-3):
    """Second derivatives by central differences."""
    at = np.asarray(at, dtype=float)
    e = step * np.eye(at.size)
    return np.array(
        [[(f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * step**2) for a in e] for b in e]
    )
