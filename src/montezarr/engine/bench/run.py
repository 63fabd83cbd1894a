"""Measure every backend that is installed: start-up, overhead, memory, speed-up."""

from __future__ import annotations

import contextlib
import io
import json
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from montezarr.core.errors import ArgumentValueError, MissingDependencyError, MontezarrWarning
from montezarr.core.text import for_terminal
from montezarr.engine._engine import MonteCarloEngine
from montezarr.engine.bench.samplers import PythonLoop, Uneven, empty_task, nap, resident
from montezarr.execute import BACKENDS, Backend, backend, check_jobs
from montezarr.processes import GeometricBrownianMotion
from montezarr.run._simulate import simulate

BENCH_STEPS = 100
EMPTY_TASKS = 200
VECTOR_PATHS, PYTHON_PATHS, UNEVEN_PATHS = 400_000, 2_000, 4_000
NEARLY_BEST_SHARE = 0.85
PATH_SECONDS = 1e-3
"""Approximate seconds of a path of `PythonLoop` on one core; of `Uneven`, on average."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of one backend on this machine.

    Attributes
    ----------
    backend : str
        Its name.
    start_up : float
        Seconds until every worker has done a task.
    overhead : float
        Seconds per empty task, with all workers busy.
    memory : float or None
        MiB of resident memory per worker; None where the workers are threads of this process.
    vectorised, python_loop, uneven : float
        Speed-up against one process without workers, without start-up: a vectorised process, a
        ``sample_path`` of 1 ms, and one of which one path in a hundred costs a hundred times
        as much.
    """

    backend: str
    start_up: float
    overhead: float
    memory: float | None
    vectorised: float
    python_loop: float
    uneven: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Measurements of all backends, and advice.

    Attributes
    ----------
    machine : dict
        Architecture, workers, versions.
    path_ms : float
        Milliseconds of a path of the Python loop on one core.
    rows : list of Measured
        One per backend.
    skipped : dict
        Reason why a backend was not measured, by name.
    advice : list of str
        Which backend to use for which kind of sampler.
    """

    machine: dict[str, Any]
    path_ms: float
    rows: list[Measured]
    skipped: dict[str, str]
    advice: list[str]

    def to_json(self) -> str:
        """Return the comparison as JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        return for_terminal(self._text())

    def _text(self) -> str:
        what = self.machine
        lines = [
            f"{what['machine']}, {what['n_jobs']} workers, Python {what['python']},"
            f" NumPy {what['numpy']}; a path of the Python loop takes {self.path_ms:.2f} ms",
            "",
            f"{'':<24}{'start-up':>10}{'per task':>10}{'memory':>10}"
            f"{'vectorised':>13}{'Python loop':>13}{'uneven':>9}",
        ]
        for row in self.rows:
            memory = "-" if row.memory is None else f"{row.memory:.0f} MiB"
            lines.append(
                f"{row.backend:<24}{row.start_up:>8.2f} s{1e3 * row.overhead:>7.2f} ms"
                f"{memory:>10}{row.vectorised:>12.2f}x{row.python_loop:>12.2f}x{row.uneven:>8.2f}x"
            )
        lines += [f"{name:<24}{why}" for name, why in self.skipped.items()]
        return "\n".join([*lines, "", *self.advice])


def measure_backends(
    n_jobs: int = -1,
    names: Sequence[str] = (),
    on_backend: Callable[[str], None] = lambda name: None,
    *,
    allow_network: bool = False,
) -> Comparison:
    """Measure the backends.

    Parameters
    ----------
    n_jobs : int
        Number of workers; -1 is one for each core.
    names : sequence of str
        Which backends; all by default.
    on_backend : function (str)
        Called with the name of each backend before it is measured.
    allow_network : bool
        Whether to measure backends that listen on the network too; see `montezarr.backend`.
    """
    workers = check_jobs(n_jobs)
    work = calibrated(PATH_SECONDS)
    loop, uneven = PythonLoop(work), Uneven(max(1, work // 2))
    alone, seconds = {}, {}
    with backend("synchronous") as place:
        for title, task in _workloads(loop, uneven):
            alone[title] = _seconds(place, *task)
    rows, skipped = [], {}
    for name in names or BACKENDS:
        on_backend(name)
        options = {"allow_network": True} if allow_network and name == "ray" else {}
        try:
            place = backend(name, workers, **options)
        except (MissingDependencyError, ArgumentValueError) as error:
            skipped[name] = str(error)
            continue
        # Suppress the dashboard link of Dask and the log of Ray.
        with contextlib.redirect_stderr(io.StringIO()):
            started = time.perf_counter()
            with place:
                wait([place.executor.submit(nap) for _ in range(place.workers)])
                start_up = time.perf_counter() - started
                overhead, memory = _overhead(place), _memory(place)
                for title, task in _workloads(loop, uneven):
                    seconds[title] = _seconds(place, *task)
        ratios = {title: alone[title] / seconds[title] for title in alone}
        rows.append(Measured(name, start_up, overhead, memory, **ratios))
    machine = {
        "machine": platform.machine(),
        "n_jobs": workers,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    path_ms = 1e3 * alone["python_loop"] / PYTHON_PATHS
    return Comparison(machine, path_ms, rows, skipped, _advice(rows, path_ms / 1e3, workers))


def _workloads(loop: PythonLoop, uneven: Uneven) -> list[tuple[str, tuple[Any, int, Any]]]:
    gbm = GeometricBrownianMotion(mu=0.05, sigma=0.2)
    return [
        ("vectorised", (gbm, VECTOR_PATHS, 100.0)),
        ("python_loop", (loop, PYTHON_PATHS, 0.0)),
        ("uneven", (uneven, UNEVEN_PATHS, 0.0)),
    ]


def _seconds(place: Backend, process: Any, n_paths: int, x0: Any) -> float:
    """Return the seconds of a run on workers that have started."""
    if isinstance(process, GeometricBrownianMotion):
        # Reduce in the workers, as vectorised processes are used: returning paths is not measured.
        ds = simulate(process, n_paths, BENCH_STEPS, x0, dt=1 / BENCH_STEPS, seed=1, chunks=16_384)
        best = float("inf")
        for _ in range(2):
            started = time.perf_counter()
            ds["x"].isel(time=-1).mean("path").compute()
            best = min(best, time.perf_counter() - started)
        return best
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MontezarrWarning)
        MonteCarloEngine(process).simulate(
            n_paths, BENCH_STEPS, x0, parallel=True, backend=place, seed=1
        )
    return time.perf_counter() - started


def _overhead(place: Backend) -> float:
    started = time.perf_counter()
    wait([place.submit(empty_task, k) for k in range(EMPTY_TASKS)])
    return (time.perf_counter() - started) / EMPTY_TASKS


def _memory(place: Backend) -> float | None:
    """Return the MiB of a worker that has drawn paths."""
    if not place.in_processes:
        return None
    engine = MonteCarloEngine(PythonLoop(1))
    engine.simulate(200, BENCH_STEPS, 0.0, parallel=True, backend=place, seed=1, batch_size=20)
    found = dict(place.submit(resident, k).result() for k in range(4 * place.workers))
    return sum(found.values()) / len(found) / 2**20


def calibrated(seconds: float) -> int:
    """Return the work per step with which a path takes `seconds`."""
    trial, rng = PythonLoop(50), np.random.default_rng(1)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        trial.sample_path(BENCH_STEPS, None, rng)
        best = min(best, time.perf_counter() - started)
    return max(1, round(50 * seconds / best))


def _simplest(rows: list[Measured], ratios: list[float]) -> Measured:
    """Return the first backend that is as fast as the fastest but for noise."""
    return next(
        r for r, x in zip(rows, ratios, strict=True) if x >= NEARLY_BEST_SHARE * max(ratios)
    )


def _advice(rows: list[Measured], path_seconds: float, workers: int) -> list[str]:
    if not rows:
        return []
    vector = _simplest(rows, [row.vectorised for row in rows])
    loop = _simplest(rows, [row.python_loop for row in rows])
    out = [f"Vectorised processes: {vector.backend} ({vector.vectorised:.2f}x)."]
    if loop.python_loop <= 1.1:
        return [*out, "Loops in Python: no backend is faster than one process here."]
    saved = path_seconds * (1 - 1 / loop.python_loop)
    even = max(1, round(loop.start_up / saved))
    return [
        *out,
        f"Loops in Python: {loop.backend} ({loop.python_loop:.2f}x), from about {even:,} paths of"
        f" {1e3 * path_seconds:.1f} ms on; fewer are sooner done without workers.",
    ]
