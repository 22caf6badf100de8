"""Numbers of groups and amounts of each: delta families with a Poisson link, whose densities couple two predictors.

With n = exp(u) groups expected, something is there with the probability p = 1 - exp(-n); what is there has the mean
r = n w / p, w = exp(v) being the amount a group, so that the mean of a response is n w = exp(u + v) (Thorson 2018,
Can. J. Fish. Aquat. Sci. 75, 1369-1382).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.gauss_hermite import normal_nodes
from geospde.families.likelihood import STEP, Derivatives, Likelihood, Vector
from geospde.families.links import CLOGLOG, Jet
from geospde.families.stacked import Stacked


@dataclass(frozen=True)
class PoissonLinked(Stacked):
    """Presence, and values above 0, of which each row's density depends on both predictors.

    The predictor of presence is u, by the link cloglog, that of a value is v. With q = log p and s = u + v the log of
    a value's mean is s - q(u): its log density is L(s - q - c), L that of its family in its own predictor and c what
    the log of its mean has over that.

    Attributes
    ----------
    coupled : (k, 2) array
        Rows of presence and of the value, of each value.
    """

    coupled: NDArray[np.intp]

    @classmethod
    def of_parts(cls, stacked: Stacked) -> "PoissonLinked":
        """Two likelihoods coupled: every presence of the first has its value in the second, in the same order.

        Raises
        ------
        InputError
            Where they do not.
        """
        presence, positive = stacked.parts
        there = np.flatnonzero(presence.y == 1)
        if there.size != positive.n:
            raise InputError("with a Poisson link each presence has a value: rows of one of the two were left out")
        pairs = np.column_stack([there, presence.n + np.arange(positive.n)])
        return cls(**{each.name: getattr(stacked, each.name) for each in fields(Stacked)}, coupled=pairs)

    @property
    def pairs(self) -> NDArray[np.intp]:
        """Rows of presence and of the value, of each value."""
        return self.coupled

    # -- where each part is ---------------------------------------------------------------------------------

    @property
    def _presence(self) -> Likelihood:
        return self.parts[0]

    @property
    def _positive(self) -> Likelihood:
        return self.parts[1]

    def _excess(self, positive: Likelihood) -> float:
        """The log of a value's mean less its family's predictor."""
        one = positive.of_rows(np.zeros(1, dtype=np.intp))
        return float(np.log(one.moments(np.zeros(1))[0][0]))

    def _excess_slope(self) -> Vector:
        """Its derivative in each theta of the values, by differences of the fourth order."""
        positive, out = self._positive, np.zeros(self._positive.theta.size)
        for k, axis in enumerate(np.eye(out.size)):
            near, far = (
                [self._excess(positive.at(positive.theta + sign * size * axis)) for sign in (1.0, -1.0)]
                for size in (STEP, 2 * STEP)
            )
            out[k] = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * STEP)
        return out

    def _q(self, eta: Vector) -> Jet:
        """The log probability of presence, of the rows that have a value, and its derivatives."""
        return CLOGLOG.log_probability(np.asarray(eta)[..., self.pairs[:, 0]])

    def _plain(self, eta: Vector) -> Vector:
        """Predictors of both families by themselves."""
        eta = np.asarray(eta, dtype=float)
        rows = self.pairs.T
        own = self.of_values(eta[..., rows[0]], eta[..., rows[1]])
        return np.concatenate([eta[..., : self._presence.n], own], axis=-1)

    def of_values(self, presence: Vector, positive: Vector) -> Vector:
        """The predictor of a value in its own family: the log of its mean is that of n w / p."""
        return presence + positive - CLOGLOG.log_probability(presence)[0] - self._excess(self._positive)

    # -- densities ------------------------------------------------------------------------------------------

    def _log_density(self, eta: Vector) -> Vector:
        return super()._log_density(self._plain(eta))

    def derivatives(self, eta: Vector) -> Derivatives:
        """First, second and third derivatives of `log_density` in eta, as `Likelihood.pairs` has them.

        The second are coefficients of squares of u, v, and of u + v; the third those of each predictor alone.
        """
        (b1, b2, b3), (l1, l2, l3), q = self._own(eta)
        d = 1 - q[1]
        first = np.concatenate([b1, l1])
        second = np.concatenate([b2, l2 * q[1], l2 * d])
        third = np.concatenate([b3, l3])
        rows = self.pairs[:, 0]
        first[rows] += l1 * d
        second[rows] -= l2 * d * q[1] + l1 * q[2]
        return first, second, third

    def _own(self, eta: Vector) -> tuple[Derivatives, Derivatives, Jet]:
        """Derivatives of both families, times weights, in predictors of their own; and q."""
        found = super()._derivatives(self._plain(eta))
        cut, weights = self._presence.n, self.weights
        first = tuple(weights[:cut] * part[:cut] for part in found)
        second = tuple(weights[cut:] * part[cut:] for part in found)
        return (first[0], first[1], first[2]), (second[0], second[1], second[2]), self._q(eta)

    def pull(self, eta: Vector, third: Vector, variances: Vector) -> Vector:
        """Derivative in eta of the sum of variances times second derivatives."""
        (_, _, b3), (l1, l2, l3), q = self._own(eta)
        m, rows = self.n, self.pairs
        h_u, h_v, h_s = variances[rows[:, 0]], variances[rows[:, 1]], variances[m:]
        d = 1 - q[1]
        of_t = l3 * (-h_u * d * q[1] + h_v * q[1] + h_s * d)  # through L's argument, whose slopes are d in u and 1 in v
        out = np.zeros(m)
        out[: b3.size] = variances[: b3.size] * b3
        out[rows[:, 1]] = of_t - h_u * l2 * q[2]
        out[rows[:, 0]] += of_t * d + l2 * q[2] * (-h_u * (2 * d - 1) - h_u * d + h_v - h_s) - h_u * l1 * q[3]
        return out

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """Minus the second derivatives without the bend of q, which alone may make them indefinite."""
        if (second <= 0).all():
            return -second
        (_, b2, _), (_, l2, _), q = self._own(eta)
        plain = super()._derivatives(self._plain(eta))[1][self._presence.n :]
        own = self._positive.newton_weights(self._plain(eta)[self._presence.n :], plain)
        own = self.weights[self._presence.n :] * own
        weights = np.concatenate([-b2, own * q[1], own * (1 - q[1])])
        weights[self.pairs[:, 0]] -= own * (1 - q[1]) * q[1]
        return weights

    def theta_derivatives(self, eta: Vector) -> Derivatives:
        """Derivatives in each theta of `log_density` and of its first two derivatives in eta."""
        (_, _, _), (l1, l2, l3), q = self._own(eta)
        plain, cut = self._plain(eta), self._presence.n
        density, first, second = (self.weights * part for part in super()._theta_derivatives(plain))
        own = slice(self._presence.theta.size, self.theta.size)
        excess = self._excess_slope()[:, None]
        density[own, cut:] -= excess * l1
        first[own, cut:] -= excess * l2
        second[own, cut:] -= excess * l3
        d, rows = 1 - q[1], self.pairs[:, 0]
        of_first, of_second = first[:, cut:].copy(), second[:, cut:].copy()
        first[:, rows] += of_first * d
        second[:, rows] -= of_second * d * q[1] + of_first * q[2]
        second[:, cut:] = of_second * q[1]
        return density, first, np.hstack([second, of_second * d])

    # -- the response ---------------------------------------------------------------------------------------

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta), of a value given that there is one."""
        return super().cdf(self._plain(eta))

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta), of a value given that there is one."""
        return super().sf(self._plain(eta))

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, of a value given that there is one."""
        return super().moments(self._plain(eta))

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        return super()._compared(self._plain(eta))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return super().draw(self._plain(eta), rng)

    def start(self) -> Vector:
        """A rough eta to start from: groups by the share of presences, and what is left of each value."""
        share = np.clip(self._presence.y.mean(), 0.05, 0.95)
        n = -np.log1p(-share)
        u = np.full(self._presence.n, np.log(n))
        return np.concatenate([u, self._positive.start() - np.log(n / share)])

    def given_first(self, rows: NDArray[np.intp], centre: Vector, axes: tuple[Vector, Vector]) -> Derivatives:
        """Predictors of values, in their family's own, given that they are there: mixtures over their number's.

        Parameters
        ----------
        rows : (r,) array
            Of values.
        centre : (m,) array
            Means of the predictors of all rows.
        axes : tuple of (m,) arrays
            What they are of two standard normals, `geospde.inference.system.System.axes`.

        Returns
        -------
        log_weights, means, sds : (q, r) arrays
            Not normalised: the weights of theta points are multiplied with them.
        """
        pairs = self.pairs[rows - self._presence.n]
        nodes, weights = normal_nodes(9)
        etas = [centre + axes[0] * z for z in nodes]
        there = [np.log(w) + CLOGLOG.log_probability(eta[pairs[:, 0]])[0] for eta, w in zip(etas, weights)]
        means = np.array([self._plain(eta)[rows] for eta in etas])
        return np.array(there), means, np.broadcast_to(np.maximum(axes[1][rows], 1e-150), means.shape)

    def of_rows(self, index: NDArray[np.intp]) -> "Stacked":  # type: ignore[override]
        """Some of the rows of presence, or some of the values in predictors of their family's own, see `given_first`.

        Raises
        ------
        InputError
            For rows of both.
        """
        rows = np.arange(self.n)[index]
        if 0 < np.count_nonzero(rows < self._presence.n) < rows.size:
            raise InputError("with a Poisson link rows of presence and values are looked at one by one")
        return Stacked(**{each.name: getattr(self, each.name) for each in fields(Stacked)}).of_rows(rows)
