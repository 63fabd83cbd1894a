"""Exceptions of montezarr. Each is also the built-in exception that callers expect."""

from __future__ import annotations

from typing import Any

from montezarr.core.secrets import redacted

__all__ = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "BackendError",
    "CommonNoiseWarning",
    "ConfigError",
    "HeavyTailWarning",
    "MaskedPathsWarning",
    "MemoryBudgetError",
    "MissingDependencyError",
    "MontezarrError",
    "MontezarrWarning",
    "ReplayError",
    "SamplerError",
    "StoreError",
    "StoreExistsError",
    "StoreLockedError",
    "StoreMismatchError",
    "StoreNotFoundError",
    "WorkerDied",
    "WorkerTimeout",
]


def _without_secrets(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(redacted(arg) if isinstance(arg, str) else arg for arg in args)


class MontezarrError(Exception):
    """Base of every exception that montezarr raises on purpose.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.RandomWalk(p=2.0)
    ... except mz.MontezarrError as error:
    ...     print(error)
    p: expected a finite number >= 0 and <= 1, got 2.0.
    """

    def __init__(self, *args: Any):
        super().__init__(*_without_secrets(args))


class MontezarrWarning(UserWarning):
    """Category of every warning that montezarr issues.

    Examples
    --------
    >>> import warnings
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=1000, T=1, seed=1)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", mz.MontezarrWarning)
    ...     found = mz.reduce(1 / ds.x.where(ds.x != 0), "mean")
    >>> print(str(caught[0].message).split(".")[0])
    x: 1,000 of 2,000 values are not finite, or masked
    """

    def __init__(self, *args: Any):
        super().__init__(*_without_secrets(args))


class ArgumentTypeError(MontezarrError, TypeError):
    """An argument has a type that is not accepted.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.simulate(mz.RandomWalk(), n_paths="many", T=10)
    ... except TypeError as error:
    ...     print(error)
    n_paths: expected an integer >= 1 and < 2**63, got 'many' of type str.
    """


class ArgumentValueError(MontezarrError, ValueError):
    """An argument has an accepted type and a value, shape or size that is not.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.OrnsteinUhlenbeck(theta=-1.0, mu=0.0, sigma=1.0)
    ... except ValueError as error:
    ...     print(error)
    theta: expected a finite number > 0, got -1.0.
    """


class MemoryBudgetError(ArgumentValueError):
    """A run or one chunk of it cannot fit; the message shows the projected bytes.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.simulate(mz.BrownianMotion(), n_paths=1024, T=2**32)
    ... except mz.MemoryBudgetError as error:
    ...     print(str(error)[:31])
    T: expected a path that fits in
    """


class BackendError(MontezarrError, RuntimeError, OSError):
    """A backend cannot continue: its cluster or Client is gone, or the system lacks resources.

    Committed paths of a store are kept: the same call resumes from them, on another backend too.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=5000, T=3, seed=1)
    >>> with mz.backend("threads", n_jobs=1):
    ...     pieces = mz.batches(ds, 500)
    ...     first = next(pieces)
    >>> try:
    ...     rest = list(pieces)
    ... except mz.BackendError as error:
    ...     print(str(error).partition(",")[0])
    backend: expected 'threads' to run until its tasks have ended
    """


class MissingDependencyError(MontezarrError, ImportError):
    """An optional package is absent; the message has the line that installs it.

    Examples
    --------
    >>> from montezarr.core.optional import import_optional
    >>> try:
    ...     import_optional("not_installed", extra="plot", purpose="A plot")
    ... except ImportError as error:
    ...     print(error)
    A plot needs the package not_installed: pip install "montezarr[plot]"
    """


class MaskedPathsWarning(MontezarrWarning):
    """Some paths failed and were masked.

    Attributes
    ----------
    paths : tuple of int
        Indices of the masked paths.

    Examples
    --------
    >>> import warnings
    >>> import montezarr as mz
    >>> def fragile(rng):
    ...     x = rng.standard_normal(20)
    ...     return x if x.max() < 3.5 else 1 / 0
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     result = mz.MonteCarloEngine(fragile).simulate(1000, seed=1, on_error="mask")
    >>> caught[0].message.paths
    (36, 353, 471, 746, 850, 927, 987)
    """

    def __init__(self, paths: tuple[int, ...], reason: str, n_paths: int):
        super().__init__(paths, reason, n_paths)
        self.paths, self.reason, self.n_paths = paths, reason, n_paths

    def __str__(self) -> str:
        listed = ", ".join(str(path) for path in self.paths[:20])
        more = f" and {len(self.paths) - 20:,} more" if len(self.paths) > 20 else ""
        return (
            f"{len(self.paths):,} of {self.n_paths:,} paths failed and are masked: paths"
            f" {listed}{more}. The first: {self.reason.rstrip('.')}. They are NaN, or in integer"
            " variables the number in their attribute masked_value, which a mean would count. If"
            " failing depends on the path, averages over the rest are biased towards the survivors."
        )


class CommonNoiseWarning(MontezarrWarning):
    """An expression adds variables of different runs that are driven by the same random numbers.

    Without ``simulate(stream=...)`` one seed gives the same noise to every process; see "Random
    numbers" in the documentation. Differences, contrasts, ratios and products do not warn.

    Examples
    --------
    >>> import warnings
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> one = mz.simulate(gbm, n_paths=5000, T=1, x0=100.0, seed=42)
    >>> two = mz.simulate(gbm, n_paths=5000, T=1, x0=50.0, seed=42)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     found = mz.reduce(one.x + two.x, "std")
    >>> [warning.category.__name__ for warning in caught]
    ['CommonNoiseWarning']
    >>> two = mz.simulate(gbm, n_paths=5000, T=1, x0=50.0, seed=42, stream="stock 2")
    >>> found = mz.reduce(one.x + two.x, "std")  # independent, and no warning
    """


class HeavyTailWarning(MontezarrWarning):
    """A few extreme values dominate estimates: these and their standard errors are unreliable.

    The standard error of a mean needs a finite variance, that of a variance finite fourth moments,
    that of a skewness finite sixth ones. An average over time, a drawdown and an expected shortfall
    are means of one number per path; an autocorrelation counts as a variance. The warning rests on
    the Pareto index of the largest values, and on the share of the largest one alone. With such
    tails, estimates of other samples may differ widely, and most samples give too small an
    estimate together with too small an error.

    Attributes
    ----------
    estimates : dict of str to (float, float)
        By name, for the cell where they are largest: the largest share of one term in the sum that
        gives the error, and the Pareto index k-hat of the averaged values. Above 0.5 their variance
        is infinite, from 1 on their mean. -inf where too few values are known.
    n_paths : int
        Number of paths.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import xarray as xr
    >>> import montezarr as mz
    >>> cauchy = np.random.default_rng(1).standard_cauchy(50_000)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     found = mz.reduce(xr.DataArray(cauchy, dims="path", name="x"), ["mean", "median"])
    >>> list(caught[0].message.estimates)
    ['x_mean']
    """

    def __init__(self, estimates: dict[str, tuple[float, float]], n_paths: int):
        super().__init__(estimates, n_paths)
        self.estimates, self.n_paths = dict(estimates), n_paths

    def __str__(self) -> str:
        listed = []
        for name, (share, index) in self.estimates.items():
            facts = [f"one term is {share:.0%} of the sum that its error comes from"]
            facts += [f"Pareto k-hat {index:.2g}"] if index > 0 else []
            listed.append(f"{name} ({', '.join(facts)})")
        return (
            f"{'; '.join(listed)}: not to be trusted, nor are standard errors and intervals. The"
            f" tails are so heavy that a few of {self.n_paths:,} paths dominate. Use quantiles,"
            " statistics of logarithms or of clipped values, or many more paths."
        )


class ConfigError(MontezarrError, ValueError):
    """A configuration file has an unknown key, a wrong type or a missing file.

    Examples
    --------
    >>> from pathlib import Path
    >>> import montezarr as mz
    >>> from montezarr.cli.job import load
    >>> length = Path("job.toml").write_text("[walk]")
    >>> try:
    ...     load("job.toml")
    ... except mz.ConfigError as error:
    ...     print(error)
    job.toml:1: [walk]: unknown section. Known: data, process, vary, run, output, risk.
    """


class ReplayError(MontezarrError, LookupError):
    """The sampler of a Dataset is not available, so a path of it cannot be drawn again.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(lambda rng: rng.standard_normal(3), n_paths=5, seed=1)
    >>> try:
    ...     mz.replay(ds, 3, process=lambda rng: rng.exponential(size=3))
    ... except mz.ReplayError as error:
    ...     print(error)
    process: not the sampler that this Dataset was simulated with.
    """


class StoreError(MontezarrError, OSError):
    """Base of the errors about a store on disk.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.open("nowhere.zarr")
    ... except mz.StoreError as error:
    ...     print(type(error).__name__, isinstance(error, OSError))
    StoreNotFoundError True
    """


class StoreExistsError(StoreError, FileExistsError):
    """The location to write to holds something that montezarr did not write.

    Examples
    --------
    >>> from pathlib import Path
    >>> import montezarr as mz
    >>> length = Path("notes.txt").write_text("not a store")
    >>> try:
    ...     mz.write(mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=1), "notes.txt")
    ... except FileExistsError as error:
    ...     print(str(error).rpartition(":")[0])
    path: expected a montezarr store or nothing, got a file
    """


class StoreLockedError(StoreError, BlockingIOError):
    """Another process is writing the store.

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=1)
    >>> try:
    ...     stored = mz.write(ds, "walks.zarr")
    ... except mz.StoreLockedError as error:
    ...     print(error)  # names who writes; here nobody does
    """


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no montezarr store, or no committed path, at the location to read from.

    Examples
    --------
    >>> import montezarr as mz
    >>> try:
    ...     mz.open("nowhere.zarr")
    ... except FileNotFoundError as error:
    ...     print(str(error).rpartition(" at ")[0])
    path: expected a montezarr store, got nothing
    """


class StoreMismatchError(StoreError, ValueError):
    """The store holds another recipe than the one to be written.

    Examples
    --------
    >>> import montezarr as mz
    >>> stored = mz.write(mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=1), "one.zarr")
    >>> try:
    ...     mz.write(mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=2), "one.zarr")
    ... except mz.StoreMismatchError as error:
    ...     print(str(error).splitlines()[1].strip())
    seed.entropy: '1' there, '2' here
    """


class SamplerError(MontezarrError, RuntimeError):
    """A sampler raised, or returned values that do not match its schema.

    Attributes
    ----------
    path : int or None
        Index of the first failing path; None if it could not be determined.
    context : dict
        ``seed_key``, ``T``, ``x0``, ``parameters`` and ``replay`` (the line to paste), as text.
    traceback : str
        The traceback of the original exception, from the process where it was raised.

    Examples
    --------
    >>> import montezarr as mz
    >>> def fragile(rng):
    ...     x = rng.standard_normal(20)
    ...     return x if x.max() < 3.5 else 1 / 0
    >>> try:
    ...     mz.MonteCarloEngine(fragile).simulate(1000, seed=1)
    ... except mz.SamplerError as error:
    ...     print(error.path, error.message)
    36 fragile: path 36: ZeroDivisionError: division by zero
    """

    def __init__(self, message: str, path: int | None, context: dict[str, str], traceback: str):
        super().__init__(message)
        self.message = redacted(message)
        self.path = path
        self.context = {name: redacted(text) for name, text in context.items()}
        self.traceback = redacted(traceback)

    def with_replay(self, line: str | None) -> SamplerError:
        """Return the error with another replay line, or without one."""
        context = {name: text for name, text in self.context.items() if name != "replay"}
        context |= {} if line is None else {"replay": line}
        return SamplerError(self.message, self.path, context, self.traceback)

    def __reduce__(self) -> tuple[Any, ...]:
        # The default of BaseException would call __init__ with the message alone.
        return type(self), (self.message, self.path, self.context, self.traceback)

    def __str__(self) -> str:
        lines = [self.message]
        lines += [f"  {name}: {text}" for name, text in self.context.items()]
        if self.traceback:
            lines += ["  original traceback:", *(f"    {s}" for s in self.traceback.splitlines())]
        return "\n".join(lines)


def _paths(start: int | None, stop: int | None) -> str:
    return "one task" if start is None or stop is None else f"paths {start} to {stop - 1}"


class WorkerDied(MontezarrError, RuntimeError):
    """A worker process died on a task, and again on each retry.

    Attributes
    ----------
    start, stop : int or None
        The range of paths of the task; None if unknown.
    deaths : int
        Number of workers that died on it.
    causes : tuple of str
        How the workers ended, as far as known.

    Examples
    --------
    >>> import montezarr as mz
    >>> error = mz.WorkerDied(3, ("killed by SIGKILL",), 1024, 2048)
    >>> print(str(error).split(",")[0])
    paths 1024 to 2047: the worker died 3 times (killed by SIGKILL)
    """

    def __init__(
        self,
        deaths: int,
        causes: tuple[str, ...] = (),
        start: int | None = None,
        stop: int | None = None,
    ):
        super().__init__(deaths, causes, start, stop)
        self.deaths, self.causes, self.start, self.stop = deaths, causes, start, stop

    def __str__(self) -> str:
        how = f" ({'; '.join(self.causes)})" if self.causes else ""
        return (
            f"{_paths(self.start, self.stop)}: the worker died {self.deaths} times{how}, and the"
            " task was given up. Draw these paths with backend='synchronous' under a debugger, or"
            " use less memory per chunk."
        )


class WorkerTimeout(MontezarrError, TimeoutError):
    """A task took longer than `timeout=`, and its worker was killed.

    Attributes
    ----------
    start, stop : int or None
        The range of paths of the task; None if unknown.
    timeout : float
        Seconds that a task may take.

    Examples
    --------
    >>> import montezarr as mz
    >>> error = mz.WorkerTimeout(30.0, 1024, 2048)
    >>> print(str(error).split(".")[0])
    paths 1024 to 2047: took longer than timeout = 30 s, and its worker was killed
    """

    def __init__(self, timeout: float, start: int | None = None, stop: int | None = None):
        super().__init__(timeout, start, stop)
        self.timeout, self.start, self.stop = timeout, start, stop

    def __str__(self) -> str:
        return (
            f"{_paths(self.start, self.stop)}: took longer than timeout = {self.timeout:g} s, and"
            " its worker was killed. Allow more time, take smaller batches, or look for an"
            " infinite loop."
        )
