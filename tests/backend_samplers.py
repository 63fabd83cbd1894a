"""Samplers that worker processes import by name: NumPy only, so that they start soon."""

import ctypes
import os
import signal
import sys
import time
import uuid
from pathlib import Path

import numpy as np


class Loop:
    """Kind 3: one path at a time, a loop in Python."""

    def sample_path(self, T, x0, rng):
        x = np.empty(T + 1)
        x[0] = x0
        for k, z in enumerate(rng.standard_normal(T)):
            x[k + 1] = 0.9 * x[k] + z
        return x


class Counting(Loop):
    """A loop that notes the index of every path that it draws, in this process."""

    def __init__(self):
        self.drawn = []

    def sample_path(self, T, x0, rng):
        self.drawn.append(index_of(rng))
        return super().sample_path(T, x0, rng)

    def __deepcopy__(self, memo):
        return self


class Batch:
    """Kind 2: a block of paths at a time."""

    def sample_paths(self, n, T, x0, rng):
        x = np.empty((n, T + 1))
        x[:, 0] = x0
        x[:, 1:] = x0 + np.cumsum(rng.standard_normal((n, T)), axis=1)
        return x


def function(rng, T, x0):
    """Kind 4: a function of a Generator; its states are labels."""
    return ["up" if u < 0.5 else "down" for u in rng.random(T + 1)]


class Legacy:
    """Kind 5: code on the global state."""

    def sample_path(self, T, x0):
        return x0 + np.concatenate([[0.0], np.cumsum(np.random.standard_normal(T))])


def index_of(rng):
    """Return the path index that a Generator was made for."""
    return rng.bit_generator.seed_seq.spawn_key[-1]


class Failing(Loop):
    """Raises on some paths."""

    def __init__(self, *paths):
        self.paths = paths

    def sample_path(self, T, x0, rng):
        if index_of(rng) in self.paths:
            raise ValueError(f"cannot do {index_of(rng)}")
        return super().sample_path(T, x0, rng)


class Infinite(Loop):
    """Returns infinities on some paths."""

    def __init__(self, *paths):
        self.paths = paths

    def sample_path(self, T, x0, rng):
        x = super().sample_path(T, x0, rng)
        if index_of(rng) in self.paths:
            x[-1] = np.inf
        return x


class Flaky(Loop):
    """Fails on one path, as often as a file that it counts in has lines to go."""

    def __init__(self, path, folder, times):
        self.path, self.folder, self.times = path, str(folder), times

    def sample_path(self, T, x0, rng):
        if index_of(rng) == self.path:
            seen = len(os.listdir(self.folder))
            if seen < self.times:
                Path(self.folder, str(seen)).touch()
                raise ConnectionError("no answer")
        return super().sample_path(T, x0, rng)


class Deadly(Loop):
    """Ends its worker on one path: always, or once, where `marker` is a file to leave behind."""

    def __init__(self, path, how, marker=None):
        self.path, self.how, self.marker = path, how, None if marker is None else str(marker)

    def sample_path(self, T, x0, rng):
        if index_of(rng) == self.path and not (self.marker and os.path.exists(self.marker)):
            if self.marker:
                Path(self.marker).touch()
            if self.how == "segfault":
                ctypes.string_at(0)
            elif self.how == "exit":
                os._exit(0)
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().sample_path(T, x0, rng)


class Announcing(Loop):
    """Writes down who draws it, and takes its time; the last paths wait until there is a file."""

    def __init__(self, folder, seconds, until=None, last=4000):
        self.folder, self.seconds = str(folder), seconds
        self.until, self.last = None if until is None else str(until), last

    def sample_path(self, T, x0, rng):
        Path(self.folder, str(os.getpid())).touch()
        time.sleep(self.seconds)
        while self.until and index_of(rng) >= self.last and not os.path.exists(self.until):
            time.sleep(0.01)
        return super().sample_path(T, x0, rng)


class Hanging(Loop):
    """Does not come back from one path."""

    def __init__(self, path):
        self.path = path

    def sample_path(self, T, x0, rng):
        while index_of(rng) == self.path:
            time.sleep(0.01)
        return super().sample_path(T, x0, rng)


class Big(Loop):
    """Holds a large array, and counts how often it is unpickled."""

    def __init__(self, folder, megabytes):
        self.folder, self.data = str(folder), np.ones(megabytes * 2**17)

    def __setstate__(self, state):
        self.__dict__.update(state)
        Path(self.folder, f"{os.getpid()}-{uuid.uuid4().hex}").touch()

    def __deepcopy__(self, memo):
        return self

    def sample_path(self, T, x0, rng):
        return super().sample_path(T, self.data[index_of(rng)], rng)


def blas_threads(rng):
    """Return the number of threads that BLAS and Numba were told to use here."""
    return [float(os.environ.get(name, -1)) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")]


def is_loaded(module):
    """Return whether this process has imported a module."""
    return module in sys.modules
