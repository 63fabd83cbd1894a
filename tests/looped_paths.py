"""Paths of compiled functions, drawn by their loop and by Python, compared."""

import numpy as np

from montezarr.run._run import Run
from montezarr.samplers import _loop_call, compiled
from montezarr.samplers.path import PathSampler


def compile_at_once(monkeypatch):
    """Compile loops at their first range; return the list of the ranges that they draw."""
    monkeypatch.setattr(compiled, "LOOP_COMPILE_AFTER_SECONDS", 0.0)
    ranges, run = [], _loop_call.LoopCall.run

    def noted(self, low, high):
        run(self, low, high)
        ranges.append((low, high))

    monkeypatch.setattr(_loop_call.LoopCall, "run", noted)
    return ranges


def by_python(ds, low=0, high=None, x0=None):
    """Return path arrays of a Dataset, called from Python path by path."""
    sampler = Run.behind(ds).sampler
    return PathSampler.draw(sampler, low, Run.behind(ds).n_paths if high is None else high, x0)


def check_same(ds, ranges, is_looped=True):
    """Compare a Dataset, drawn by the loop, with its paths from Python, bit for bit."""
    ranges.clear()
    found = ds.compute(scheduler="sync")
    assert bool(ranges) == is_looped
    run = Run.behind(ds)
    x0 = None if run.inputs is None else np.asarray(run.inputs)
    for name, array in by_python(ds, x0=x0).items():
        stored = np.moveaxis(found[name].values, 0, -1)
        assert stored.dtype == array.dtype
        assert stored.tobytes() == array.tobytes(), name
