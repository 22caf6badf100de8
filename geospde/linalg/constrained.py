"""A factor of H for vectors that meet linear conditions, where H alone may be singular.

An intrinsic block, such as a random walk, is flat in directions that a flat intercept shares: H = Q + A'WA has no
inverse, but has one among the x with C'x = 0. For a sparse factor a number s is added to one diagonal entry for each
such direction, its anchor, and taken off again. With H~ = H + E S E' (E the anchors' unit vectors, S = diag(s)), the
inverse within the conditions is

    P~ = H~⁻¹ - V (C'V)⁻¹ V',  V = H~⁻¹C;    P = P~ + P~E (S⁻¹ - E'P~E)⁻¹ E'P~,

kriging and then Woodbury's formula, and the determinant of H among those x, in orthonormal coordinates,

    |H~| |C'V| / |C'C| · |S| |S⁻¹ - E'P~E|.

All of it holds for any s > 0, and nothing on the pattern fills in. Without anchors it is conditioning by kriging (Rue &
Held 2005, Gaussian Markov Random Fields, section 2.3.3).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from geospde.linalg.basis import Basis
from geospde.linalg.cholesky import Factor, NotPositiveDefinite

Vector = NDArray[np.float64]
Places = NDArray[np.intp]


class ConstrainedFactor:
    """A factor of H within C'x = 0.

    Parameters
    ----------
    factor : Factor
        Of H, or of H with the strengths added at the anchors.
    constraints : (n, k) array or None
        C; None for no conditions.
    anchors : (a,) array of int
        Places of the diagonal entries that were added to.
    strengths : (a,) array
        What was added.
    basis : Basis, optional
        Coordinates that H is of; `solve` and `draw` take and give vectors in the plain ones.

    Attributes
    ----------
    log_determinant : float
        Of H among the x that meet the conditions, in orthonormal coordinates.

    Raises
    ------
    NotPositiveDefinite
        Where H is singular within the conditions, too.
    """

    def __init__(
        self,
        factor: Factor,
        constraints: Vector | None,
        anchors: Places,
        strengths: Vector,
        basis: Basis | None = None,
    ):
        self._factor = factor
        self._basis = None if basis is None or basis.is_plain else basis
        self._constraints = constraints
        self._returned: Vector | None = None  # what the anchors had taken from the covariance: R of R R'
        self.log_determinant = factor.log_determinant
        if constraints is None:
            return
        self._solved = factor.solve(constraints)
        inner = constraints.T @ self._solved
        self._inverse = np.asarray(np.linalg.inv(inner), dtype=float)
        self._inner_root = np.asarray(np.linalg.cholesky(inner), dtype=float)
        self.log_determinant += float(np.linalg.slogdet(inner)[1] - np.linalg.slogdet(constraints.T @ constraints)[1])
        if anchors.size:
            self._return(anchors, strengths)

    def _return(self, anchors: Places, strengths: Vector) -> None:
        """Take the strengths off again."""
        unit = np.zeros((self._solved.shape[0], anchors.size))
        unit[anchors, range(anchors.size)] = 1.0
        spread = self._kriged(self._factor.solve(unit))
        try:
            root = np.linalg.cholesky(np.diag(1.0 / strengths) - spread[anchors])
        except np.linalg.LinAlgError:
            raise NotPositiveDefinite("the precision matrix is not positive definite within its constraints") from None
        self._returned = solve_triangular(root, spread.T, lower=True).T
        self.log_determinant += float(np.log(strengths).sum() + 2.0 * np.log(np.diag(root)).sum())

    def _kriged(self, x: Vector) -> Vector:
        """Bring x to meet the conditions, along the covariance."""
        assert self._constraints is not None
        return x - self._solved @ (self._inverse @ (self._constraints.T @ x))

    def solve(self, b: Vector) -> Vector:
        """The x that meets the conditions and has ``H x = b`` but for multiples of C; b is (n,) or (n, k)."""
        if self._basis is not None:
            b = self._basis.dual_inside(b)
        x = self._factor.solve(b)
        if self._constraints is not None:
            x = self._kriged(x)
        if self._returned is not None:
            x = x + self._returned @ (self._returned.T @ b)
        return x if self._basis is None else self._basis.outside(x)

    def draw(self, noise: Vector) -> Vector:
        """Draws that meet the conditions, of precision H among them, from independent standard normals, (n, k)."""
        x = self._drawn(self._factor.half_solve(noise))
        return x if self._basis is None else self._basis.outside(x)

    def _drawn(self, x: Vector) -> Vector:
        """Draws within the conditions, of draws without them."""
        if self._constraints is None:
            return x
        kriged = self._kriged(x)
        if self._returned is None:
            return kriged
        # what kriging takes away is independent of what it leaves: it serves as the noise that the anchors withheld
        unused = solve_triangular(self._inner_root, self._constraints.T @ x, lower=True)
        values: Vector = kriged + self._returned @ unused[: self._returned.shape[1]]
        return values

    def selected_inverse(self, rows: Places, columns: Places) -> Vector:
        """Entries of the inverse within the conditions at these places of H's pattern, all of it in its order."""
        out = self._factor.selected_inverse()
        if self._constraints is not None:
            out = out - np.einsum("ek,ek->e", (self._solved @ self._inverse)[rows], self._solved[columns])
        if self._returned is not None:
            out = out + np.einsum("ek,ek->e", self._returned[rows], self._returned[columns])
        return out


class FollowingFactor(ConstrainedFactor):
    """The factor of a Gaussian whose last variables have another covariance, which the others follow as they did.

    With P the inverse of H within the conditions, G its block of the last variables and R = P[:, last] G⁻¹ what one of
    them moves, the covariance is P + R (C - G) R'. The conditions hold for it as for P, since R meets them; to put
    C⁻¹ - G⁻¹ into H instead may leave that without a factor, where it is singular without the conditions.

    Parameters
    ----------
    factor : ConstrainedFactor
        Of H.
    covariance : (p, p) array
        C, of the last p variables in the coordinates that H is of.
    basis : Basis
        These.
    """

    def __init__(self, factor: ConstrainedFactor, covariance: Vector, basis: Basis):
        n, p = basis.first + len(basis.back), len(covariance)
        unit = np.eye(n, p, p - n)
        spread = basis.inside(factor.solve(basis.dual_outside(unit)))
        given = spread[n - p :]
        self._of, self._coordinates, self._last = factor, basis, n - p
        self._moved: Vector = np.asarray(np.linalg.solve(given.T, spread.T).T, dtype=float)
        self._outside = basis.outside(self._moved)
        self._change = covariance - given
        self._stretch = _root(covariance) @ np.linalg.inv(_root(given)) - np.eye(p)
        self.log_determinant = factor.log_determinant + float(
            np.linalg.slogdet(given)[1] - np.linalg.slogdet(covariance)[1]
        )

    def solve(self, b: Vector) -> Vector:
        """The covariance times b, (n,) or (n, k)."""
        out: Vector = self._of.solve(b) + self._outside @ (self._change @ (self._outside.T @ b))
        return out

    def draw(self, noise: Vector) -> Vector:
        """Draws that meet the conditions, from independent standard normals, (n, k)."""
        x = self._of.draw(noise)
        out: Vector = x + self._outside @ (self._stretch @ self._coordinates.inside(x)[self._last :])
        return out

    def following(self, moves: Vector) -> Vector:
        """What all variables move, (n, k), as the last of them move as in these vectors, (n, k)."""
        out: Vector = self._outside @ self._coordinates.inside(moves)[self._last :]
        return out

    def selected_inverse(self, rows: Places, columns: Places) -> Vector:
        """Entries of the covariance at these places."""
        out = self._of.selected_inverse(rows, columns)
        for left, right in zip((self._moved @ self._change).T, self._moved.T):
            out = out + left[rows] * right[columns]
        return out


def _root(covariance: Vector) -> Vector:
    """A with A A' = covariance, whatever the units of its variables."""
    sizes = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(sizes, sizes))
    return np.asarray(sizes[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))


def anchors_of(constraints: Vector, rank_deficiency: int) -> Places:
    """A latent variable for each direction in which a block is flat and its constraints are not, that tells them apart.

    Parameters
    ----------
    constraints : (n, k) array
    rank_deficiency : int
        Of the block's precision.
    """
    count = min(constraints.shape[1], rank_deficiency)
    return np.asarray(qr(constraints.T, mode="r", pivoting=True)[1][:count]).astype(np.intp)
