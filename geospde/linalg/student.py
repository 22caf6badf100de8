"""Mixtures of Student t densities, fitted to weighted draws: where more are drawn for importance sampling.

Cappé, Douc, Guillin, Marin & Robert (2008), Statistics and Computing 18, 447-459; all draws so far count, each over the
density of the whole that they are drawn from (Cornuet, Marin, Mira & Robert 2012, Scandinavian J. Statistics 39).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, logsumexp, ndtri

from geospde.linalg.proposal import log_student
from geospde.linalg.sequences import scrambled

Vector = NDArray[np.float64]

FREEDOM = 3.0  # degrees of freedom: tails that no part follows are seen from those that there are
STEPS = 10  # of the fit
EACH, MOST = 4, 16  # draws that count, for each coordinate, that make a part; parts at most
NARROW = 0.5  # of the whole spread, what a part of few draws is taken to have
LEAST = 0.2  # of the mass, what is shared evenly among parts


@dataclass(frozen=True)
class StudentMixture:
    """Student t densities with shares that sum to one.

    Attributes
    ----------
    shares : (k,) array
    means : (k, d) array
    roots : (k, d, d) array
        Of their scale matrices.
    freedom : float
        Degrees of freedom.
    """

    shares: Vector
    means: Vector
    roots: Vector
    freedom: float = FREEDOM

    @classmethod
    def fitted(cls, places: Vector, weights: Vector, rng: np.random.Generator) -> "StudentMixture":
        """The likeliest for weighted places, (n, d), of as many parts as the draws that count allow.

        Weights, (n,), sum to one.
        """
        d = places.shape[1]
        mean = weights @ places
        whole = (places - mean).T @ (weights[:, None] * (places - mean)) + 1e-9 * np.eye(d)
        count = 1.0 / float(weights @ weights)
        size = int(np.clip(count / (EACH * d), 1, MOST))
        means = places[rng.choice(len(places), size, p=weights)]
        found = cls(np.full(size, 1.0 / size), means, np.tile(np.linalg.cholesky(NARROW * whole), (size, 1, 1)))
        for _ in range(STEPS):
            found = found._likelier(places, weights, count, NARROW * whole)
        return found

    def _likelier(self, places: Vector, weights: Vector, count: float, prior: Vector) -> "StudentMixture":
        """One step of expectation and maximisation, with a prior guess of the scale matrices."""
        d = places.shape[1]
        each = self._log_parts(places)
        mine = weights * np.exp(each - logsumexp(each, axis=0))
        shares, means, roots = [], [], []
        for own, mean, root in zip(mine, self.means, self.roots):
            z = np.linalg.solve(root, (places - mean).T)
            pull = own * (FREEDOM + d) / (FREEDOM + (z**2).sum(axis=0))
            centre = pull @ places / max(float(pull.sum()), 1e-300)
            scatter = (places - centre).T @ (pull[:, None] * (places - centre))
            shares.append(float(own.sum()))
            means.append(centre)
            guess = 3.0 * d / count  # draws that the prior guess is worth
            roots.append(np.linalg.cholesky((scatter + guess * prior) / (shares[-1] + guess)))
        even = np.array(shares) + LEAST / len(shares)
        return StudentMixture(even / even.sum(), np.array(means), np.array(roots))

    def draw(self, size: int, rng: np.random.Generator) -> Vector:
        """Draws, (size, d), that lie more evenly than independent ones: their sums err less than is estimated of them.

        A lattice of low discrepancy, shifted at random (Owen 2013, Monte Carlo theory, methods and examples, 17).
        """
        d = self.means.shape[1]
        cube = (scrambled(1 << max(size - 1, 1).bit_length(), d + 2)[:size] + rng.random(d + 2)) % 1.0
        cube = np.clip(cube, 1e-9, 1.0 - 1e-9)
        part = np.searchsorted(np.cumsum(self.shares)[:-1], cube[:, 0])
        squares = 2.0 * gammaincinv(0.5 * self.freedom, cube[:, 1])  # of chi squared
        z = ndtri(cube[:, 2:]) / np.sqrt(squares / self.freedom)[:, None]
        values: Vector = self.means[part] + np.einsum("nij,nj->ni", self.roots[part], z)
        return values

    def log_density(self, places: Vector) -> Vector:
        """Log density at places, (n, d) -> (n,)."""
        return np.asarray(logsumexp(self._log_parts(places), axis=0))

    def _log_parts(self, places: Vector) -> Vector:
        """Log of each part's share and density, (k, n)."""
        parts = zip(self.shares, self.means, self.roots)
        return np.array([np.log(share) + log_student(places, mean, root, self.freedom) for share, mean, root in parts])
