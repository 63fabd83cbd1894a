"""The private names of other packages that montezarr uses, and what is lost without each."""

from __future__ import annotations

from typing import NamedTuple


class Private(NamedTuple):
    """A name that its package may change without notice.

    Attributes
    ----------
    package : str
        The package that defines it; ``"python"`` for the standard library.
    name : str
        Dotted name of a module, a class or an attribute.
    without : str
        What is missing or works differently where a version lacks the name.
    """

    package: str
    name: str
    without: str


TRIED = {
    "python": ("3.11", "3.13"),
    "dask": ("2026.1.1", "2026.8.0"),
    "distributed": ("2026.1.1", "2026.8.0"),
    "fsspec": ("2026.9.0",),
    "ipykernel": ("7.4.0",),
    "joblib": ("1.6.0",),
    "llvmlite": ("0.50.0",),
    "numba": ("0.68.1",),
    "numpy": ("2.4.6", "2.5.5"),
    "ray": ("2.60.0",),
    "scipy": ("1.17.1", "1.18.1"),
    "zarr": ("3.1.6", "3.4.2"),
}
"""Versions of each package with which the names were tested; of Python, major and minor."""

_TASKS = (
    "expressions are reduced chunk by chunk, sums of runs on common noise bring no warning, and"
    " the paths of a selection have no indices"
)
_ADDED = (
    "added fields of public classes count in digests of users' dataclasses that are derived from"
    " these, "
)
_POOL = "a pool that lost a child is ended by its own `terminate`, within some seconds"
_CACHED = "the cache of a compiled loop asks for the file of the loop alone"
_FROZEN = "frozen distributions of SciPy are refused as those of parameters"
_PAGE = "the dashboard of Dask has no page of the runs"

TABLE = (
    Private("dask", "dask._task_spec.Alias", _TASKS),
    Private("dask", "dask._task_spec.DataNode", _TASKS),
    Private("dask", "dask._task_spec.GraphNode", _TASKS),
    Private("dask", "dask._task_spec.NestedContainer", _TASKS),
    Private("dask", "dask._task_spec.Task", _TASKS),
    Private("dask", "dask._task_spec.TaskRef", _TASKS),
    Private("dask", "dask._task_spec.convert_legacy_graph", _TASKS),
    Private("dask", "dask.blockwise.Blockwise", "lazy paths are reduced chunk by chunk"),
    Private("dask", "dask.layers.ArrayChunkShapeDep", "zeros_like and so on: chunk by chunk"),
    Private("dask", "dask.array.Array._meta", "masked initial states are found per block"),
    Private("dask", "dask._expr.Expr._parameters", "no warning of results beyond memory"),
    Private("dask", "dask.base.get_scheduler", "schedulers of Dask are recognised by name only"),
    Private("dask", "dask.base.named_schedulers", "a default Client overrides backend blocks"),
    Private("dask", "dask.system.cpu_count", "workers are counted without the group's quota"),
    Private(
        "distributed",
        "distributed.cfexecutor.ClientExecutor._wrap_future",
        "tasks are sent one by one, not several in a message",
    ),
    Private(
        "distributed",
        "distributed.comm.addressing.get_address_host_port",
        "an address of a scheduler is checked by its form, not by the protocols that Dask has",
    ),
    Private("distributed", "distributed.dashboard.core.BokehApplication", _PAGE),
    Private("distributed", "distributed.dashboard.scheduler.template_variables", _PAGE),
    Private(
        "distributed",
        "distributed.dashboard.components.scheduler.BOKEH_THEME",
        "the page of the runs has no frame",
    ),
    Private(
        "distributed",
        "distributed.dashboard.components.scheduler.env",
        "the page of the runs has no frame",
    ),
    Private(
        "distributed",
        "distributed.diagnostics.task_stream.colors",
        "the task stream has the colours of Dask",
    ),
    Private("fsspec", "fsspec.asyn.AsyncFileSystem._find", "sizes of objects: one by one"),
    Private("fsspec", "fsspec.asyn.AsyncFileSystem._info", "versions are compared by content"),
    Private(
        "fsspec",
        "fsspec.asyn.AsyncFileSystem._pipe_file",
        "objects are read back after they are written, instead of conditional writes",
    ),
    Private(
        "fsspec",
        "fsspec.implementations.dirfs.DirFileSystem._join",
        "local files below such a file system are opened as fsspec does, which waits for a pipe",
    ),
    Private(
        "ipykernel",
        "ipykernel.ipkernel.IPythonKernel._supports_kernel_subshells",
        "a live run in a notebook has no button that stops it",
    ),
    Private(
        "ipykernel",
        "ipykernel.comm.comm.BaseComm._reply_subshell_id",
        "nothing: only ipykernel 7.4 has it",
    ),
    Private("joblib", "joblib.externals.loky", "the package loky is taken, where it is installed"),
    Private("joblib", "joblib.pool.PicklingPool", "multiprocessing.Pool is taken"),
    Private(
        "llvmlite",
        "llvmlite.ir.Function.attributes",
        "draws are compiled for vectors of 256 bits: a quarter slower, with the same bits",
    ),
    Private(
        "llvmlite",
        "llvmlite.ir.MDValue.operands",
        "loops of the draws compute one vector at a time: a fifth slower on AVX2,"
        " with the same bits",
    ),
    Private("numba", "numba.core.caching.Cache._cache_file", _CACHED),
    Private("numba", "numba.core.caching.Cache.load_overload", _CACHED),
    Private("numba", "numba.core.caching.IndexDataCacheFile._source_stamp", _CACHED),
    Private("numba", "numba.core.dispatcher.Dispatcher._cache", _CACHED),
    Private(
        "numba",
        "numba.core.dispatcher.Dispatcher.targetoptions",
        "compiled functions are called path by path, those of a Diffusion for all paths at each"
        " step, and assumed to keep the GIL, so `plan` advises processes",
    ),
    Private(
        "numpy",
        "numpy.random.PCG64.ctypes",
        "compiled functions are called path by path from Python",
    ),
    Private("scipy", "scipy.stats.distributions.rv_frozen.args", _FROZEN),
    Private("scipy", "scipy.stats.distributions.rv_frozen.dist", _FROZEN),
    Private("scipy", "scipy.stats.distributions.rv_frozen.kwds", _FROZEN),
    Private("python", "dataclasses.__dataclass_fields__", _ADDED + "with an InitVar"),
    Private("python", "dataclasses.__dataclass_params__", _ADDED + "of any kind"),
    Private("python", "concurrent.futures.ThreadPoolExecutor._max_workers", "all cores are taken"),
    Private(
        "python",
        "concurrent.futures.ProcessPoolExecutor._safe_to_dynamically_spawn_children",
        "the standard library decides when workers are started",
    ),
    Private(
        "python",
        "multiprocessing.spawn.get_preparation_data",
        "workers import the script, which then needs if __name__ == '__main__'",
    ),
    Private(
        "python",
        "multiprocessing.resource_tracker.ensure_running",
        "Ctrl-C while the first worker starts may make it print a traceback",
    ),
    Private("python", "multiprocessing.pool.TERMINATE", _POOL),
    Private("python", "multiprocessing.pool.Pool._change_notifier", _POOL),
    Private("python", "multiprocessing.pool.Pool._inqueue", _POOL),
    Private("python", "multiprocessing.pool.Pool._outqueue", _POOL),
    Private("python", "multiprocessing.pool.Pool._result_handler", _POOL),
    Private("python", "multiprocessing.pool.Pool._state", _POOL),
    Private("python", "multiprocessing.pool.Pool._task_handler", _POOL),
    Private("python", "multiprocessing.pool.Pool._taskqueue", _POOL),
    Private("python", "multiprocessing.pool.Pool._terminate", _POOL),
    Private("python", "multiprocessing.pool.Pool._worker_handler", _POOL),
    Private("python", "multiprocessing.queues.SimpleQueue._reader", _POOL),
    Private("python", "multiprocessing.queues.SimpleQueue._rlock", _POOL),
    Private("python", "multiprocessing.queues.SimpleQueue._wlock", _POOL),
    Private("python", "multiprocessing.queues.SimpleQueue._writer", _POOL),
    Private(
        "python",
        "threading._register_atexit",
        "the exit of Python waits for the tasks of backends that are still open",
    ),
    Private("zarr", "zarr.core.sync.sync", "stores are called in an event loop of our own"),
    Private("zarr", "zarr.abc.store.Store._ensure_open", "a store must open itself when called"),
    Private("zarr", "zarr.storage.WrapperStore._store", "the store in a wrapper is unknown"),
    Private(
        "zarr",
        "zarr.storage.WrapperStore._with_store",
        "a read-only copy of an opened store shows the root metadata as stored",
    ),
    Private(
        "zarr",
        "zarr.codecs.ZstdCodec._decode_sync",
        "nothing: chunks are checked in `_decode_single`",
    ),
    Private(
        "zarr",
        "zarr.codecs.ZstdCodec._decode_single",
        "nothing: chunks are checked in `decode`, which is public",
    ),
    Private(
        "ray",
        "ray._private.auto_init_hook.enable_auto_connect",
        "Ray starts a session, which listens on the network, after ours was shut down",
    ),
)
"""One row per name. `tests/test_private_names.py` runs the package without each of them."""
