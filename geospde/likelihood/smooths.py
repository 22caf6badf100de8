"""What a penalised fit says of its smooths: effective degrees of freedom, tests, deviance explained, AIC.

Wood (2017), Generalized Additive Models, 2nd ed., chapter 6; the definitions are those of the R package mgcv.
"""

from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cholesky, null_space

from geospde.errors import InputError
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.likelihood.chi_squares import tail
from geospde.likelihood.exponential import Exponential, exponential_names, in_the_mean
from geospde.likelihood.likelihoods import Restricted, Unpriored
from geospde.likelihood.search import Maximum
from geospde.model.build import Model

Vector = NDArray[np.float64]
STEP = 1e-4  # step in theta of differences of Cholesky factors, whose error is about 1e-8


class Smooths:
    """Tables and figures of the smooths of a fit.

    Parameters
    ----------
    model : Model
    laplace : Laplace
        Its Laplace approximations, with flat fixed effects in the latent vector.
    point : LaplacePoint
        The penalised fit, at the smoothing parameters and dispersion found.
    """

    def __init__(self, model: Model, laplace: Laplace, point: LaplacePoint):
        self.model = model
        self.laplace = laplace
        self.point = laplace.factor_again(point)
        self.theta = laplace.whole(point.theta)
        self.is_exponential = model.family.is_exponential and model.likelihood.observed_exactly
        if self.is_exponential and laplace.pairs is None:
            self.point = in_the_mean(laplace, self.point)

    @cached_property
    def family(self) -> Exponential:
        """The exponential family of the responses; raises InputError where they have another."""
        own = self.model.family
        if not self.is_exponential:
            raise InputError(f"family {own.name!r} has no deviance: its families are {exponential_names()}")
        return Exponential(own, self.model.likelihood)

    @property
    def has_dispersion(self) -> bool:
        """Whether a dispersion was estimated."""
        own = self.laplace.family_block
        return self.is_exponential and bool(self.laplace.free[own].any())

    @property
    def dispersion(self) -> float:
        """Of the family, 1 where it has none."""
        return self.family.dispersion(self.theta[self.laplace.family_block]) if self.is_exponential else 1.0

    @cached_property
    def coefficient_edf(self) -> Vector:
        """Effective degrees of freedom of each coefficient, diagonal of H⁻¹ A'WA: smooths, then fixed effects."""
        out = np.ones(self.laplace.n)
        for k, block in enumerate(self.laplace.blocks):
            own = self._covariance(k)
            if self.laplace.precisions[k].constraints is None:
                out[block] -= np.asarray(self._prior[:, block].multiply(own).sum(axis=0)).ravel()
            else:  # within constraints H⁻¹ H is no identity
                design = self.laplace.design
                weighted = design[:, block].multiply(-self.point.derivatives[1][:, None])
                out[block] = np.asarray((design.T @ weighted).multiply(own).sum(axis=0)).ravel()
        return out

    @property
    def edf(self) -> float:
        """Effective degrees of freedom, fixed effects included."""
        return float(self.coefficient_edf.sum())

    @cached_property
    def deviance(self) -> float:
        """Of the fit, in units of the dispersion."""
        return self.family.deviance(self.point.eta, self.dispersion)

    @cached_property
    def null_deviance(self) -> float:
        """Of the model with an intercept and the offset alone."""
        return self.family.null_deviance(self.model.offset, self.model.formula.intercept, self.dispersion)

    @cached_property
    def r_squared(self) -> float:
        """One less the residual variance over that of the responses, adjusted for the degrees of freedom.

        Residuals are of the mean, weighted by the responses' weights.
        """
        y, root = self.family.response, np.sqrt(self.family.weights)
        residual = root * (y - self.family.mean(self.point.eta))
        total = root * (y - np.average(y, weights=self.family.weights))
        return 1.0 - float(np.var(residual) / np.var(total)) * (y.size - 1) / (y.size - self.edf)

    @cached_property
    def log_likelihood(self) -> float:
        """Of the penalised fit, with a dispersion at its best for the means."""
        eta = self.point.eta
        if self.has_dispersion:
            return self.family.log_likelihood(eta, self.deviance / eta.size)
        return float(self.laplace.likelihood_at(self.theta).log_density(eta).sum())

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a smooth: ``edf``, ``ref_df``, ``chi_sq`` (``F`` where the dispersion is estimated), ``p`` and ``sp``.

        ``te(x, y)`` has a smoothing parameter for each covariate: ``sp``, ``sp2`` and so on.

        ``ref_df`` is that of the test's null distribution; ``sp`` the smoothing parameter on mgcv's scale. A smooth of
        covariates has the test of Wood (2013a), without the term whose sign is that of an eigenvector; independent
        effects the Wald statistic and, as its p, that of the test of Wood (2013b), under which they are all zero.

        References
        ----------
        Wood (2013a), Biometrika 100, 221-228; (2013b), Biometrika 100, 1005-1010.
        """
        estimated, ratio = self.has_dispersion, 1.0
        if estimated:  # an F has a quadratic form over that, not over the likelihood's estimate
            ratio = self.dispersion / self.family.moment_dispersion(self.point.eta, self.edf)
        rows = {}
        scale = self.model.family.scale(self.theta[self.laplace.family_block])
        for k, part in enumerate(self.model.terms):
            if not part.penalty_scales:
                continue
            edf = float(self.coefficient_edf[self.laplace.blocks[k]].sum())
            ref, statistic, p = self._test(k, ratio)
            variances = np.exp(2.0 * self.theta[self.laplace.theta_blocks[k]])
            with np.errstate(divide="ignore"):
                smoothing = np.array(part.penalty_scales) * scale / variances
            rows[part.label] = [edf, ref, statistic / max(ref, 1e-8) if estimated else statistic, p, *smoothing]
        most = max((len(row) for row in rows.values()), default=5) - 4
        columns = ["edf", "ref_df", "F" if estimated else "chi_sq", "p", "sp", *(f"sp{j + 2}" for j in range(most - 1))]
        filled = {label: row + [np.nan] * (4 + most - len(row)) for label, row in rows.items()}
        return pd.DataFrame.from_dict(filled, orient="index", columns=columns)

    def _test(self, k: int, ratio: float) -> tuple[float, float, float]:
        """Reference degrees of freedom, statistic and p-value of a smooth being zero."""
        block = self.laplace.blocks[k]
        covariance, b = self._covariance(k)[block] / ratio, self.point.x[block]
        if self.model.terms[k].grouping is not None:
            penalty = ratio * self._prior[block, block].toarray()
            wald = float(b @ np.linalg.solve(covariance, b))
            root = np.sqrt(np.diag(penalty))
            shares = np.linalg.eigvalsh(np.eye(b.size) - root[:, None] * covariance * root).astype(float)
            shares = shares[shares > 1e-8]
            return float(shares.size), wald, self._p(wald - float(b @ penalty @ b), shares**2)
        r = self._information_root(self.laplace.design[:, block].toarray())
        values, vectors = np.linalg.eigh(r @ covariance @ r.T)
        ref = min(self._second_edf(k), float(b.size))
        squares = ((vectors.T @ (r @ b)) ** 2 / np.maximum(values, 1e-300))[::-1]
        weights = np.clip(ref - np.arange(b.size), 0.0, 1.0)
        return ref, float(weights @ squares), self._p(float(weights @ squares), weights[weights > 0])

    def _information_root(self, design: Vector) -> Vector:
        """R, where R'R is A'WA for columns A of the design, (m, k)."""
        second = self.point.derivatives[1]
        if self.laplace.pairs is None and (second <= 0.0).all():
            return np.asarray(np.linalg.qr(np.sqrt(-second)[:, None] * design, mode="r"))
        values, vectors = np.linalg.eigh(-design.T @ self.laplace.bent(second, design))
        return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)

    def _p(self, statistic: float, weights: Vector) -> float:
        """P(sum of weighted chi-squares exceeds the statistic), over an estimated dispersion where it is."""
        if not weights.size:
            return 1.0
        if not self.has_dispersion:
            return tail(statistic, weights, np.ones(weights.size))
        left = self.point.eta.size - self.edf
        both = np.append(weights, -statistic / left)
        return tail(0.0, both, np.append(np.ones(weights.size), left))

    def _second_edf(self, k: int) -> float:
        """``tr(2F - FF)`` over a smooth, F = H⁻¹ A'WA."""
        block, own = self.laplace.blocks[k], self._covariance(k)
        unit = np.zeros_like(own)
        unit[block] = np.eye(own.shape[1])
        rows, columns = unit - self._prior @ own, unit - own @ self._prior[block, block].toarray()
        return float((2 * self.coefficient_edf[block] - (rows * columns).sum(axis=0)).sum())

    @cached_property
    def _prior(self) -> sp.csr_matrix:
        """Q at the estimate."""
        laplace = self.laplace
        pattern = laplace.pattern
        shape = (laplace.n, laplace.n)
        lower = sp.csc_matrix((laplace.prior_at(self.theta), pattern.indices, pattern.indptr), shape=shape)
        return sp.csr_matrix(lower + sp.tril(lower, -1).T)

    def _covariance(self, k: int) -> Vector:
        """Columns of H⁻¹ that belong to a term, (n, term.n)."""
        block = self.laplace.blocks[k]
        unit = np.zeros((self.laplace.n, block.stop - block.start))
        unit[block] = np.eye(unit.shape[1])
        return self.laplace.solve(self.point, unit)


def corrected_edf(model: Unpriored, maximum: Maximum) -> float:
    """Effective degrees of freedom that count the uncertainty of the hyperparameters in.

    ``tr(V A'WA)`` with ``V = H⁻¹ + J V_theta J' + sum_jk V_theta,jk R_j' R_k``: J is how the mode moves with theta, R_j
    how the upper Cholesky factor of H⁻¹ does (Wood, Pya & Säfken 2016, J. Am. Statist. Ass. 111, 1548-1563, section 4).
    """
    model, basis = model.upright()
    restricted = Restricted(model)
    unit = np.eye(restricted.n)
    point = restricted.at(maximum.theta, basis.inside(maximum.x))

    inside = unit if restricted.constraints is None else null_space(restricted.constraints.T)

    def factor(theta: Vector) -> Vector:
        solved = restricted.solve(restricted.at(theta, point.x, gradient=False), inside)
        return np.asarray(cholesky(inside.T @ solved) @ inside.T)

    steps = STEP * np.eye(maximum.theta.size)
    slopes = np.array([(factor(maximum.theta + s) - factor(maximum.theta - s)) / (2 * STEP) for s in steps])
    covariance = restricted.solve(point, unit) + point.slope @ maximum.covariance @ point.slope.T
    covariance += np.einsum("jk,jab,kac->bc", maximum.covariance, slopes, slopes, optimize=True)
    design = model.design.toarray()
    return float(-((design @ covariance) * restricted.bent(point.derivatives[1], design)).sum())
