"""Expressions of several runs: drawn together, block by block, with or without an end."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import xarray as xr
from backend_samplers import Batch, Loop
from stores import files

import montezarr as mz
from montezarr.random.draws import has_kernel
from montezarr.run._provenance import Provenance
from montezarr.run._run import Run
from montezarr.samplers import sample_range
from montezarr.store._info import info

GBM = mz.GeometricBrownianMotion(mu=0.03, sigma=0.2)
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.5)
STATISTICS = ["mean", "std", "q05", "min", "max"]
SIGMA = {"sigma": xr.DataArray([0.1, 0.2, 0.3], dims="sigma", coords={"sigma": [0.1, 0.2, 0.3]})}


def walk(rng, T, x0):
    return x0 + np.concatenate([[0.0], np.cumsum(rng.standard_normal(T))])


@numba.njit
def compiled_walk(rng, T, x0):
    out = np.empty(T + 1)
    out[0] = x0
    for k in range(T):
        out[k + 1] = out[k] + rng.standard_normal()
    return out


def gbm(n, x0=100.0, seed=1, T=6, **more):
    return mz.simulate(GBM, n, T, x0, dt=1 / 12, seed=seed, **more)


def heston(n, seed=1, T=6, **more):
    return mz.simulate(HESTON, n, T, {"s": 100.0, "v": 0.04}, dt=1 / 12, seed=seed, **more)


def payoff(ds, name="x"):
    return (ds[name].isel(time=-1) - 100).clip(min=0)


def bumped(n, **more):
    return ((payoff(gbm(n, 101.0, **more)) - payoff(gbm(n, 99.0, **more))) / 2).rename("y")


def models(n, **more):
    return (payoff(heston(n, **more), "s") - payoff(gbm(n, **more))).rename("y")


def other_seeds_and_times(n, **more):
    return (
        gbm(n, seed=1, **more).x.max("time") - heston(n, seed=2, T=9, **more).s.max("time")
    ).rename("y")


def precisions(n, **more):
    return (gbm(n, dtype="float32", **more).x - gbm(n, **more).x).rename("y")


def samplers(n, **more):
    batch = mz.simulate(Batch(), n, 6, 0.0, seed=1, **more).x
    loop = mz.simulate(Loop(), n, 6, 0.0, seed=1, **more).x
    numba_one = mz.simulate(compiled_walk, n, 6, 0.0, seed=1, **more).x
    return (batch * loop + numba_one - gbm(n, **more).x).rename("y")


def scenarios(n, **more):
    varied = gbm(n, vary=SIGMA, **more)
    return (payoff(varied) - payoff(gbm(n, 101.0, **more))).rename("y")


def drawn_parameters(n, **more):
    varied = gbm(n, vary={"mu": mz.Normal(0.03, 0.01)}, **more)
    return (payoff(varied) * varied.mu - payoff(gbm(n, **more))).rename("y")


def four(n, **more):
    up, here, down = (payoff(gbm(n, x0, **more)) for x0 in (101.0, 100.0, 99.0))
    return (up - 2 * here + down + payoff(gbm(n, seed=9, **more))).rename("y")


KINDS = [
    bumped,
    models,
    other_seeds_and_times,
    precisions,
    samplers,
    scenarios,
    drawn_parameters,
    four,
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def drawn(ds):
    return mz.plan(ds, "mean").reduction.startswith("block by block")


@kinds
def test_statistics_are_those_of_the_values_for_every_chunking(kind):
    with mz.backend("threads"):
        right = mz.reduce(kind(2100, chunks=3072).compute(), STATISTICS)
        for chunks in (1024, 2048, 3072):
            y = kind(2100, chunks=chunks)
            assert drawn(y)
            found = mz.reduce(y, STATISTICS)
            xr.testing.assert_identical(found.drop_attrs(), right.drop_attrs())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["synchronous", "processes"])
def test_statistics_are_the_same_on_every_backend(backend):
    with mz.backend(backend, **({} if backend == "synchronous" else {"n_jobs": 2})):
        for kind in KINDS:
            y = kind(5000, chunks=1024)
            right = mz.reduce(y.compute(scheduler="synchronous"), STATISTICS)
            found = mz.reduce(y, STATISTICS)
            xr.testing.assert_identical(found.drop_attrs(), right.drop_attrs())


@kinds
def test_a_run_without_end_has_the_bits_of_one_that_ends(kind):
    with mz.backend("threads"):
        (*_, last) = mz.stream(kind(None), STATISTICS, until=mz.PathCount(2048))
        right = mz.reduce(kind(2048), STATISTICS)
    for name in right:
        assert np.array_equal(last.dataset[name], right[name], equal_nan=True), name


def test_the_order_of_runs_is_that_of_the_expression():
    up, down = gbm(2000, 101.0), gbm(2000, 99.0)
    for first, second in ((up, down), (down, up)):
        runs = Provenance.of(payoff(first) - payoff(second)).runs
        assert runs == [Run.behind(first), Run.behind(second)]


def test_runs_on_one_noise_share_their_draws():
    runs = [Run.behind(gbm(2000, x0)) for x0 in (101.0, 99.0)]
    others = [Run.behind(gbm(2000, seed=2)), Run.behind(gbm(2000, T=7)), Run.behind(heston(2000))]
    joint = Run.of_several([runs[0], *others, runs[1]])
    # Compiled, Heston takes the normal numbers of all steps at once, as the others do.
    together = [[0, 3, 4], [1], [2]] if has_kernel() else [[0, 4], [1], [2], [3]]
    assert joint.sampler._together() == together
    arrays = sample_range(joint.sampler, 100, 1900)
    for i, run in enumerate(joint.parts):
        for name, values in sample_range(run.sampler, 100, 1900).items():
            assert (arrays[f"{i}.{name}"] == values).all()


@pytest.mark.parametrize("keep", [3, [0, 6]])
def test_kept_times_are_those_of_each_run(keep):
    up, down = (gbm(3000, x0, keep=keep, chunks=1024) for x0 in (101.0, 99.0))
    y = (up.x - down.x).rename("y")
    assert drawn(y)
    xr.testing.assert_identical(
        mz.reduce(y, "mean").drop_attrs(), mz.reduce(y.compute(), "mean").drop_attrs()
    )


@pytest.mark.parametrize("is_lazy", [False, True])
def test_initial_states_of_each_path(is_lazy):
    values = np.linspace(90.0, 110.0, 3000)
    x0 = xr.DataArray(values, dims="path").chunk(path=700) if is_lazy else values
    both = {"s": values, "v": np.full(3000, 0.04)}
    three = (
        gbm(3000, x0, chunks=1024),
        gbm(3000, chunks=1024),
        mz.simulate(HESTON, 3000, 6, both, dt=1 / 12, seed=1, chunks=1024),
    )
    y = (three[0].x - three[1].x + three[2].s).rename("y")
    assert drawn(y)
    assert (mz.reduce(y, STATISTICS) == mz.reduce(y.compute(), STATISTICS)).all()


def test_chunks_of_different_sizes_are_the_same_paths(tmp_path):
    one, other = heston(9000, chunks=3072), gbm(9000, chunks=4096)
    y = (payoff(one, "s") - payoff(other)).rename("y")
    assert len({*y.chunks[0]}) > 1
    assert drawn(y)
    xr.testing.assert_identical(
        mz.reduce(y, STATISTICS).drop_attrs(), mz.reduce(y.compute(), STATISTICS).drop_attrs()
    )
    stored = mz.write(y.to_dataset(), tmp_path / "a.zarr")
    assert (stored.y.values == y.values).all()
    assert stored.y.chunks[0][0] == 3072
    small = models(2000)  # each in one chunk
    assert mz.extend(tmp_path / "a.zarr", 9500, ds=small.to_dataset()).sizes["path"] == 9500
    mz.write(models(9500, chunks=3072).to_dataset(), tmp_path / "b.zarr")
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


def test_paths_that_are_moved_are_computed_chunk_by_chunk():
    up, down = gbm(4096, 101.0, chunks=1024), gbm(4096, 99.0, chunks=1024)
    y = (up.x.isel(path=slice(None, None, -1)) - down.x).rename("y")
    assert not drawn(y)
    assert (mz.reduce(y, "mean") == mz.reduce(y.compute(), "mean")).all()
    z = (up.x.isel(path=slice(1024, None)) - down.x.isel(path=slice(0, -1024))).rename("z")
    assert not drawn(z)
    assert (mz.reduce(z, "mean") == mz.reduce(z.compute(), "mean")).all()


# --- errors of estimates -----------------------------------------------------------------------


def test_the_error_is_that_of_the_paired_difference():
    y = bumped(20_000)
    found, values = mz.reduce(y, "mean"), y.values
    assert found.y_mean_se.item() == pytest.approx(values.std(ddof=1) / np.sqrt(20_000), rel=1e-9)
    apart = (payoff(gbm(20_000, 101.0, seed=1)) - payoff(gbm(20_000, 99.0, seed=2))) / 2
    assert mz.reduce(apart.rename("y"), "mean").y_mean_se > 10 * found.y_mean_se


def test_a_stream_stops_at_a_tolerance_and_goes_on_from_a_file(tmp_path):
    rule = mz.StandardError(rel=0.02)
    (*_, right) = mz.stream(bumped(None), "mean", until=rule)
    (first, *_) = mz.stream(bumped(None), "mean", until=mz.PathCount(1024))
    first.save(tmp_path / "state")
    (*_, last) = mz.stream(bumped(None), "mean", until=rule, resume_from=tmp_path / "state")
    assert last.paths == right.paths
    xr.testing.assert_identical(last.dataset.drop_attrs(), right.dataset.drop_attrs())


# --- stores ------------------------------------------------------------------------------------


def paths(n, **more):
    """Return a Dataset with the paths of two runs of other lengths, and what is made of both."""
    one, other = gbm(n, chunks=1024, **more), heston(n, chunks=1024, T=4, **more)
    s = other.s.rename(time="month").drop_vars("month")
    return xr.Dataset({"x": one.x, "s": s, "y": payoff(one) - payoff(other, "s")}).drop_attrs()


DRIVER = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ["MONTEZARR_FAULT"] = f"{sys.argv[3]}={os.getpid()}"
import montezarr as mz
from test_several_runs import paths
if __name__ == "__main__":
    mz.write(paths(4500), sys.argv[2], statistics="mean")
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["chunk.after_rename@2", "commit.torn@2"])
def test_a_store_that_was_killed_resumes_and_grows_to_the_same_bytes(tmp_path, fault):
    here, path = os.path.dirname(__file__), tmp_path / "a.zarr"
    command = [sys.executable, "-c", DRIVER, here, str(path), fault]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    mz.write(paths(4500), path, statistics="mean")
    mz.extend(path, 6000, ds=paths(2000))
    mz.write(paths(6000), tmp_path / "b.zarr", statistics="mean")
    assert files(path) == files(tmp_path / "b.zarr")


def test_what_is_written_is_what_dask_computes_and_is_verified(tmp_path):
    ds, path = paths(2500), tmp_path / "a.zarr"
    stored = mz.write(ds, path, statistics=["mean", "q05"])
    computed = ds.compute()
    for name in ds:
        assert (stored[name].values == computed[name].values).all()
    results = mz.open(path, "statistics")
    assert (results == mz.reduce(ds, ["mean", "q05"])).all()
    assert mz.verify(path, 3, ds=ds).ok
    assert "run 1       Heston(" in str(info(path))
    names = [run["process"]["name"] for run in stored.mz.recipe["runs"]]
    assert names == ["GeometricBrownianMotion", "Heston"]


def test_ranges_are_merged_and_a_damaged_chunk_is_mended(tmp_path):
    ds = paths(3000)
    whole = mz.write(ds, tmp_path / "whole.zarr")
    for k, span in enumerate((range(1024), range(1024, 3000))):
        mz.write(ds, tmp_path / f"{k}.zarr", paths=span)
    merged = mz.merge([tmp_path / "0.zarr", tmp_path / "1.zarr"], tmp_path / "merged.zarr")
    xr.testing.assert_identical(merged.compute(), whole.compute())
    before = files(tmp_path / "whole.zarr")
    (tmp_path / "whole.zarr/x/c/1/0").write_bytes(b"lost")
    mz.repair(tmp_path / "whole.zarr", ds=ds)
    assert files(tmp_path / "whole.zarr") == before


def test_a_path_of_each_run_is_drawn_again(tmp_path):
    one, other = gbm(2048), heston(2048, T=4)
    y = (payoff(one) - payoff(other, "s")).rename("y")
    stored = mz.write(y.to_dataset(), tmp_path / "a.zarr")
    for made in (y, stored):
        xr.testing.assert_equal(mz.replay(made, 7, run=0), one.isel(path=7).compute())
        xr.testing.assert_equal(mz.replay(made, 7, run=1), other.isel(path=7).compute())
        with pytest.raises(mz.ArgumentValueError, match=r"run: .*0 is Geom.*; 1 is Heston"):
            mz.replay(made, 7)
        with pytest.raises(mz.ArgumentValueError, match="run: "):
            mz.replay(made, 7, run=2)
    xr.testing.assert_equal(mz.replay(one, 7), mz.replay(y, 7, run=0))
    with pytest.raises(mz.ArgumentValueError, match="run: "):
        mz.replay(one, 7, run=1)


# --- what is shown, and what fails -------------------------------------------------------------


def test_the_plan_shows_each_run():
    one, other = gbm(10**6, 101.0, chunks=10_240), heston(10**6, seed=3, chunks=10_240)
    plan = mz.plan(payoff(one) - payoff(other, "s"), "mean")
    assert plan.runs == (
        "GeometricBrownianMotion(mu=0.03, sigma=0.2), x0 101, seed 1",
        "Heston(mu=0.03, kappa=2, theta=0.04, xi=0.3, rho=-0.5), x0 s = 100, v = 0.04, seed 3",
    )
    assert plan.total_bytes == one.nbytes + other.nbytes - 2 * one.time.nbytes
    assert plan.noise == "2 runs on independent noise"
    assert "run 1      Heston(" in str(plan)
    assert plan.to_dict()["runs"] == list(plan.runs)
    assert "runs" not in mz.plan(one).to_dict()
    assert mz.plan(bumped(None), "mean").paths is None


def test_runs_that_cannot_be_drawn_together_are_named(tmp_path):
    one, other = gbm(4096, chunks=1024), gbm(2048, chunks=1024)
    y = (one.x.isel(path=slice(2048)) - other.x).rename("y").to_dataset()
    told = "4,096 paths and 2,048 paths.*run 0, Geom.* and run 1, Geom.*pass the same n_paths="
    with pytest.raises(mz.ArgumentValueError, match=told):
        mz.write(y, tmp_path / "a.zarr")
    assert "4,096 paths" in mz.plan(y, "mean").reduction
    other = gbm(None, 99.0, on_error="mask")
    told = "no policy and on_error='mask'.*run 0, .*pass the same on_error="
    with pytest.raises(mz.ArgumentValueError, match=told):
        mz.stream(gbm(None).x - other.x, "mean", until=mz.PathCount(1024))


def test_a_store_of_one_recipe_is_no_store_of_another_order(tmp_path):
    mz.write(bumped(2000).to_dataset(), tmp_path / "a.zarr")
    down, up = payoff(gbm(2000, 99.0)), payoff(gbm(2000, 101.0))
    with pytest.raises(mz.StoreMismatchError):
        mz.write(((down - up) / 2).rename("y").to_dataset(), tmp_path / "a.zarr")


def fails_late(rng, T, x0):
    x = walk(rng, T, x0)
    if x[-1] > 6.5:
        raise ArithmeticError("too high")
    return x


def late(n, **more):
    one = mz.simulate(walk, n, 6, 0.0, seed=1, chunks=1024, **more)
    other = mz.simulate(fails_late, n, 6, 0.0, seed=2, chunks=1024, **more)
    return one, other


@pytest.mark.parametrize("backend", ["synchronous", "threads"])
def test_an_error_names_its_run(backend):
    one, other = late(2048)
    right = np.flatnonzero(mz.simulate(walk, 2048, 6, 0.0, seed=2).x[:, -1].values > 6.5)
    with mz.backend(backend), pytest.raises(mz.SamplerError, match="run 1, fails_late") as caught:
        mz.reduce(one.x - other.x, "mean")
    assert caught.value.path == right[0]
    assert caught.value.context["run"] == "1"
    assert caught.value.context["replay"] == f"mz.replay(ds, {right[0]}, run=1)"
    with pytest.raises(ArithmeticError):
        mz.replay(one.x - other.x, int(right[0]), run=1)


def test_paths_are_masked_in_what_is_made_of_their_run(tmp_path):
    one, other = late(2048, on_error="mask")
    ds = xr.Dataset({"d": one.x - other.x, "x": one.x}).drop_attrs()
    bad = mz.simulate(walk, 2048, 6, 0.0, seed=2).x[:, -1].values > 6.5
    with mz.backend("synchronous"), pytest.warns(mz.MaskedPathsWarning, match="run 1"):
        stored = mz.write(ds, tmp_path / "a.zarr")
    assert np.isnan(stored.d.values[bad]).all()
    assert not np.isnan(stored.d.values[~bad]).any()
    assert not np.isnan(stored.x.values).any()


def test_a_virtual_store_holds_one_run():
    y = bumped(2048)
    with pytest.raises(mz.ArgumentValueError, match="2 runs"):
        mz.VirtualStore(dict(y.to_dataset().mz.recipe), 2048)


def test_the_recipe_of_several_runs_stays_what_it_is():
    runs = [Run.of(GBM, 2000, 6, x0, dt=1 / 12, seed=1) for x0 in (101.0, 99.0)]
    assert Run.of_several(runs).fingerprint == "884e26682d09555c47ab22ecec8f9523"
    assert Run.of_several(runs[:1]) is runs[0]


def test_an_expression_of_one_run_is_written_without_its_dataset(tmp_path):
    def varied(n):
        return payoff(gbm(n, vary=SIGMA, chunks=1024)).rename("y")

    stored = mz.write(varied(1500).to_dataset(), tmp_path / "a.zarr", statistics=["mean"])
    np.testing.assert_array_equal(stored.y, varied(1500))
    assert mz.replay(stored, 17).x.sizes["sigma"] == 3
    mz.extend(tmp_path / "a.zarr", 2500, ds=varied(1024).to_dataset())
    mz.write(varied(2500).to_dataset(), tmp_path / "b.zarr", statistics=["mean"])
    for name in ["y/c/0/0", "y/c/0/1", "y/c/0/2", "y/zarr.json", "zarr.json"]:
        assert (tmp_path / "a.zarr" / name).read_bytes() == (
            tmp_path / "b.zarr" / name
        ).read_bytes()
    assert mz.verify(tmp_path / "a.zarr", level=3, ds=varied(2500).to_dataset()).ok
    with pytest.raises(mz.ArgumentValueError, match="a Dataset of montezarr"):
        mz.write(varied(1500).compute().to_dataset(), tmp_path / "c.zarr")
