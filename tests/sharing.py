"""What several test files compute alike, once for all of them and for all workers of a test run."""

import functools
import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

FOLDER = "GEOSPDE_TESTS_SHARE"  # of the environment: where workers leave results for one another


def shared(function: Callable[..., object]) -> Callable[..., object]:
    """Return a function that is computed once for equal arguments, such as the fits that pages begin with.

    Its warnings come again with each answer. What cannot be pickled, such as a family of a page's own, is computed each
    time.
    """
    known: dict[str, tuple[object, list[Warning | str]]] = {}

    @functools.wraps(function)
    def answer(*arguments: object, **options: object) -> object:
        try:
            called = pickle.dumps((function.__qualname__, arguments, sorted(options.items())))
        except (pickle.PicklingError, AttributeError, TypeError):
            return function(*arguments, **options)
        key = hashlib.sha256(called).hexdigest()
        if key not in known:
            known[key] = _left_by_another(key) or _computed(key, functools.partial(function, *arguments, **options))
        value, told = known[key]
        for warning in told:
            warnings.warn(warning, stacklevel=2)
        return value

    return answer


def _file_of(key: str) -> Path | None:
    folder = os.environ.get(FOLDER)
    return None if folder is None else Path(folder) / key


def _left_by_another(key: str) -> tuple[object, list[Warning | str]] | None:
    """What another file or worker has computed."""
    path = _file_of(key)
    if path is None or not path.exists():
        return None
    found: tuple[object, list[Warning | str]] = pickle.loads(path.read_bytes())
    return found


def _computed(key: str, compute: Callable[[], object]) -> tuple[object, list[Warning | str]]:
    """A value with its warnings, left for others where it can be."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = compute()
    found = value, [warning.message for warning in caught]
    path = _file_of(key)
    if path is not None:
        try:
            content = pickle.dumps(found)
        except (pickle.PicklingError, AttributeError, TypeError):
            return found
        own = path.with_suffix(f".{os.getpid()}")
        own.write_bytes(content)
        own.replace(path)
    return found
