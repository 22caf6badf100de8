"""Compiled loops of maps: quantiles and tails of mixtures, moments of functions of them, third cumulants of rows."""

from collections.abc import Callable
from math import erfc, exp, expm1, log, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.compiled import compiled, compiled_fused, compiled_sums

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

HALF_ROOT = sqrt(0.5)
HEIGHT = 1 / sqrt(2 * np.pi)
STRAIGHT = 1e-4  # |shape| below which a skew component is taken as Gaussian
CLOSE = 1e-3  # step, relative to the narrowest component, after which the next one would be its cube
FLAT = 1e-2  # relative change of a density over a step that counts as none
STEPS = 80
LEAST = 1e-300

BLOCK = 256  # quantities side by side, whose numbers stay in the processor's first cache
FAR = 700.0  # largest argument whose exponential is finite
ROUNDS = 6755399441055744.0  # 1.5 2^52: adding and subtracting it rounds a number below 2^51 to a whole one
PER_LOG_2 = 1.4426950408889634
CORNERS = 0.5 + 0.5 * np.cos(np.pi * (np.arange(4) + 0.5) / 4)  # Chebyshev's nodes of a step from 0 to 1,
THROUGH = np.linalg.inv(np.vander(CORNERS, 4, increasing=True)).T  # from values there to a cubic's coefficients,
WORST = np.array([0.0, 0.5])  # and where that errs most
AT_WORST = np.vander(WORST, 4, increasing=True).T
AGREES = 1e-10
FEWEST, MOST = 256, 65536  # steps of a table, whose numbers stay in the processor's second cache
SHORTEST, LONGEST = 1e-3, 1e4  # what it is of
LOG_2, LOG_2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # a number of few bits, and the rest


@compiled
def tail_ratio(t: float) -> float:
    """``P(Z > t) exp(t²/2)`` of a standard normal, for t >= 0, to 1e-10 up to 5 and to 1e-7 up to 10.

    Formula 5666 of Hart et al. (1968), Computer Approximations, as printed by West (2005), Wilmott Magazine, 70-76.
    """
    above = 3.52624965998911e-2 * t + 0.700383064443688
    above = above * t + 6.37396220353165
    above = above * t + 33.912866078383
    above = above * t + 112.079291497871
    above = above * t + 221.213596169931
    above = above * t + 220.206867912376
    below = 8.83883476483184e-2 * t + 1.75566716318264
    below = below * t + 16.064177579207
    below = below * t + 86.7807322029461
    below = below * t + 296.564248779674
    below = below * t + 637.333633378831
    below = below * t + 793.826512519948
    below = below * t + 440.413735824752
    return above / below


@compiled
def mixture_quantiles(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector, out: Vector, first: int, last: int
) -> None:
    """Quantiles at normal scores, (q,), of mixtures of k components, (k, m) each, into columns of `out`, (q, m).

    Halley's method on the smaller tail, inside a bracket that begins with the components' own quantiles, from Cornish
    and Fisher's expansion in the mixture's first four moments. `shape` is empty for Gaussian components.
    """
    k = weights.size
    centre, rate = np.empty(k), np.empty(k)
    for i in range(first, last):
        a = shape[i] if shape.size else 0.0
        straight = abs(a) < STRAIGHT
        growth = expm1(a * a)
        root = sqrt(growth) if a > 0 else -sqrt(growth)
        lean, peak = (growth + 3.0) * root, 3.0 + growth * (16.0 + growth * (15.0 + growth * (6.0 + growth)))
        mean, least = 0.0, np.inf
        for c in range(k):
            centre[c] = means[c, i]
            rate[c] = 1.0 / sds[c, i]
            least = min(least, sds[c, i])
            mean += weights[c] * centre[c]
        second, third, fourth = 0.0, 0.0, 0.0
        for c in range(k):
            off, sd = centre[c] - mean, sds[c, i]
            square, variance, cube = off * off, sd * sd, lean * sd * sd * sd
            second += weights[c] * (square + variance)
            third += weights[c] * (off * (square + 3.0 * variance) + cube)
            fourth += weights[c] * (square * (square + 6.0 * variance) + 4.0 * off * cube + peak * variance * variance)
        sd = sqrt(second)
        skewness, excess = third / (second * sd), fourth / (second * second) - 3.0
        for q in range(scores.size):
            z = scores[q]
            g = z if straight else expm1(a * z - 0.5 * a * a) / root
            low, high = np.inf, -np.inf
            for c in range(k):
                own = centre[c] + g * sds[c, i]
                low, high = min(low, own), max(high, own)
            sign = 1.0 if z > 0 else -1.0
            wanted = exp(-0.5 * z * z) * tail_ratio(abs(z))
            bent = z + (z * z - 1.0) * skewness / 6.0 + z * (z * z - 3.0) * excess / 24.0
            bent -= z * (2.0 * z * z - 5.0) * skewness * skewness / 36.0
            x = min(max(mean + bent * sd, low), high)
            for turn in range(STEPS if k > 1 else 0):
                tail, density, bend, steep = 0.0, 0.0, 0.0, 0.0
                for c in range(k):
                    scale = rate[c]
                    score = (x - centre[c]) * scale
                    if not straight:
                        inside = max(1.0 + score * root, LEAST)  # less is beyond the end of a component
                        scale *= root / (a * inside)
                        score = log(inside) / a + 0.5 * a
                    height = weights[c] * exp(-0.5 * score * score)
                    part = height * tail_ratio(abs(score))
                    tail += part if sign * score > 0 else weights[c] - part
                    height *= HEIGHT * scale
                    density += height
                    bend -= height * (score + a) * scale  # a is zero, or so nearly that it does not matter, if straight
                    steep += height * (1.0 + abs(score)) * scale
                missing = sign * (wanted - tail)
                if missing == 0.0:
                    break
                if missing < 0:
                    low = x
                else:
                    high = x
                new = np.inf
                if density > 0:
                    step = missing / density
                    # far out in a tail Halley creeps: what Newton would do then is beyond the bracket, which is halved
                    new = x - step / min(max(1 - 0.5 * step * bend / density, 0.5), 2.0)
                halved = not (low < new < high) or turn % 6 == 5  # lest it goes to and fro
                if halved:
                    new = 0.5 * (low + high)
                step, x = abs(new - x), new
                # a density that hardly changes over the step: near the end of a skew component it may within little
                if step <= (1e-12 * sd if halved else CLOSE * least) and (halved or step * steep <= FLAT * density):
                    break
            out[q, i] = x if k > 1 else centre[0] + g * sds[0, i]


@compiled
def mixture_tails(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, x: Vector, out: Vector, first: int, last: int
) -> None:
    """P(X > x), with its digits where it is small, of mixtures, into a part of `out`, (m,)."""
    for i in range(first, last):
        a = shape[i] if shape.size else 0.0
        straight = abs(a) < STRAIGHT
        sign = -1.0 if a < 0 else 1.0
        root = 1.0 if straight else sqrt(expm1(a * a))
        total = 0.0
        for c in range(weights.size):
            score = (x[i] - means[c, i]) / sds[c, i]
            if not straight:
                inside = sign * score * root
                if inside <= -1.0:
                    total += weights[c] if sign > 0 else 0.0
                    continue
                score = (log1p(inside) + 0.5 * a * a) / a
            total += weights[c] * 0.5 * erfc(score * HALF_ROOT)
        out[i] = total


@compiled_fused
def _exponentials(n: int, x: Vector, part: Vector, power: Vector, bits: Index) -> None:
    """Exponentials of n numbers, within what is finite, as `part` times `power`, whose bits are `bits`.

    ``exp(k log 2 + r)``, by a polynomial in r, and k put into an exponent's bits: loops that run four at a time.
    """
    for i in range(n):
        at = min(max(x[i], -FAR), FAR)
        power[i] = at * PER_LOG_2 + ROUNDS  # its last bits are the nearest whole number
        k = power[i] - ROUNDS
        r = (at - k * LOG_2) - k * LOG_2_REST
        p = r * (1 / 39916800) + 1 / 3628800
        p = ((p * r + 1 / 362880) * r + 1 / 40320) * r + 1 / 5040
        p = ((p * r + 1 / 720) * r + 1 / 120) * r + 1 / 24
        part[i] = (((p * r + 1 / 6) * r + 0.5) * r + 1.0) * r + 1.0
    for i in range(n):
        bits[i] = (bits[i] + 1023) << 52


@compiled_fused
def _middles(weights: Vector, means: Vector, first: int, n: int, out: Vector) -> None:
    """Means of n mixtures."""
    out[:n] = 0.0
    for c in range(weights.size):
        for i in range(n):
            out[i] += weights[c] * means[c, first + i]


@compiled_fused
def _bent(
    shape: Vector, first: int, n: int, scores: Vector, work: Vector, x: Vector, part: Vector, power: Vector,
    bits: Index, out: Vector,
) -> None:  # fmt: skip
    """Standard scores, (j, n), of components of n shapes at normal scores, (j,)."""
    if shape.size:
        for i in range(n):
            a = shape[first + i]
            root = sqrt(expm1(a * a))
            work[i] = 0.0 if abs(a) < STRAIGHT else 1.0 / (root if a > 0 else -root)
    for j in range(scores.size):
        z = scores[j]
        if not shape.size:
            out[j, :n] = z
            continue
        for i in range(n):
            a = shape[first + i]
            x[i] = a * z - 0.5 * a * a
        _exponentials(n, x, part, power, bits)
        for i in range(n):
            out[j, i] = z if work[i] == 0.0 else (part[i] * power[i] - 1.0) * work[i]


@compiled_fused
def exponential_moments(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector, shares: Vector, out: Vector,
    first: int, last: int,
) -> None:  # fmt: skip
    """Mean and sd of exp(X), into `out`, (2, m), X being mixtures of k components, by a quadrature in each.

    Parameters
    ----------
    weights : (k,) array
    means, sds : (k, m) arrays
    shape : (m,) array
        Empty for Gaussian components.
    scores, shares : (j,) arrays
        Nodes for a standard normal, increasing, and their weights.
    """
    work = np.empty((7, BLOCK))
    mean, most, one, two, x, part, power = work[0], work[1], work[2], work[3], work[4], work[5], work[6]
    bits, bent = power.view(np.int64), np.empty((shares.size, BLOCK))
    for low in range(first, last, BLOCK):
        n = min(BLOCK, last - low)
        _middles(weights, means, low, n, mean)
        _bent(shape, low, n, scores, one, x, part, power, bits, bent)
        most[:n], one[:n], two[:n] = -np.inf, 0.0, 0.0
        for c in range(weights.size):
            for j in range(shares.size):
                for i in range(n):
                    x[i] = means[c, low + i] - mean[i] + sds[c, low + i] * bent[j, i]
                if j == 0 or j == shares.size - 1:  # scores rise or fall with the nodes
                    for i in range(n):
                        most[i] = max(most[i], x[i])
                _exponentials(n, x, part, power, bits)
                weight = weights[c] * shares[j]
                for i in range(n):
                    off = part[i] * power[i] - 1.0
                    one[i] += weight * off
                    two[i] += weight * off * off
        for i in range(n):
            if most[i] > FAR:
                one[i], two[i] = np.inf, np.inf
            # about exp(mean): what is subtracted is small
            scale = exp(mean[i])
            out[0, low + i] = scale * (1.0 + one[i])
            out[1, low + i] = scale * sqrt(max(two[i] - one[i] * one[i], 0.0)) if two[i] < np.inf else np.inf


def cubics(f: Callable[[Vector], Vector], low: float, high: float) -> tuple[float, float, Vector] | None:
    """Cubics that a function is, to 1e-10 of itself, on steps of one length, for `tabled_moments`.

    Through its values at Chebyshev's nodes of each step, a power of two that divides zero's place, as some functions
    have a corner there. They are compared with the function where they err most: steps are halved until they agree.

    Parameters
    ----------
    f : callable
        Of arrays.
    low, high : float
        Where it is asked for.

    Returns
    -------
    start : float
        Where the first step begins.
    rate : float
        Steps a unit.
    table : (4 n,) array
        Coefficients of 1, u, u² and u³ a step, u from 0 to 1 on it.
    None where no table of moderate length does, or the function is not finite.
    """
    if not np.isfinite(high - low) or high - low > LONGEST:
        return None
    step = 2.0 ** np.floor(np.log2(max(high - low, SHORTEST) / FEWEST))
    while True:
        first, last = np.floor(low / step) - 1, np.floor(high / step) + 2  # one more on either side, for rounding
        steps = np.arange(first, last)
        if steps.size > MOST:
            return None
        values, exact = (f(step * (steps[:, None] + at)) for at in (CORNERS, WORST))
        if not (np.isfinite(values).all() and np.isfinite(exact).all()):
            return None
        values = values @ THROUGH
        if (np.abs(values @ AT_WORST - exact) <= AGREES * (np.abs(exact) + AGREES * np.abs(exact).max())).all():
            return float(first * step), float(1 / step), np.ascontiguousarray(values).ravel()
        step *= 0.5


@compiled_fused
def tabled_moments(
    start: float, rate: float, table: Vector, weights: Vector, means: Vector, sds: Vector, shape: Vector,
    scores: Vector, shares: Vector, out: Vector, first: int, last: int,
) -> None:  # fmt: skip
    """Mean and sd of f(X), into `out`, (2, m), f being the `cubics` of a table; see `exponential_moments`."""
    work = np.empty((6, BLOCK))
    middle, one, two, x, part, power = work[0], work[1], work[2], work[3], work[4], work[5]
    bits, bent = power.view(np.int64), np.empty((shares.size, BLOCK))
    for low in range(first, last, BLOCK):
        n = min(BLOCK, last - low)
        _middles(weights, means, low, n, middle)
        _bent(shape, low, n, scores, one, x, part, power, bits, bent)
        for i in range(n):
            at = (middle[i] - start) * rate
            k = int(at)
            u = at - k
            middle[i] = ((table[4 * k + 3] * u + table[4 * k + 2]) * u + table[4 * k + 1]) * u + table[4 * k]
        one[:n], two[:n] = 0.0, 0.0
        for c in range(weights.size):
            for j in range(shares.size):
                weight = weights[c] * shares[j]
                for i in range(n):
                    at = (means[c, low + i] + sds[c, low + i] * bent[j, i] - start) * rate
                    k = int(at)
                    u = at - k
                    k *= 4
                    off = ((table[k + 3] * u + table[k + 2]) * u + table[k + 1]) * u + table[k] - middle[i]
                    one[i] += weight * off
                    two[i] += weight * off * off
        for i in range(n):
            out[0, low + i] = middle[i] + one[i]
            out[1, low + i] = sqrt(max(two[i] - one[i] * one[i], 0.0))


@compiled_fused
def positive_moments(
    falls: bool, least: float, weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector,
    shares: Vector, out: Vector, first: int, last: int,
) -> None:  # fmt: skip
    """Mean and sd of 1 / X, where it `falls`, or X², into `out`, (2, m); see `exponential_moments`.

    Of the part of each Gaussian component above the share `least` of its mean: `shape` is not looked at.
    """
    work = np.empty((5, BLOCK))
    one, two, mass, mean, second = work[0], work[1], work[2], work[3], work[4]
    for low in range(first, last, BLOCK):
        n = min(BLOCK, last - low)
        mean[:n], second[:n] = 0.0, 0.0
        for c in range(weights.size):
            one[:n], two[:n], mass[:n] = 0.0, 0.0, LEAST
            for j in range(shares.size):
                for i in range(n):
                    centre = means[c, low + i]
                    end = least * abs(centre)
                    x = centre + sds[c, low + i] * scores[j]
                    share = shares[j] if x > end else 0.0
                    x = max(x, end + LEAST)
                    value = 1.0 / x if falls else x * x
                    one[i] += share * value
                    two[i] += share * value * value
                    mass[i] += share
            for i in range(n):
                mean[i] += weights[c] * one[i] / mass[i]
                second[i] += weights[c] * two[i] / mass[i]
        for i in range(n):
            out[0, low + i] = mean[i]
            out[1, low + i] = sqrt(max(second[i] - mean[i] * mean[i], 0.0))


@compiled_sums
def triple_sums(supports: Index, loadings: Vector, third: Vector, out: Vector) -> None:
    """Sums over l of ``third_l L_al L_bl L_cl``, a <= b <= c of each support, into `out`, (s, k (k + 1) (k + 2) / 6).

    Parameters
    ----------
    supports : (s, k) array
        Rows of `loadings`, L.
    """
    pair = np.empty(third.size)
    for s in range(supports.shape[0]):
        at = 0
        for a in range(supports.shape[1]):
            row_a = supports[s, a]
            for b in range(a, supports.shape[1]):
                row_b = supports[s, b]
                for j in range(third.size):
                    pair[j] = third[j] * loadings[row_a, j] * loadings[row_b, j]
                for c in range(b, supports.shape[1]):
                    row_c = supports[s, c]
                    total = 0.0
                    for j in range(third.size):
                        total += pair[j] * loadings[row_c, j]
                    out[s, at] = total
                    at += 1
