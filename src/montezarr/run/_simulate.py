"""`simulate`: make a run and return it as an xarray Dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import xarray as xr

from montezarr.core.errors import ArgumentTypeError
from montezarr.core.tunables.scheduling import PATH_RETRIES
from montezarr.run._dataset import to_dataset
from montezarr.run._policies import Policies
from montezarr.run._run import Run
from montezarr.samplers.arguments import ARGUMENTS, unknown_argument

_P = ParamSpec("_P")

_R = TypeVar("_R")


def _asks_for_paths(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wrap `simulate` to raise a typed error without n_paths, as after a misspelling."""

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if len(args) < 2 and "n_paths" not in kwargs:
            unknown = next((key for key in kwargs if key not in ARGUMENTS), None)
            if unknown is not None:
                raise unknown_argument(unknown, kwargs[unknown])
            raise ArgumentTypeError("n_paths: expected a number of paths, or None, got no value.")
        return function(*args, **kwargs)

    return checked


@_asks_for_paths
def simulate(
    process: Any,
    n_paths: int | None,
    T: int | None = None,
    x0: Any = None,
    *,
    dt: float | None = None,
    times: Any = None,
    seed: Any = None,
    stream: str | None = None,
    dtype: Any = None,
    chunks: int | None = None,
    keep: Any = None,
    labels: Sequence[str | int] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Any] | None = None,
    vary: Mapping[Any, Any] | None = None,
    noise: str = "common",
    max_events: int | Mapping[str, int | None] | None = None,
    on_overflow: str = "raise",
    until: Any = None,
    after_stop: str = "hold",
    on_error: str = "raise",
    on_nonfinite: str = "raise",
    retries: int = PATH_RETRIES,
    legacy_global_rng: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Return the paths of a process as a lazy Dataset; nothing is drawn until it is computed.

    Path i is a function of the process, the grid, its x0, the seed, the stream, the dtype and i:
    not of n_paths, chunks, scheduler or order.

    Parameters
    ----------
    process : object
        The first of these interfaces that it has is used: ``sample(draws, grid, x0)``, as the
        built-in processes; ``sample_paths(n, T, x0, rng)``; ``sample_path(T, x0, rng)`` or with
        ``seed``; a function with a parameter ``rng`` or ``seed``, and optionally ``n`` (then it
        draws a block of 1024 paths at a time), ``T``, ``dt``, ``times``, ``x0`` and its options.
        Your object is copied at the call. Your code is tried at the call, twice on the first path
        (or block): if the two differ, or the global random state changes, it is refused, since the
        seed does not determine it. So is a ``sample`` that draws other numbers for a path alone
        than for the same path among others.
    n_paths : int or None
        Number of paths, from 1 to 2**63 - 1. None for `montezarr.stream` and `batches`, which draw
        until something stops them: the Dataset shows a very large number and cannot be computed.
    T : int, optional
        Number of steps, up to 2**32: the horizon is T dt, and a path has T+1 states. None with
        `times`, or for a function without a parameter ``T``, which fixes the length itself.
    x0 : scalar, label, mapping by variable, or array (n_paths,), optional
        Initial state, of all paths or of each one; a Dask array stays lazy. For several variables
        it is a mapping of these, a table of them, or an array (variables, n_paths). From a mapping
        with arrays, a function gets a mapping with the path's own entries. Entries go to the paths
        in order; masked ones are refused. The default is the process's own.
    dt : float, optional
        Step length, > 0; 1 by default.
    times : array (T+1,), optional
        An increasing grid, in place of T and dt.
    seed : int, sequence of int, SeedSequence, mapping or None
        Root entropy; None draws 128 fresh bits. The recipe records it, and ``seed=`` accepts the
        recorded value, ``ds.mz.recipe["seed"]``, so that the run can be repeated. One seed gives
        every process the same noise: two runs on it are not independent, path by path. That is
        right for comparing them (common random numbers), and wrong for adding them.
    stream : str, optional
        A name: runs on one seed with different names, or none, are independent. The recipe records
        it with the seed.
    dtype : str, dtype or mapping by variable, optional
        float64 or float32 for real states, an integer type for counts and labels; by default the
        process's own, and for your code that of the arrays in its first path. One plain Python
        number per path is float64, since it may be whole by chance. Paths of different dtypes have
        different draws. A mapping is for code that returns several variables.
    chunks : int, optional
        Paths per chunk, rounded up to whole blocks of 1024. A store of fewer paths uses it too: its
        chunk is padded, so that the store can grow.
    keep : int or sequence of int, optional
        Times to keep: every `keep`-th and the first, or these positions of the grid, increasing;
        negative ones count from the end. Dropped times are simulated but never stored.
    labels : sequence, optional
        All labels of a sampler that returns labels, if it has no ``state_space.states``; or of one
        that returns integers, to store them as codes.
    dims : mapping of str to sequence of str, optional
        By variable, the dimensions of what your code returns for a path, such as
        ``{"x": ("time", "asset")}``. By default an axis with the length of the times is the time,
        and further ones are called ``x_dim_0`` and so on.
    coords : mapping of str to sequence, optional
        By dimension, its coordinates as numbers or text, such as ``{"asset": ["A", "B"]}``.
    vary : mapping of str to values, or design, optional
        Parameters that vary: those of a built-in process (or of the functions of a `Diffusion`),
        arguments of your function or method, ``x0`` and ``dt``. A DataArray without the dimension
        ``path`` makes scenarios: its dimensions come first in the result, and several arrays are
        combined as xarray broadcasts them, so that arrays on two dimensions are a grid, and arrays
        on one are a list. An array of n_paths values, or a DataArray with ``path``, has one value
        per path; those of a Dask array are checked when their paths are drawn, where NaN, or a
        value out of range, is an error under every policy. A distribution (`Normal` and others)
        draws one for each path; the key of a joint one is a tuple of names. A design (`saltelli`,
        `nested`) in place of the mapping says which draws a path gets. Parameters that differ from
        path to path become variables. With ``dt``, ``time`` counts the steps and the coordinate
        ``t`` has the times. Values are finite and in the range of the parameter, and so is all that
        a distribution can draw; text goes to functions, by scenario. A number is a scenario without
        a dimension. For several variables ``x0`` is a mapping of these to such values by scenario;
        for those by path there is `x0` itself. A table of scenarios is made by `scenarios`.
    noise : {"common", "independent"}
        Whether all scenarios have the same random numbers. A scenario on common noise is bit for
        bit the separate run with its parameters; on independent noise, that run with ``stream=``
        the canonical JSON of them, such as ``'{"sigma": 0.2}'``: equal values have equal noise.
    max_events : int or mapping of str to int or None, optional
        Room for the events of a path, where these differ in number from path to path: along the
        dimension ``event``, or by dimension, such as ``{"arrival": 500, "departure": 500}``. Events
        are the first dimension of a variable that `dims` gives it, such as
        ``dims={"size": ("arrival",)}``; all arrays without one, if there is no grid and
        one dimension is named here; and the ``times`` and ``states`` of an object whose
        paths differ in length. They are padded with NaN, or the number in ``masked_value``; their
        number is a variable, ``n_events(path)`` or ``n_arrivals(path)``. By default, or for None,
        the room is measured on 64 paths: twice the longest, or ten standard deviations more.
    on_overflow : {"raise", "truncate"}
        What to do about a path with more events. "raise" makes it fail: its room then changes no
        path, and is not in the recipe. "truncate" leaves later events out, and the variable
        ``truncated(path)`` is 1 for such a path; the room is in the recipe.
    until : StoppingRule or function, optional
        When a path stops: `Above`, `Below`, `Outside`, `Reaches`, several with ``|`` and ``&``, or
        a function of ``t`` (times, 1) and of variables by name, such as ``x`` (times, paths), that
        returns an array of bool (times, paths). A path stops at the first time of the grid at which
        the rule holds; until then it is, bit for bit, the path without the rule, and nothing is
        drawn once all paths of a few have stopped, if the process is a built-in one. The variables
        ``stop_time(path)`` (NaN for a path that has not stopped), ``stopped(path)`` (1 or 0), and
        ``stopped_x(path)``, the value of ``x`` at the stop, or else at the last time, tell the
        rest. Variables without times are those of the path without the rule.
    after_stop : {"hold", "nan"}
        Whether variables keep their value after the stop, or are NaN, which needs `until`.
    on_error : {"raise", "mask", "retry"}
        What to do about a path on which the sampler fails. "mask" sets it to NaN, or in an integer
        variable to the number in its attribute ``masked_value``; averages over the rest are then
        biased if failing depends on the path. "retry" draws it again from the same stream, for
        temporary failures, such as a server that does not answer. The first path must not fail.
    on_nonfinite : {"raise", "keep", "mask", "retry"}
        The same for paths with NaN or infinities; "keep" lets them pass.
    retries : int
        How often a path is drawn again under "retry", until its failure is raised.
    legacy_global_rng : bool
        Run a ``sample_path`` that draws from the global ``np.random`` state, seeded for each path
        and restored after.
    **options
        Further keyword arguments for the sampler.

    Returns
    -------
    Dataset
        One variable (path, time) per component (``x`` if there is only one), or with the dimensions
        that your code declares, the coordinate ``time`` (T+1,), and the recipe as JSON in
        ``attrs["montezarr"]``. Other arguments that differ from the default, such as `on_error`,
        are in ``attrs["montezarr_run"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If an argument is not of these types or ranges.
    MemoryBudgetError
        If one chunk cannot fit into memory. Computing more paths at once than fit is not refused,
        here or later; inside a `backend` block it warns. See `plan`.
    SamplerError
        If the sampler fails on its first path, or draws from another source than its stream.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=10**8, T=252, x0=100.0, dt=1 / 252, seed=42)
    >>> ds.sizes["path"], ds.sizes["time"]
    (100000000, 253)

    Three volatilities on the same random numbers, and a drift of its own for each path:

    >>> import xarray as xr
    >>> vary = {"sigma": xr.DataArray([0.1, 0.2, 0.3], dims="sigma"), "mu": mz.Normal(0.05, 0.01)}
    >>> ds = mz.simulate(gbm, 10**6, 252, 100.0, dt=1 / 252, seed=42, vary=vary)
    >>> ds.x.dims, ds.mu.dims
    (('sigma', 'path', 'time'), ('path',))
    """
    policies = Policies(
        on_error=on_error,  # type: ignore[arg-type]
        on_nonfinite=on_nonfinite,  # type: ignore[arg-type]
        retries=retries,
    )
    run = Run.of(
        process, n_paths, T, x0, dt=dt, times=times, seed=seed, dtype=dtype, chunks=chunks,
        keep=keep, labels=labels, dims=dims, coords=coords, vary=vary, noise=noise,
        max_events=max_events, on_overflow=on_overflow, until=until, after_stop=after_stop,
        policies=policies,
        legacy_global_rng=legacy_global_rng, stream=stream, options=options,
    )  # fmt: skip
    return to_dataset(run)
