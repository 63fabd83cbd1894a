"""The backend ``dask``: an existing Client, an address, or a local cluster of our own."""

from __future__ import annotations

import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from typing import Any, Self, TypeVar, final
from urllib.parse import urlsplit

from montezarr.core.checks import type_error, value_error
from montezarr.core.compat.distributed import check_host_and_port, wrap_of
from montezarr.core.errors import BackendError, MontezarrError, MontezarrWarning
from montezarr.core.interrupts import import_whole, uninterrupted
from montezarr.core.notices import print_notice, warn
from montezarr.core.secrets import cause_of, redacted
from montezarr.core.startup import run_begins
from montezarr.core.tunables.scheduling import DASK_NOTES_TRIM_TASKS, DASK_TASK_KEYS, TASK_RETRIES
from montezarr.core.tunables.waiting import CLUSTER_RECOUNT_SECONDS
from montezarr.execute._base import Backend, Scheduler
from montezarr.execute._client import active_client, is_ended
from montezarr.execute._cluster import process_wide, start_cluster
from montezarr.execute._lost import cluster_lost, no_start
from montezarr.execute.progress import kernel

_T = TypeVar("_T")

PACKAGES = ("montezarr", "numpy")
"""Packages whose version on a worker may change the numbers."""


on_client: list[Callable[[Any], None]] = []
"""Functions called with each new Client of the backend: one adds the dashboard page."""


@final
class Dask(Backend):
    """Workers of Dask, on this machine or a cluster.

    Parameters
    ----------
    n_jobs : int
        Workers, with one thread each, of a local cluster; used without `address` and `client`.
    address : str, optional
        Address of a scheduler, such as ``"tcp://10.0.0.1:8786"``.
    client : Client, optional
        A Client of the caller's; it is not closed.
    """

    name = "dask"
    aliases = ("distributed",)
    cancels_waiting = False
    keeps_chunks = False

    def __init__(
        self,
        n_jobs: int = -1,
        *,
        address: str | None = None,
        client: Any = None,
        timeout: float | None = None,
        retries: int = TASK_RETRIES,
        reason: str = "asked for",
    ):
        import_whole("distributed")
        if address is not None and not isinstance(address, str):
            raise type_error("address", "the address of a scheduler, as text", address)
        if address is not None:
            check_address(address)
        if client is not None and not callable(getattr(client, "get_executor", None)):
            raise type_error("client", "a Client of dask.distributed", client)
        self._given = client if client is not None or address is not None else active_client()
        super().__init__(n_jobs, timeout=timeout, retries=retries, reason=reason)
        self._address = address
        self.is_local = self._given is None and address is None
        self._stack = ExitStack()
        self._shared: dict[int, tuple[Any, Any]] = {}
        self.client: Any = None
        self._counted = 0.0
        self._run, self._number, self._sent = "", 0, 0
        self._where = address or ""
        self._is_asked_for = reason == "asked for"
        if self._given is not None:
            self._where = address_of(self._given)
            self._count(self._given)
            if self._is_asked_for:
                self.reason = f"Client at {self._where}"

    def deaths_of(self, error: BaseException) -> int:
        """Return how many workers died on a task, as the scheduler counted."""
        killed = type(error).__name__ == "KilledWorker"
        return int(error.allowed_failures) + 1 if killed else 0  # type: ignore[attr-defined]

    def loss_of(self, error: BaseException) -> BackendError | None:
        """Return the error if the cluster or the Client is gone, or has lost the tasks."""
        if isinstance(error, CancelledError) or _is_of_dask(error):
            return None if self.deaths_of(error) else cluster_lost(self._where, error)
        return None

    @property
    def worker_bytes(self) -> int | None:
        """Memory of the smallest worker per thread."""
        client = self.client if self._given is None else self._given
        if client is None:
            return None
        try:
            with self._reaching():
                about = uninterrupted(lambda: client.scheduler_info(n_workers=-1))
                if "workers" not in about:  # the Client is closing
                    raise CancelledError
        except BackendError:
            if self._is_asked_for or active_client() is client:
                raise
            return None  # a Client of another thread, which has closed it since
        known = about["workers"].values()
        limits = [
            int(worker["memory_limit"]) // max(1, int(worker.get("nthreads", 1)))
            for worker in known
            if worker.get("memory_limit")
        ]
        return min(limits, default=None)

    @property
    def scheduler(self) -> Any:
        """The Client's ``get``, usable in any thread."""
        return Scheduler(self._get)

    def _get(self, dsk: Any, keys: Any, **options: Any) -> Any:
        try:
            return self.client.get(dsk, keys, **options)
        except Exception as error:
            is_closed = getattr(self.client, "status", "running") != "running"
            lost = cluster_lost(self._where, error) if is_closed else self.loss_of(error)
            if lost is None:
                raise
            raise lost from error

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turn errors of a cluster that does not answer into a `BackendError`."""
        client = self.client if self._given is None else self._given
        if is_ended(client) or getattr(client, "scheduler", self) is None:  # it would never answer
            raise cluster_lost(self._where, RuntimeError("the Client is closed"))
        try:
            yield
        except MontezarrError:
            raise
        except (OSError, CancelledError, RuntimeError, TimeoutError) as error:
            raise cluster_lost(self._where, error) from error
        except Exception as error:
            lost = self.loss_of(error)
            if lost is None:
                raise
            raise lost from error

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Keep the backend running; inside a task of a Dask worker, free its thread meanwhile."""
        with super().running(), _thread_given_back():
            yield self

    def make_executor(self) -> Executor:
        """Return the executor of the Client; start a cluster if there is none."""
        from distributed import Client

        if self._given is not None:
            self.client = self._given
        elif self._address is not None:
            with self._reaching():
                self.client = self._begun(lambda: Client(self._address, set_as_default=False))
        else:
            try:
                self.client = self._begun(
                    lambda: start_cluster(self._stack, Client, self.workers, self.retries)
                )
            except (OSError, RuntimeError, TimeoutError) as error:
                raise no_start(self.name, error) from error
            self._where = address_of(self.client)
        try:
            with self._reaching():
                uninterrupted(self._greet)
                executor: Executor = self.client.get_executor()
        except BaseException:  # also a warning of versions that a filter turned into an error
            uninterrupted(self._stack.close)
            raise
        return executor

    def _greet(self) -> None:
        """Query a new Client; run uninterrupted, since Dask prints errors of cancelled queries."""
        self._count(self.client)
        self._run = uuid.uuid4().hex[:8]
        check_versions(self.client)
        run_begins()
        for greet in on_client:
            greet(self.client)

    def _begun(self, make: Callable[[], Any]) -> Any:
        """Return a new Client that `stop` closes; on an error, close what was started."""
        try:
            return uninterrupted(lambda: self._stack.enter_context(make()), self._stack.close)
        except BaseException:
            uninterrupted(self._stack.close)
            raise

    def __enter__(self) -> Dask:
        super().__enter__()
        # A notebook shows standard error in a red box.
        out = sys.stdout if kernel() is not None else sys.stderr
        if find_spec("bokeh") is None:
            print_notice('Dask dashboard: needs pip install "montezarr[dashboard]"', out)
        else:
            with suppress(Exception):  # a Client that is closing has no dashboard
                link = dashboard_link(self.client)
                runs = f"{link.removesuffix('status')}montezarr"
                print_notice(f"Dask dashboard: {link}, runs: {runs}", out)
        return self

    def submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        """Start ``function(item)``; make the function a task, whose result each worker gets once.

        The function is not scattered: scattered data are lost with the workers that hold them.
        """
        submit: Any = self.executor.submit  # takes the options of Client.submit
        with self._reaching():
            shared, name = self._shared_task(function)
            future: Future[Any] = submit(_apply, shared, item, key=self._free_key(name))
        return future

    def submit_all(self, function: Callable[[Any], Any], items: list[Any]) -> list[Future[Any]]:
        """Start ``function(item)`` for several items in one message."""
        wrap = wrap_of(self.executor)
        if wrap is None or len(items) < 2:
            return super().submit_all(function, items)
        with self._reaching():
            shared, name = self._shared_task(function)
            keys = [self._free_key(name) for _ in items]
            self._trim(len(items))
            started = self.client.map(_apply, [shared] * len(items), items, key=keys, pure=False)
        return [wrap(future) for future in started]

    @property
    def is_lost(self) -> bool:
        """Whether the Client or its cluster is closed, so that some futures may never be done."""
        return is_ended(self.client) or is_ended(getattr(self.client, "cluster", None))

    def _shared_task(self, function: Callable[[Any], Any]) -> tuple[Any, str]:
        """Return the future of the task that yields the function, and the function's name."""
        if time.monotonic() - self._counted > CLUSTER_RECOUNT_SECONDS:  # workers come and go
            self._count(self.client)
        name = getattr(function, "__name__", type(function).__name__)
        known = self._shared.get(id(function))
        if known is None:
            with process_wide():
                warnings.filterwarnings("ignore", "Sending large graph")
                key = f"recipe-{name}-{uuid.uuid4().hex[:8]}"
                shared = self.client.submit(_same, function, key=key, pure=False)
            self._shared[id(function)] = known = (function, shared)
        return known[1], name

    def _trim(self, count: int) -> None:
        """Trim the scheduler's records of messages, which it never trims itself.

        A message adds two hundred bytes that nothing reads, and a long run sends millions.
        """
        self._sent += count
        if self._sent >= DASK_NOTES_TRIM_TASKS:
            self._sent = 0
            with suppress(Exception):  # another version of Dask: leave the records
                uninterrupted(lambda: self.client.run_on_scheduler(_forget_notes))

    def _free_key(self, name: str) -> str:
        """Return a key that no current task has; a few thousand keys are used in turn.

        Dask remembers up to 100,000 keys that it has seen, at half a kilobyte each. A key without a
        future at the Client is free: its release reaches the scheduler before the next submission.
        """
        while True:
            self._number = (self._number + 1) % (DASK_TASK_KEYS + 2 * len(self.client.futures))
            key = f"{name}-{self._run}-{self._number}"
            if key not in self.client.futures:
                return key

    def stop(self) -> None:
        """Release the Client, and end the cluster if it is ours."""
        uninterrupted(self._let_go)

    def _let_go(self) -> None:
        self._shared.clear()
        executor, self._executor = self._executor, None
        try:
            if executor is not None:
                executor.shutdown(wait=False)
        except Exception as error:  # a lost Client has no tasks to cancel
            if not self.is_lost and self.loss_of(error) is None:
                raise
        finally:
            with self._stack:
                self.client = None

    def kill(self) -> None:
        """Release the Client; its workers cannot be ended in the middle of a task."""
        self.stop()

    def _count(self, client: Any) -> None:
        """Read the number of workers from a Client."""
        with self._reaching():
            self.workers = max(1, sum(uninterrupted(client.nthreads).values()))
        self._counted = time.monotonic()


def on_active_client(make: Callable[[Any], _T]) -> _T | None:
    """Call `make` with the active Client; None if there is none.

    The Client may belong to another thread, which closes it meanwhile: then it counts as none.
    """
    client = active_client()
    while client is not None:
        try:
            return make(client)
        except BackendError:
            before, client = client, active_client()
            if client is before:
                raise
    return None


def address_of(client: Any) -> str:
    """Return the address of the scheduler of a Client; empty if it is closed."""
    return str(getattr(client.scheduler, "address", ""))


def _is_of_dask(error: BaseException) -> bool:
    """Return whether an error is of Dask's own, such as of a closed connection."""
    if type(error) is OSError and error.errno is None:
        return str(error).startswith("Timed out")
    return type(error).__module__.partition(".")[0] in ("distributed", "tornado")


@contextmanager
def _thread_given_back() -> Iterator[None]:
    """Free the thread of the Dask task that this runs in, mostly for the tasks that it submits.

    Otherwise a task that waits for others on a worker with one thread waits for ever.
    """
    distributed: Any = sys.modules.get("distributed")
    has_left = False
    if distributed is not None:
        with suppress(ValueError, KeyError, AttributeError):  # no task, or already without a thread
            distributed.get_worker()
            distributed.secede()
            has_left = True
    try:
        yield
    finally:
        if has_left:
            distributed.rejoin()


def check_address(address: str) -> None:
    """Raise unless an address names a scheme that Dask knows, a host and a port.

    Raises
    ------
    ArgumentValueError
        With what is wrong with the address.
    """
    expected = "the address of a scheduler, such as 'tcp://10.0.0.1:8786'"
    if "@" in address:  # Dask would take it for a host name, and log it
        hint = "Dask knows no users and passwords: pass a Client with Security of TLS."
        raise value_error("backend", expected, address, hint)
    try:
        check_host_and_port(address)
    except ValueError as error:
        raise value_error("backend", expected, address, f"{error}.") from cause_of(error)


def dashboard_link(client: Any) -> str:
    """Return the reachable address of the dashboard.

    For a cluster in this process Dask gives the external address, on which it may not listen.
    """
    link = redacted(str(client.dashboard_link))
    scheduler = getattr(client.cluster, "scheduler", None)
    server = getattr(scheduler, "http_server", None)
    host = urlsplit(link).hostname or ""
    # A configured link goes through a proxy and keeps its host.
    is_own = host == getattr(scheduler, "ip", None)
    if is_own and getattr(server, "address", None) in ("127.0.0.1", "0.0.0.0", "::"):
        link = link.replace(f"//{host}", "//127.0.0.1", 1)
    return link


def check_versions(client: Any) -> None:
    """Warn of workers on which a package that the numbers depend on differs or is missing."""
    versions = client.get_versions(packages=["montezarr"])
    here = versions["client"]["packages"]
    for address, worker in versions["workers"].items():
        there = worker["packages"]
        differing = [name for name in PACKAGES if there.get(name) != here.get(name)]
        if differing:
            listed = ", ".join(
                f"{name} {there.get(name) or 'missing'} there, {here.get(name)} here"
                for name in differing
            )
            warn(
                f"the worker at {address} has other versions: {listed}. Numbers may differ, or"
                " tasks fail: install the same versions on all machines.",
                MontezarrWarning,
                stacklevel=2,
            )


def _same(function: Any) -> Any:
    return function


def _apply(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)


def _forget_notes(dask_scheduler: Any) -> None:
    """Clear the kinds of collections that tasks came from; every message adds to them."""
    for span in dask_scheduler.extensions["spans"].spans.values():
        if span.name == ("default",) and span.metadata is not None:
            del span.metadata["collections"][:-100]
