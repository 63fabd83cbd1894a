"""Outbreaks of SIR stored as events and on a grid: bytes, time, memory, and a run that is killed.

    python -m benchmarks.outbreaks             # 10**5 outbreaks among 1,000 people
    python -m benchmarks.outbreaks 1000000     # so many

Each form is written by a process of its own, whose peak of memory is printed beside that of a tenth
of the paths. Then a writer is killed (SIGKILL) in the middle, the same call resumes, `verify` draws
chunks again, and all files are compared with those of the run that was not disturbed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numba import njit

import montezarr as mz
from montezarr.store.export import export

PEOPLE, ILL, BETA, GAMMA = 1000, 10, 0.2, 0.1
TIMES = np.arange(0.0, 201.0, 5.0)
STORAGE = mz.Storage(compression="zstd", dtype="float32")
CHUNK = 4096
TENTH, MIB = 10, 2**20


class Outbreak(NamedTuple):
    """The times of infections and recoveries, and how many are ill from then on."""

    event_time: np.ndarray
    infected: np.ndarray
    final_size: int


@njit(nogil=True)
def outbreak(rng):
    """Return an outbreak to its end, by Gillespie's direct method."""
    event_time, infected = np.empty(2 * PEOPLE), np.empty(2 * PEOPLE, np.int16)
    s, i, t, n = PEOPLE - ILL, ILL, 0.0, 0
    while i > 0:
        infection, recovery = BETA * s * i / PEOPLE, GAMMA * i
        total = infection + recovery
        t += rng.standard_exponential() / total
        if rng.random() * total < infection:
            s, i = s - 1, i + 1
        else:
            i -= 1
        event_time[n], infected[n] = t, i
        n += 1
    return Outbreak(event_time[:n], infected[:n], PEOPLE - s)


def padded(n: int) -> xr.Dataset:
    """Return outbreaks as padded arrays; there are at most two events for each of the people."""
    dims = {"event_time": ("event",), "infected": ("event",), "final_size": ()}
    return mz.simulate(
        outbreak,
        n,
        seed=1,
        dims=dims,
        max_events=2 * PEOPLE,
        chunks=CHUNK,
        dtype={"final_size": "int16"},
    )


def write(form: str, n: int, target: Path) -> None:
    """Write outbreaks in a form."""
    if form == "long":
        export(target.with_name("padded.zarr"), target)
        return
    ds = padded(n)
    if form == "grid":
        infected = mz.on_grid(ds, TIMES, "infected", before=ILL)
        ds = infected.to_dataset(name="infected").assign(final_size=ds.final_size)
    mz.write(ds, target, storage=STORAGE)


def in_a_process(form: str, n: int, target: Path) -> tuple[float, int]:
    """Write in a process of its own; return seconds, and the bytes of its peak."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.outbreaks",
        str(n),
        "--form",
        form,
        "--into",
        str(target),
    ]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stdout.split()[-1])


def size_of(target: Path) -> int:
    """Return the bytes of a file, or of all files of a store."""
    files = [target] if target.is_file() else [f for f in target.rglob("*") if f.is_file()]
    return sum(file.stat().st_size for file in files)


def digests(store: Path) -> dict[str, str]:
    """Return the digest of each file of a store."""
    return {
        str(file.relative_to(store)): hashlib.blake2b(file.read_bytes()).hexdigest()
        for file in sorted(store.rglob("*")) if file.is_file()
    }  # fmt: skip


def killed_and_resumed(n: int, root: Path) -> None:
    """Kill a writer in the middle, resume, verify, and compare with the undisturbed store."""
    store, whole = root / "killed.zarr", root / "padded.zarr"
    command = [
        sys.executable,
        "-m",
        "benchmarks.outbreaks",
        str(n),
        "--form",
        "padded",
        "--into",
        str(store),
    ]
    wanted = size_of(whole) // 2
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as writer:
        while writer.poll() is None and (not store.exists() or size_of(store) < wanted):
            time.sleep(0.05)
        writer.kill()
    committed = mz.verify(store, 1).n_paths
    began = time.perf_counter()
    write("padded", n, store)
    seconds = time.perf_counter() - began
    found = mz.verify(store, 2, ds=padded(n))
    same = digests(store) == digests(whole)
    print(
        f"killed at {committed:,} of {n:,} paths; resumed in {seconds:.0f} s; {found.drawn} chunks"
        f" drawn again: {'ok' if found.ok else 'NOT OK'}; the same bytes: {'yes' if same else 'NO'}"
    )


def main() -> None:
    """Write all forms, or one of them as a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="?", type=int, default=10**5)
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.form:
        write(chosen.form, chosen.paths, chosen.into)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    root = Path(tempfile.mkdtemp(prefix="outbreaks-"))
    n = chosen.paths
    try:
        few = root / "few"
        few.mkdir()
        print(f"{'':<8} {'bytes per path':>14} {'seconds':>8} {'peak MiB':>9} {'of a tenth':>11}")
        for form, name in (
            ("padded", "padded.zarr"),
            ("long", "long.parquet"),
            ("grid", "grid.zarr"),
        ):
            _, before = in_a_process(form, n // TENTH, few / name)
            seconds, peak = in_a_process(form, n, root / name)
            print(
                f"{form:<8} {size_of(root / name) / n:>14,.0f} {seconds:>8.1f}"
                f" {peak / MIB:>9,.0f} {before / MIB:>11,.0f}",
                flush=True,
            )
        shutil.rmtree(few)
        events = int(
            mz.reduce(mz.open(root / "padded.zarr")[["n_events"]], "mean").n_events_mean * n
        )
        print(f"{events:,} events on {os.cpu_count()} cores")
        killed_and_resumed(n, root)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
