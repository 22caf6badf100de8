"""Where independent tasks are done: here, or on the workers of a cluster. One seam for all that can be shared out."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from geospde.errors import GeospdeError, InputError
from geospde.linalg.threads import one_blas_thread, side_by_side
from geospde.text.keywords import answers_keywords

FEW = 4  # shared objects that a worker keeps
TIMES = 3  # times that a shared object is sent again after all copies were lost
WAIT = 60  # seconds to wait for the first worker


class Executor(ABC):
    """Does independent tasks.

    Attributes
    ----------
    apart : bool
        Whether tasks are done in other processes: what they learn is not known here.
    """

    apart: bool = False

    @abstractmethod
    def map(self, work: Callable[..., Any], items: Iterable[Any], *shared: Any, size: int = 0) -> Iterator[Any]:
        """Results of ``work(item, *shared)`` in the order of the items, each as soon as it and those before are there.

        Parameters
        ----------
        work : callable
            A function of a module, or a `functools.partial` of one; it changes nothing that others see.
        items : iterable
            Taken a few at a time.
        shared : objects
            What all tasks need, such as a model: sent to each worker once.
        size : int
            Of a task, in unknowns: threads of this machine are worth while from some thousand on.
        """


class Here(Executor):
    """The process itself, with its threads where a task is large and uses none itself."""

    def map(self, work: Callable[..., Any], items: Iterable[Any], *shared: Any, size: int = 0) -> Iterator[Any]:
        """Results in order; see `Executor.map`."""
        yield from side_by_side(lambda item: work(item, *shared), items, size)


class Dask(Executor):
    """The workers of a Dask cluster. A worker that is lost costs what it was at work on: others do that again.

    Parameters
    ----------
    client : distributed.Client
    """

    apart = True

    def __init__(self, client: Any):
        self.client = client
        self._sent: dict[int, tuple[Any, Any]] = {}  # the object is held so that its id stays its own

    def map(self, work: Callable[..., Any], items: Iterable[Any], *shared: Any, size: int = 0) -> Iterator[Any]:
        """Results in order, two tasks a core of the cluster under way; see `Executor.map`."""
        from distributed.scheduler import KilledWorker

        ahead = 2 * max(sum(self.client.ncores().values()), 1)
        left, lost = iter(items), 0
        waiting: deque[tuple[Any, Any]] = deque()
        try:
            waiting.extend((item, self._submit(work, item, shared)) for item in islice(left, ahead))
            while waiting:
                item, future = waiting[0]
                try:
                    result = pickle.loads(future.result())
                except KilledWorker:
                    raise GeospdeError(
                        "a task ended each worker that took it, as a machine short of memory does",
                        remedy="give the workers more memory, or a core each",
                    ) from None
                except _cancelled():  # every worker that held what is shared is gone
                    lost += 1
                    if lost > TIMES:
                        raise GeospdeError("the cluster loses its workers again and again") from None
                    self._sent.clear()
                    waiting = deque((item, self._submit(work, item, shared)) for item, _ in waiting)
                    continue
                waiting.popleft()
                waiting.extend((item, self._submit(work, item, shared)) for item in islice(left, 1))
                yield result
        except OSError as error:
            if self.client.status == "running":  # it is a task's own
                raise
            raise GeospdeError(
                f"the scheduler of the Dask cluster is gone: {error}", remedy="start it and its workers again"
            ) from None
        finally:
            with suppress(OSError):
                self.client.cancel([future for _, future in waiting])

    def _submit(self, work: Callable[..., Any], item: Any, shared: tuple[Any, ...]) -> Any:
        import cloudpickle

        return self.client.submit(_done, cloudpickle.dumps((work, item)), *map(self._once, shared), pure=False)

    def _once(self, thing: Any) -> Any:
        """What stands for an object on the workers, sent to each of them the first time."""
        if id(thing) not in self._sent:
            import cloudpickle

            packed = uuid4().hex, cloudpickle.dumps(thing)
            future = self.client.scatter([packed], broadcast=True, hash=False)[0]
            self._sent[id(thing)] = thing, future
        return self._sent[id(thing)][1]


def _done(task: bytes, *shared: tuple[str, bytes]) -> bytes:
    """A task, on a worker, packed as bytes: whatever Dask does with arrays, the worker's are its own, as here."""
    import cloudpickle

    work, item = pickle.loads(task)
    with one_blas_thread():
        packed: bytes = cloudpickle.dumps(work(item, *(_unpacked(*one) for one in shared)))
    return packed


_UNPACKED: dict[str, Any] = {}
_LOCK = Lock()


def _unpacked(name: str, packed: bytes) -> Any:
    """What was sent once, unpacked once; the latest few."""
    with _LOCK:
        if name not in _UNPACKED:
            while len(_UNPACKED) >= FEW:
                del _UNPACKED[next(iter(_UNPACKED))]
            _UNPACKED[name] = pickle.loads(packed)
        return _UNPACKED[name]


def _cancelled() -> tuple[type[BaseException], ...]:
    """The errors of a task whose inputs are lost."""
    from concurrent.futures import CancelledError

    from distributed import client

    return CancelledError, getattr(client, "FutureCancelledError", CancelledError)


_HERE = Here()
_CURRENT: ContextVar[Executor] = ContextVar("executor", default=_HERE)


def executor() -> Executor:
    """Return where tasks are to be done now."""
    return _CURRENT.get()


@answers_keywords
@contextmanager
def cluster(client: Any) -> Iterator[Executor]:
    """Do inside the block all that can be shared out on the workers of a Dask cluster.

    Points of the hyperparameters of a fit, folds of a validation, windows of a raster, batches of candidates of a
    design, and several runs are shared out. Data and analysed matrices are sent to each worker once.

    Parameters
    ----------
    client : distributed.Client, str or None
        A client; or the address of a scheduler, ``"tcp://node1:8786"``, or the path of its file, ``"scheduler.json"``;
        None leaves all as it is.

    Raises
    ------
    InputError
        Where Dask is not installed, no scheduler answers, or it has no worker that can import geospde.

    Examples
    --------
    >>> import geospde as gs
    >>> with gs.cluster(None):  # in place of None: "tcp://node1:8786"
    ...     pass
    """
    if client is None:
        yield executor()
        return
    known = isinstance(client, Executor)
    chosen = client if known else Dask(_connected(client))
    before = _CURRENT.set(chosen)
    try:
        yield chosen
    finally:
        _CURRENT.reset(before)
        if isinstance(client, str) and isinstance(chosen, Dask):
            chosen.client.close()


def _connected(client: Any) -> Any:
    """A client of a scheduler that has a worker."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError("a cluster needs Dask", remedy="pip install 'geospde[dask]'") from None
    if isinstance(client, str):
        where = {"scheduler_file": client} if client.endswith(".json") else {"address": client}
        if "scheduler_file" in where and not Path(client).is_file():  # a client would wait for it
            raise InputError(f"there is no file {client!r} of a Dask scheduler")
        try:
            client = Client(**where, timeout="15s", set_as_default=False)  # type: ignore[no-untyped-call, unused-ignore]
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"no Dask scheduler answers at {where.popitem()[1]!r}: {error}") from None
    if not isinstance(client, Client):
        raise InputError(f"a cluster is a distributed.Client or a scheduler's address, not {client!r}")
    try:
        client.wait_for_workers(1, timeout=WAIT)
        client.run(_version)
    except TimeoutError:
        raise InputError("the Dask cluster has no workers: start some, as in dask worker SCHEDULER") from None
    except ImportError as error:
        raise InputError(f"a worker of the Dask cluster cannot import geospde: {error}") from None
    return client


def _version() -> str:
    from geospde import __version__

    return __version__
