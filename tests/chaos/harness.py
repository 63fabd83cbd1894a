"""Trials of each kind in turn, as long as there is time, and the table of them."""

import contextlib
import importlib
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import montezarr as mz
from chaos import work
from chaos.blows import KINDS, Right, Trial

COLUMNS = ("trials", "lost", "hung", "wrong", "unnamed")
HEAD = ("kind", "trials", "lost", "hung", "wrong bytes", "unnamed errors")
SHOWN = 3
"""Failures of each sort that are told."""


def warm_up():
    """Import and compile here what is then in each child.

    No store is opened: that would start a thread, and a process with threads is not to fork.
    """
    # What Zarr, and a scheduler of Dask, import when it is first needed.
    for name in ("zarrs", "distributed", "montezarr.monitor.dashboard._page"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    ds = work.paths(2 * work.CHUNK)
    with mz.backend("synchronous"):
        mz.reduce(ds.x, ["mean", mz.Quantile(0.9)])
        ds.compute()
    assert threading.active_count() == 1, "a process with threads would fork"


def run(seconds, seed, kinds=None, tell=print):
    """Return counts and failures by kind, of trials of `kinds` in turn for some seconds.

    Parameters
    ----------
    seconds : float
        For how long new trials begin.
    seed : int
        Trial k of a kind has a random state of its own, made of the seed, the kind and k.
    kinds : sequence of str, optional
        All by default.
    tell : callable
        Gets a line of text for each failure.
    """
    warm_up()
    deadline = time.monotonic() + seconds
    counts = {kind: Counter() for kind in kinds or KINDS}
    failures = {kind: [] for kind in counts}
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as place:
        right = Right(Path(place) / "right")
        k = 0
        while time.monotonic() < deadline:
            for kind, count in counts.items():
                if time.monotonic() > deadline:
                    break
                folder = Path(place) / f"{kind.replace(' ', '-')}-{k}"
                folder.mkdir()
                trial = Trial(folder, random.Random(f"{seed}/{kind}/{k}"), right)
                KINDS[kind](trial)
                count["trials"] += 1
                for sort in COLUMNS[1:]:
                    found = getattr(trial, sort)
                    count[sort] += bool(found)
                    failures[kind] += [(sort, k, text) for text in found]
                    for text in found[:SHOWN]:
                        tell(f"{kind}, trial {k} of seed {seed}: {sort}: {text}")
                shutil.rmtree(folder, ignore_errors=True)
            k += 1
    return counts, failures


def table(counts):
    """Return the counts as lines of text."""
    lines = ["  ".join(f"{name:>14}" if i else f"{name:<12}" for i, name in enumerate(HEAD))]
    rows = [(kind, *(count[c] for c in COLUMNS)) for kind, count in counts.items()]
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, len(HEAD)))))
    lines += ["  ".join(f"{x:>14,}" if i else f"{x:<12}" for i, x in enumerate(r)) for r in rows]
    return "\n".join(lines)
