"""`simulate`: the run as an xarray Dataset."""

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
    """Return `simulate` with a typed error where n_paths is not there, such as for a slip of it."""

    @wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if len(args) < 2 and "n_paths" not in kwargs:
            unknown = next((key for key in kwargs if key not in ARGUMENTS), None)
            if unknown is not None:
                raise unknown_argument(unknown, kwargs[unknown])
            raise ArgumentTypeError(
                "n_paths: expected a number of paths, or None, got none at all."
            )
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
        The first of these that it offers is used: ``sample(draws, grid, x0)`` as the built-in
        processes; ``sample_paths(n, T, x0, rng)``; ``sample_path(T, x0, rng)`` or with ``seed``;
        being a function that asks by name for ``rng`` or ``seed``, and if it likes for ``n`` (then
        it draws a block of 1024 paths at a time), ``T``, ``dt``, ``times``, ``x0`` and its options.
        An object of yours is copied as it is now. Code of yours is tried at the call, twice on the
        first path (or block): where the two differ, or the global random state moves, it is
        refused, since no seed reaches it. So is a ``sample`` whose paths come out otherwise alone
        than among others.
    n_paths : int or None
        Number of paths, from 1 to 2**63 - 1. None for `montezarr.stream` and `batches`, which draw
        until something stops them: its Dataset shows a very large number and cannot be computed.
    T : int, optional
        Number of steps, up to 2**32: the horizon is T dt, and a path has T+1 states. None with
        `times`, or for a function without a parameter ``T``, which fixes the length itself.
    x0 : scalar, label, mapping by variable, or array (n_paths,), optional
        Initial state, of all paths or of each one; a Dask array stays lazy. Of several variables
        it is a mapping of these, a table of them, or an array (variables, n_paths). A function
        gets of a mapping with arrays its own entry of each, as a mapping. Entries go to the paths
        in order; masked ones are refused. The default is the process's own.
    dt : float, optional
        Step length, > 0; 1 by default.
    times : array (T+1,), optional
        An increasing grid in place of T and dt.
    seed : int, sequence of int, SeedSequence, mapping or None
        Root entropy; None draws 128 fresh bits. The recipe records it, and ``seed=`` takes what
        it records, ``ds.mz.recipe["seed"]``, so that the run can be repeated. One seed is one
        noise for every process: two runs on it are not independent, path by path. That is wanted
        where they are compared (common random numbers), and wrong where they are added.
    stream : str, optional
        A name: runs on one seed with other names, or none, are independent. It is in the recipe,
        with the seed.
    dtype : str, dtype or mapping by variable, optional
        float64 or float32 for real states, an integer type for counts and labels; the process's
        own by default, for code of yours that of the arrays in its first path. One plain Python
        number per path is float64, since it may be whole by chance. Paths of different dtypes have
        different draws. A mapping is for code that returns several variables.
    chunks : int, optional
        Paths per chunk, rounded up to whole blocks of 1024. A store keeps to it also where there
        are fewer paths: its chunk is filled up, so that it can grow.
    keep : int or sequence of int, optional
        Times to keep: every `keep`-th and the first, or these positions of the grid, increasing;
        negative ones count from the end. What is dropped is simulated and never stored.
    labels : sequence, optional
        All labels of a sampler that returns labels, where it offers no ``state_space.states``; or
        of one that returns integers, to have them stored as codes.
    dims : mapping of str to sequence of str, optional
        By variable, the dimensions of what code of yours returns for a path, such as
        ``{"x": ("time", "asset")}``. An axis as long as there are times is the time, and further
        ones are called ``x_dim_0`` and so on, unless this says otherwise.
    coords : mapping of str to sequence, optional
        By dimension, numbers or text along it, such as ``{"asset": ["A", "B"]}``.
    on_error : {"raise", "mask", "retry"}
        What to do about a path on which the sampler fails. "mask" sets it to NaN, or in an integer
        variable to the number in its attribute ``masked_value``; averages over the rest are then
        biased if failing depends on the path. "retry" draws it again from the same stream, for
        what may pass, such as a server that does not answer. The first path must not fail.
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
        One variable (path, time) per component (``x`` where there is one), or with the dimensions
        that code of yours gives it, the coordinate ``time`` (T+1,), and the recipe as JSON in
        ``attrs["montezarr"]``. What is not in it and not as by default, such as `on_error`, is in
        ``attrs["montezarr_run"]``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments out of these terms.
    MemoryBudgetError
        If one chunk cannot fit into memory. Computing more of the paths at once than fits is not
        refused here or later; inside of a `backend` block it warns. See `plan`.
    SamplerError
        If the sampler fails on its first path, or draws from elsewhere than its stream.

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=10**8, T=252, x0=100.0, dt=1 / 252, seed=42)
    >>> ds.sizes["path"], ds.sizes["time"]
    (100000000, 253)
    """
    policies = Policies(
        on_error=on_error,  # type: ignore[arg-type]
        on_nonfinite=on_nonfinite,  # type: ignore[arg-type]
        retries=retries,
    )
    run = Run.of(
        process, n_paths, T, x0, dt=dt, times=times, seed=seed, dtype=dtype, chunks=chunks,
        keep=keep, labels=labels, dims=dims, coords=coords, policies=policies,
        legacy_global_rng=legacy_global_rng, stream=stream, options=options,
    )  # fmt: skip
    return to_dataset(run)
