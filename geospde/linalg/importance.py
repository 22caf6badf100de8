"""Where thetas are drawn for importance sampling, and what is known of their weights without drawing."""

from dataclasses import dataclass
from itertools import product
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, logsumexp, ndtri

from geospde.linalg.proposal import log_student
from geospde.linalg.sequences import scrambled

Vector = NDArray[np.float64]

CORE, WIDE = 8.0, 2.0  # degrees of freedom of the t that follows the fit, and of the wide one for the tails
DEFENCE, FAR = 0.16, 2.5  # share of the wide one in the mixture, and its scale relative to the first
KERNEL = 0.5  # width, in standard deviations, of kernels that follow a posterior far from Gaussian
UNLIKE = 0.5  # skewness, or a third of the excess kurtosis, beyond which kernels are used
BENT = 1.0  # largest log ratio by which the density of a fit is corrected
BATCHES = 10  # independent batches of thetas: the spread of their means is the Monte Carlo error
ODD = 8.0  # standard errors, of ten batches, by which sums over many thetas and over few may differ: one in 40,000 does


@dataclass(frozen=True)
class ThetaProposal:
    """Student t densities over theta: one about the fit's posterior, or kernels all over it, and a wide one.

    Attributes
    ----------
    centres : (k, d) array
    root : (d, d) array
        Of the scale matrix of each.
    mean : (d,) array
        Of the wide one.
    spread : (d, d) array
        Root of its scale matrix.
    """

    centres: Vector
    root: Vector
    mean: Vector
    spread: Vector

    @classmethod
    def following(cls, theta: Vector, weights: Vector, even: Vector) -> "ThetaProposal":
        """One with the mean and covariance of weighted thetas; of kernels about `even` where they are no Gaussian.

        Parameters
        ----------
        theta, weights : (n, d), (n,) arrays
            The posterior.
        even : (k, d) array
            Thetas that stand for it with even weights.
        """
        mean = np.asarray(weights @ theta, dtype=float)
        covariance = (theta - mean).T @ (weights[:, None] * (theta - mean))
        root = np.asarray(np.linalg.cholesky(covariance + 1e-12 * np.diag(np.diag(covariance))), dtype=float)
        z = np.linalg.solve(root, (theta - mean).T).T
        skewness, excess = weights @ z**3, weights @ z**4 - 3.0
        if max(np.abs(skewness).max(), np.abs(excess).max() / 3) < UNLIKE:
            return cls(mean[None], root, mean, FAR * root)
        # drawn towards the mean, so that the mixture is no wider than the posterior (West 1993)
        centres = mean + np.sqrt(1.0 - KERNEL**2) * (even - mean)
        return cls(centres, KERNEL * root, mean, FAR * root)

    def draw(self, size: int, rng: np.random.Generator) -> Vector:
        """Thetas, (size, d): of low discrepancy, shifted at random, a fixed share of them wide."""
        d, wide = self.mean.size, int(round(DEFENCE * size))
        core = size - wide
        uniform = _shifted(core, d + 1, rng)
        # each centre as often as the others, up to one, and in each batch others of those that come once more
        whole, more = divmod(core, len(self.centres))
        often = np.tile(np.arange(len(self.centres)), whole)
        chosen = rng.permutation(np.append(often, rng.permutation(len(self.centres))[:more]))
        theta = self.centres[chosen] + _student(uniform, CORE) @ self.root.T
        far = _student(_shifted(wide, d + 1, rng), WIDE)
        return np.vstack([theta, self.mean + far @ self.spread.T])

    def log_density(self, theta: Vector, size: int) -> Vector:
        """Log density of thetas that were drawn `size` at a time."""
        wide = int(round(DEFENCE * size)) / size
        core = np.array([log_student(theta, centre, self.root, CORE) for centre in self.centres])
        log_core = logsumexp(core, axis=0) - np.log(len(self.centres)) + np.log1p(-wide)
        if not wide:
            return np.asarray(log_core)
        values: Vector = np.logaddexp(log_core, np.log(wide) + log_student(theta, self.mean, self.spread, WIDE))
        return values


def _shifted(size: int, d: int, rng: np.random.Generator) -> Vector:
    """Even points in the unit cube, (size, d), shifted at random: each is anywhere in it with even chances."""
    some: Vector = scrambled(1 << max(size - 1, 0).bit_length(), d)[:size]
    return (some + rng.random(d)) % 1.0


def _student(uniform: Vector, df: float) -> Vector:
    """Standard multivariate t from uniforms, (n, d + 1): Gaussians, and what divides them."""
    inside = np.clip(uniform, 1e-12, 1 - 1e-12)
    values: Vector = ndtri(inside[:, 1:]) / np.sqrt(2.0 * gammaincinv(df / 2, inside[:, :1]) / df)
    return values


@dataclass(frozen=True)
class ThetaCloud:
    """Very many thetas that stand for the fit's density over theta, bent to the weights of few.

    Attributes
    ----------
    theta : (n, d) array
    weights : (n,) array
    at : (t,) array
        Weights that the same density gives the few.
    basis, basis_at : (n, p), (t, p) arrays
        Polynomials at both.
    trust : (t,) array
        Weights of fits to values at the few.
    """

    theta: Vector
    weights: Vector
    at: Vector
    basis: Vector
    basis_at: Vector
    trust: Vector

    @classmethod
    def none(cls, theta: Vector) -> "ThetaCloud":
        """No cloud: the weights of the few are all there is."""
        t, d = theta.shape
        return cls(np.zeros((0, d)), np.zeros(0), np.zeros(t), np.zeros((0, 0)), np.zeros((t, 0)), np.zeros(t))

    @classmethod
    def bent(
        cls, many: Vector, of_many: Vector, theta: Vector, weights: Vector, log_drawn: Vector, log_fit: Vector
    ) -> "ThetaCloud":
        """One for weighted thetas; none where it would not help.

        Parameters
        ----------
        many, of_many : (n, d), (n,) arrays
            Thetas that stand for the fit's density, and their weights, which sum to one.
        theta, weights : (t, d), (t,) arrays
            Thetas that were drawn, batch after batch, and their weights, which sum to one.
        log_drawn, log_fit : (t,) arrays
            Log densities at them, of what they were drawn from and of the fit.
        """
        d = theta.shape[1]
        plain = np.exp(log_fit - log_drawn) / len(theta)
        heavy = (weights > 1e-4 * weights.max()) & (plain > 0)
        degree = next((k for k in (4, 3, 2) if comb(d + k, k) < heavy.sum() / 5), 0)
        if not degree:
            return cls.none(theta)
        mean = weights @ theta
        root = np.linalg.cholesky((theta - mean).T @ (weights[:, None] * (theta - mean)) + 1e-12 * np.eye(d))
        powers = [p for p in product(range(degree + 1), repeat=d) if sum(p) <= degree]
        z, z_many = (np.linalg.solve(root, (t - mean).T).T for t in (theta, many))
        basis, basis_at = _monomials(z_many, powers), _monomials(z, powers)
        trust = np.where(heavy, np.sqrt(weights / weights.max()), 0.0)
        # where the fit's density is quite another the draws speak alone
        ratio = np.clip(np.log(np.where(heavy, weights, 1.0)) - np.log(np.where(heavy, plain, 1.0)), -BENT, BENT)
        found = []
        for k in range(2, degree + 1):
            low = [sum(p) <= k for p in powers]
            bends, bends_at = cls(many, of_many, plain, basis[:, low], basis_at[:, low], trust).carried(ratio)
            found.append((of_many * np.exp(bends), plain * np.exp(bends_at)))
        of_many, at = min(found, key=lambda one: float(((weights - one[1]) ** 2).sum()))
        helps = ((weights - at) ** 2).sum() < 0.5 * (weights**2).sum()
        cloud = cls(many, of_many, at, basis, basis_at, trust)
        return cloud if helps and _agree(z_many, of_many, z, at) else cls.none(theta)

    def carried(self, values: Vector) -> tuple[Vector, Vector]:
        """A polynomial through values at the few, (t,): at the many, and at the few themselves.

        It stays within the values that it goes through: beyond those points it may rise without end.
        """
        fit = np.linalg.lstsq(self.trust[:, None] * self.basis_at, self.trust * values, rcond=None)[0]
        seen = values[self.trust > 0]
        low, high = seen.min(), seen.max()
        return np.clip(self.basis @ fit, low, high), np.clip(self.basis_at @ fit, low, high)


def _agree(z_many: Vector, of_many: Vector, z: Vector, at: Vector) -> bool:
    """Whether a density has the same mass, means and variances by many thetas as by the few, in batches."""
    many, few = (np.column_stack([np.ones(len(u)), u, u**2]) for u in (z_many, z))
    sums = (at[:, None] * few).reshape(BATCHES, -1, few.shape[1]).sum(axis=1)
    error = np.sqrt(BATCHES) * sums.std(axis=0, ddof=1)
    return bool((np.abs(of_many @ many - sums.sum(axis=0)) < ODD * error + 1e-9).all())


def _monomials(z: Vector, powers: list[tuple[int, ...]]) -> Vector:
    return np.column_stack([(z ** np.array(p)).prod(axis=1) for p in powers])
