"""Statistics of several passes are refined or refused, and lazy results say what failed."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import backend_samplers as samplers
import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.statistics import Estimate, Mean, Sample, Statistic


class Total(NamedTuple):
    n: Any
    largest: Any


@dataclass(frozen=True)
class Refined(Statistic):
    """The largest value of a first pass; of a second one, that less than it."""

    below: float = np.inf

    State = Total
    order_free = True
    without_error = ("refined",)

    def chunk(self, sample: Sample) -> Total:
        x = np.where(sample.all_paths() < self.below, sample.all_paths(), -np.inf)
        return Total(np.array([x.size]), x.max(axis=-1, initial=-np.inf))

    def merge(self, a: Total, b: Total) -> Total:
        return Total(a.n + b.n, np.maximum(a.largest, b.largest))

    def again(self, state, source):
        return Refined(float(state.largest.max())) if self.below == np.inf else None

    def finalize(self, state, source):
        return {"refined": Estimate(state.largest)}

    def reference(self, values, source):
        return {"refined": np.sort(values, axis=-1)[..., -2]}


class Once(Refined):
    """One that is satisfied with its first pass, and says so."""

    name = "refined"
    is_one_pass = True

    def again(self, state, source):
        return None


VALUES = xr.DataArray(np.random.default_rng(0).permutation(3000) / 1.0, dims="path", name="x")


def test_a_statistic_that_asks_again_is_refined_or_refused():
    assert mz.reduce(VALUES, Refined()).x_refined == 2998
    with pytest.raises(mz.ArgumentValueError, match=r"^statistics: .*one pass.*Refined"):
        mz.stream(VALUES, Refined())
    with pytest.raises(mz.ArgumentValueError, match=r"^statistics: .*one pass.*Quantile"):
        mz.stream(VALUES, ["mean", mz.Quantile(0.5, exact=True)])
    with pytest.raises(mz.ArgumentValueError, match=r"^compute: .*several passes.*Refined"):
        mz.reduce(VALUES, Refined(), compute=False)
    *_, last = mz.stream(VALUES, Once())
    assert last["x_refined"] == mz.reduce(VALUES, Once(), compute=False).x_refined == 2999
    assert Mean().is_one_pass
    assert mz.Quantile(0.5).is_one_pass
    assert not mz.Quantile(0.5, exact=True).is_one_pass


@pytest.mark.filterwarnings("ignore:x. 9 of 90,000 values are not finite")
@pytest.mark.parametrize("chunks", [1024, 8192])
def test_lazy_results_tell_of_masked_paths(chunks):
    failing = (5, 5000, 20_001)
    ds = mz.simulate(samplers.Failing(*failing), n_paths=30_000, T=2, x0=1.0, seed=7,
                     on_error="mask", chunks=chunks)  # fmt: skip
    lazy = mz.reduce(ds, "mean", compute=False)
    with pytest.warns(mz.MaskedPathsWarning) as caught:
        found = lazy.compute()
    (warning,) = [w.message for w in caught if isinstance(w.message, mz.MaskedPathsWarning)]
    assert warning.paths == failing
    assert found.x_nonfinite.max() == 3
