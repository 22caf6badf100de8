"""Hypotheses about parameters: posterior probability and evidence ratio."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.hyper import Posterior
from geospde.inference.marginals import Marginal
from geospde.model.build import Model
from geospde.results.state import level_between

Vector = NDArray[np.float64]
Linear = tuple[dict[str, float], float]  # weights by name, and a constant

DRAWS = 20_000  # for what has no marginal of its own: a probability's error is at most 0.004
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[Any], Any]] = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs}


@dataclass(frozen=True, repr=False)
class Row:
    """The answer to a hypothesis, which is shown as one row of a table."""

    text: str

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        row = {k: [v] for k, v in self.__dict__.items() if k != "text"}
        return pd.DataFrame(row, index=pd.Index([self.text], name="hypothesis"))

    def __str__(self) -> str:
        return str(self.to_frame().to_string(float_format=lambda v: f"{v:.4g}"))

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class Hypothesis(Row):
    """What a posterior says of ``left > right``, ``left < right`` or ``left = right``.

    Attributes
    ----------
    text : str
    estimate, se : float
        Posterior mean and sd of left minus right.
    lower, upper : float
        Of its central interval; 90 % for one-sided hypotheses (so that each end leaves out 5 %), 95 % for ``=``.
    evidence_ratio : float
        Posterior odds of a one-sided hypothesis; of ``=``, the Savage-Dickey ratio of posterior to prior density, NaN
        where the prior is flat.
    posterior_probability : float
        Of the hypothesis; of ``=``, with even prior odds.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    evidence_ratio: float
    posterior_probability: float


@dataclass(frozen=True)
class Difference:
    """Left minus right of a hypothesis, as it was read.

    Attributes
    ----------
    text : str
    sign : str
        ``">"``, ``"<"`` or ``"="``.
    tree : ast.expr
        With a word for each name.
    used : dict of str to str
        Names by word.
    linear : (dict of str to float, float) or None
        Weights of the names and the constant, where it is linear in them.
    """

    text: str
    sign: str
    tree: ast.expr
    used: dict[str, str]
    linear: Linear | None

    def at(self, values: Mapping[str, Any]) -> Any:
        """Its value where each name has this one."""
        return _value(self.tree, {word: values[name] for word, name in self.used.items()}, self.text)


def read(text: str, names: list[str]) -> Difference:
    """Read a hypothesis about these names.

    Raises
    ------
    InputError
        For what cannot be read, or an unknown name.
    """
    if not isinstance(text, str):
        raise InputError(f"a hypothesis is a string such as 'Days > 10', not a {type(text).__name__}")
    masked, used = _masked(text, names)
    sides = re.split(r"(<=|>=|==|<|>|=)", masked)
    if len(sides) != 3 or not sides[0].strip() or not sides[2].strip():
        raise InputError(f"a hypothesis reads 'left > right', 'left < right' or 'left = right', not {text!r}")
    tree = ast.BinOp(_parsed(sides[0], text), ast.Sub(), _parsed(sides[2], text))
    _refuse_unknown(tree, used, names, text)
    return Difference(text, sides[1][0], tree, used, _linear(tree, used, text))


def level_of(level: float | None, sign: str) -> float:
    """The level of the interval: by default 90 % for one side, so that each end leaves out 5 %, and 95 % for two."""
    return level_between(level if level is not None else 0.95 if sign == "=" else 0.9)


def weigh(
    text: str,
    level: float | None,
    model: Model,
    posterior: Posterior,
    marginal: Callable[[Any], Marginal],
    sample: Callable[..., pd.DataFrame],
) -> Hypothesis:
    """Weigh a hypothesis by its posterior probability.

    Parameters
    ----------
    text, level
        As `BayesianFit.hypothesis` takes them.
    model : Model
    posterior : Posterior
    marginal, sample : callable
        Of the fit.
    """
    names = [h.name for h in model.hyperparameters] + model.effects.names + model.latent_names
    difference = read(text, names)
    level = level_of(level, difference.sign)
    density = _density(difference, model, posterior, marginal, sample)
    lower, upper = (float(q) for q in np.atleast_1d(density.quantile(np.array([0.5 * (1 - level), 0.5 * (1 + level)]))))
    if difference.sign == "=":
        before = _prior_density(model, difference.linear)
        ratio = float(np.ravel(density.density(np.array([0.0])))[0]) / before if before else float("nan")
        probability = ratio / (1 + ratio)
    else:
        below, above = (float(np.ravel(tail(np.array([0.0])))[0]) for tail in (density.cdf, density.sf))
        probability, against = (above, below) if difference.sign == ">" else (below, above)
        ratio = probability / against if against > 0 else float("inf")
    return Hypothesis(text, density.mean, density.sd, lower, upper, ratio, probability)


def _masked(text: str, names: list[str]) -> tuple[str, dict[str, str]]:
    """The text with each known name by a word, and which name a word is of; longest names first."""
    used: dict[str, str] = {}
    pattern = "|".join(rf"(?<![\w.]){re.escape(n)}(?![\w.\[(])" for n in sorted(names, key=len, reverse=True))

    def word(match: re.Match[str]) -> str:
        for key, name in used.items():
            if name == match[0]:
                return key
        used[f"parameter_{len(used)}"] = match[0]
        return f"parameter_{len(used) - 1}"

    return (re.sub(pattern, word, text) if pattern else text), used


def _parsed(side: str, text: str) -> ast.expr:
    try:
        return ast.parse(side.strip(), mode="eval").body
    except SyntaxError:
        raise InputError(f"cannot read the hypothesis {text!r}") from None


def _refuse_unknown(tree: ast.AST, used: dict[str, str], names: list[str], text: str) -> None:
    calls = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in used and not (id(node) in calls and node.id in FUNCTIONS):
            near = get_close_matches(node.id, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:12])}"
            raise InputError(f"nothing is called {node.id!r} in the hypothesis {text!r}; {hint}")
    if not used:
        raise InputError(f"the hypothesis {text!r} names no parameter; there are {', '.join(names[:12])}")


def _value(node: ast.AST, values: dict[str, Any], text: str) -> Any:
    """A side's value where each word has this value: arithmetic only."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = _value(node.operand, values, text)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = _value(node.left, values, text), _value(node.right, values, text)
        with np.errstate(all="ignore"):
            return OPERATORS[type(node.op)](np.asarray(left, dtype=float), np.asarray(right, dtype=float))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        if len(node.args) == 1 and not node.keywords:
            with np.errstate(all="ignore"):
                return FUNCTIONS[node.func.id](_value(node.args[0], values, text))
    raise InputError(f"a hypothesis is made of numbers, names, + - * / ** and exp, log, sqrt, abs: {text!r}")


def _linear(tree: ast.AST, used: dict[str, str], text: str) -> Linear | None:
    """Weights of the names and the constant where the expression is linear in them, else None."""
    words = list(used)
    rng = np.random.default_rng(0)
    places = np.vstack([np.zeros(len(words)), np.eye(len(words)), rng.normal(0, 3, (3, len(words)))])
    found = np.broadcast_to(_value(tree, dict(zip(words, places.T)), text), (len(places),))
    if not np.isfinite(found).all():
        return None
    weights = found[1 : 1 + len(words)] - found[0]
    if not np.allclose(found, found[0] + places @ weights, rtol=1e-9, atol=1e-9):
        return None
    return {used[w]: float(v) for w, v in zip(words, weights)}, float(found[0])


class _Draws:
    """What is asked of a marginal, from draws."""

    def __init__(self, values: Vector):
        self._values = values
        self.mean, self.sd = float(values.mean()), float(values.std(ddof=1))

    def quantile(self, p: Vector) -> Vector:
        return np.quantile(self._values, p)

    def cdf(self, x: Vector) -> Vector:
        return np.array([(self._values <= v).mean() for v in x])

    def sf(self, x: Vector) -> Vector:
        return np.array([(self._values > v).mean() for v in x])

    def density(self, x: Vector) -> Vector:
        from scipy.stats import gaussian_kde

        return np.asarray(gaussian_kde(self._values)(x))


def _density(
    difference: Difference,
    model: Model,
    posterior: Posterior,
    marginal: Callable[[Any], Marginal],
    sample: Callable[..., pd.DataFrame],
) -> Marginal | _Draws:
    """Posterior of left minus right."""
    linear, names = difference.linear, set(difference.used.values())
    if linear is not None and set(linear[0]) <= {*model.effects.names, *model.latent_names}:
        weights, constant = linear
        own = marginal(weights)
        return Marginal(own.inner + constant, own.inner_density)
    if linear is not None and len(linear[0]) == 1:
        ((name, weight),), constant = linear[0].items(), linear[1]
        own = marginal(name)
        sign = 1.0 if weight > 0 else -1.0
        order = slice(None, None, int(sign))  # the map must increase
        return Marginal(
            sign * own.inner[order], own.inner_density[order], lambda t: weight * own.map(sign * t) + constant
        )
    hyper = {h.name: h for h in model.hyperparameters}
    if posterior.hyper is not None and names <= set(hyper):
        thetas = posterior.hyper.sample(DRAWS)  # of their own density, not of the points that carry the rest
        draws = pd.DataFrame({name: [hyper[name].value(t) for t in thetas] for name in names})
    else:
        draws = sample(DRAWS, seed=0)
    values = np.asarray(difference.at({name: draws[name].to_numpy() for name in names}), dtype=float)
    if not np.isfinite(values).all():
        raise InputError(
            f"the hypothesis {difference.text!r} is not a number for some of the posterior: mind logs and divisions"
        )
    return _Draws(values)


def _prior_density(model: Model, linear: Linear | None) -> float | None:
    """Prior density of left minus right at zero; None where it is flat or has no simple form."""
    effects, priors = model.effects.names, model.fixed_priors
    plain = np.array_equal(priors.transform, np.eye(len(effects)))
    if linear is None or not set(linear[0]) <= set(effects) or not plain:
        return None
    w = np.array([linear[0].get(n, 0.0) for n in effects])
    if (priors.precision[w != 0] == 0).any() or np.isfinite(priors.df[w != 0]).any():
        return None
    sd = float(np.sqrt((w[w != 0] ** 2 / priors.precision[w != 0]).sum()))
    z = (linear[1] + float(w @ priors.mean)) / sd
    return float(np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi)))
