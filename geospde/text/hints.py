"""Arguments of another kind than a function's signature says: told in a sentence, once the function has failed."""

import builtins
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, Signature
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from geospde.errors import InputError, KeywordError
from geospde.text.words import in_brief, listed

CAUSES = (TypeError, ValueError, AttributeError, OverflowError, LookupError)
"""What Python raises at an argument of a kind that it cannot work with."""
_LOOKED_AT = 1_000  # entries of a list
_HUGE = 2.0**1023
_CALLED: dict[Any, str] = {
    float: "a number", int: "a whole number", str: "text", bool: "True or False", None: "None", type(None): "None",
    Sequence: "a list", list: "a list", Iterable: "a list", tuple: "a tuple", Mapping: "a dict", dict: "a dict",
    Callable: "a function", PathLike: "a path", np.ndarray: "an array",
}  # fmt: skip


def explain(
    function: Callable[..., Any], own: Signature, args: Any, options: Any, error: BaseException, name: str = ""
) -> None:
    """Raise InputError if arguments of a call that failed are not what the function's signature says.

    Parameters
    ----------
    function : callable
    own : inspect.Signature
        Its signature.
    args, options : tuple and dict
        What it was called with.
    error : BaseException
        What it raised.
    name : str
        What to call it by, where that is not its own name.
    """
    name = name or function.__name__
    try:
        given = own.bind(*args, **options).arguments
    except TypeError as fault:
        raise KeywordError(f"{name}(): {fault}", remedy=f"its arguments are {_shown(own)}") from None
    for parameter in own.parameters.values():
        if parameter.name not in given or parameter.name in ("self", "cls"):
            continue
        value = given[parameter.name]
        hint = _resolved(parameter.annotation, function)
        values = [value]
        if parameter.kind is Parameter.VAR_POSITIONAL:
            values = list(value)
        for one in values:
            if not _fits(one, hint):
                message = f"{parameter.name} of {name}() is {_words(hint)}, not {in_brief(one)}"
                raise InputError(message) from error
            if isinstance(error, OverflowError) and _is_huge(one):
                raise InputError(f"{parameter.name} of {name}() holds a number that is too large") from error


def refuse_no_truths(name: str, truths: Mapping[str, int], args: tuple[Any, ...], options: Mapping[str, Any]) -> None:
    """Raise InputError for an argument that is True or False by its signature, and was given as something else.

    Nothing fails at these: "no" and nan are true in Python.

    Parameters
    ----------
    name : str
        Of the function.
    truths : mapping
        Such arguments, and the place of each.
    args, options : tuple and dict
        What it was called with.
    """
    for argument, place in truths.items():
        given = options.get(argument, args[place] if place < len(args) else True)
        if not isinstance(given, bool | np.bool_):
            raise InputError(f"{argument} of {name}() is True or False, not {in_brief(given)}")


def truths_of(own: Signature) -> dict[str, int]:
    """Arguments that are True or False by a signature, and the place of each; beyond all where it has none."""
    every = enumerate(own.parameters.values())
    far = len(own.parameters) + _LOOKED_AT
    is_named = {p.name: p.kind is Parameter.KEYWORD_ONLY for p in own.parameters.values()}
    return {p.name: far if is_named[p.name] else k for k, p in every if p.annotation in (bool, "bool")}


def called(given: Any) -> str:
    """The kind of a thing, with the package that it is of, as in ``'dask DataFrame'``."""
    return f"{type(given).__module__.partition('.')[0]} {type(given).__name__}"


def as_frame(given: Any) -> str:
    """How a table of another package becomes a DataFrame; empty for what is no table.

    Examples
    --------
    >>> import xarray
    >>> as_frame(xarray.Dataset())
    'make a DataFrame with to_dataframe()'
    """
    ways = ("to_dataframe", "to_pandas", "compute", "toPandas")  # of xarray; pyarrow and polars; dask; Spark
    way = next((way for way in ways if hasattr(given, way)), "")
    return f"make a DataFrame with {way}()" if way else ""


def _shown(own: Signature) -> str:
    return ", ".join(name for name in own.parameters if name not in ("self", "cls")) or "none"


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """The type that an annotation names; Any where it cannot be told."""
    if not isinstance(annotation, str):
        return Any if annotation is Parameter.empty else annotation
    try:
        return eval(annotation, {}, _Names(function.__globals__))  # the source's own words, no user's  # noqa: S307
    except Exception:
        return Any


class _Names(dict[str, Any]):
    """The names of a module; those that it imports for types alone may be anything, but for paths."""

    def __missing__(self, name: str) -> Any:
        return {"Path": Path, "PathLike": PathLike}.get(name) or getattr(builtins, name, Any)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as that is plain."""
    if hint is Any or isinstance(hint, TypeVar | str):
        return True
    if hint is None or hint is type(None):
        return value is None
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str | int | float | bool) and value in inner
    plain = {float: Real, int: Integral, bool: bool | np.bool_, str: str}.get(hint)
    if plain is not None:
        return isinstance(value, plain) and (hint is bool or not isinstance(value, bool | np.bool_))
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if issubclass(np.ndarray, kind) or issubclass(kind, np.ndarray):
        return not isinstance(value, str | bytes | Mapping | type) and not callable(value)
    if kind in (Sequence, list, tuple, Iterable):
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
            return False
        one = inner[0] if inner and kind is not tuple else Any
        return not hasattr(value, "__len__") or all(_fits(each, one) for each in list(value)[:_LOOKED_AT])
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


def _words(hint: Any) -> str:
    """What a type is called in a sentence."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(one) for one in inner))
    if origin is Literal:
        return listed([repr(one) for one in inner])
    kind = origin or hint
    called = _CALLED.get(kind)
    if called is None:
        name = getattr(kind, "__name__", str(kind))
        called = f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
    if inner and called == "a list" and _CALLED.get(inner[0]):
        return f"a list of {_CALLED[inner[0]].partition(' ')[2] or _CALLED[inner[0]]}s".replace("texts", "text")
    return called


def _is_huge(value: Any) -> bool:
    """Whether a value is, or holds, a whole number beyond what a float can be."""
    if isinstance(value, int):
        return abs(value) > _HUGE
    return isinstance(value, list | tuple) and any(_is_huge(each) for each in value[:_LOOKED_AT])
