"""What the tests of stores share."""

import hashlib
import os

import numpy as np

import montezarr as mz
from montezarr.store import _task, _writer

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
CHAIN = mz.MarkovChain(transition=[[0.5, 0.5], [0.1, 0.9]], states=["calm", "storm"])
HESTON = mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.5, rho=-0.5)


def gbm_paths(**changes):
    arguments = {"n_paths": 5000, "T": 20, "x0": 100.0, "dt": 0.05, "seed": 42, "chunks": 1024}
    return mz.simulate(GBM, **(arguments | changes))


def files(root):
    """Every file below `root` with a digest of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def payoff_of(ds):
    return ds.assign(payoff=(ds.x.isel(time=-1) - 105).clip(min=0))


def exponential(rng, T):
    """Paths whose last bits depend on the vector instructions that NumPy uses."""
    return np.exp(rng.standard_normal(T + 1))


def exponential_paths():
    return mz.simulate(exponential, n_paths=3000, T=20, seed=42, chunks=1024)


def at_chunk(monkeypatch, number, act):
    """Have a writer call act(task, item) once, before it draws a chunk; then it goes on."""

    class Watched(_task.ChunkTask):
        def __call__(self, item):
            if number in item[2] and not done:
                done.append(True)
                act(_task.ChunkTask(self.values, self.location, False), item)
            return super().__call__(item)

    done = []
    monkeypatch.setattr(_writer, "ChunkTask", Watched)


def as_pipe(file):
    """Put a pipe in the place of a file."""
    file.unlink()
    os.mkfifo(file)


def as_directory(file):
    """Put a directory in the place of a file."""
    file.unlink()
    file.mkdir()
