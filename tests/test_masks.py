"""Masked paths: left out of every result, whatever is made of them, and in whichever chunks."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

N, T = 2500, 3
LOST = 97
"""One path of so many is not finite."""

pytestmark = pytest.mark.filterwarnings("ignore::montezarr.MontezarrWarning")


def path(rng, T):
    x = rng.standard_normal(T + 1)
    if rng.bit_generator.seed_seq.spawn_key[-1] % LOST == 5:
        x[-1] = np.nan
    return x


MASKED = range(5, N, LOST)


@pytest.fixture(autouse=True)
def here():
    with mz.backend("synchronous"):
        yield


def run(chunks, n=N):
    return mz.simulate(path, n_paths=n, T=T, seed=1, chunks=chunks, on_nonfinite="mask")


@pytest.fixture(scope="module")
def values():
    """The paths that are not masked, and their indices."""
    x = run(1024).compute(scheduler="synchronous").x.values
    kept = np.setdiff1d(np.arange(N), MASKED)
    return x[kept], kept


PATH_BY_PATH = {
    "comparison": (lambda x: x > 0, lambda v: v > 0),
    "sum": (lambda x: x.sum("time"), lambda v: v.sum(1)),
    "sum of a part": (lambda x: x.isel(time=[0, 3]).sum("time"), lambda v: v[:, [0, 3]].sum(1)),
    "filled": (lambda x: x.fillna(0.0), lambda v: v),
    "where": (lambda x: x.where(x > 0, 7.0), lambda v: np.where(v > 0, v, 7.0)),
    "maximum": (lambda x: x.max("time"), lambda v: v.max(1)),
    "mean": (lambda x: x.mean("time"), lambda v: v.mean(1)),
    "spread": (lambda x: x.std("time"), lambda v: v.std(1)),
    "running sum": (lambda x: x.cumsum("time"), lambda v: v.cumsum(1)),
    "is missing": (lambda x: x.isnull(), lambda v: v != v),
    "first largest": (lambda x: x.argmax("time"), lambda v: v.argmax(1)),
    "of two": (
        lambda x: (x > 0) & (x.sum("time") > 0),
        lambda v: (v > 0) & (v.sum(1) > 0)[:, None],
    ),
}


@pytest.mark.parametrize("name", PATH_BY_PATH)
def test_one_chunk_is_no_special_case(name, values):
    expression, wanted = PATH_BY_PATH[name]
    found = [mz.reduce(expression(run(chunks).x), ["mean", "std"]) for chunks in (1024, 4096)]
    xr.testing.assert_identical(found[0].drop_attrs(), found[1].drop_attrs())
    np.testing.assert_allclose(found[1].x_mean, wanted(values[0]).mean(0), rtol=1e-12, atol=1e-12)
    assert (found[1].x_nonfinite == len(MASKED)).all()


def part_of(values, kept, select):
    return values[np.isin(kept, np.arange(N)[select])]


ELSEWHERE = {
    "a part": (lambda x: x.isel(path=slice(0, 2200)), slice(0, 2200)),
    "every third": (lambda x: x.isel(path=slice(1, None, 3)), slice(1, None, 3)),
    "the other way round": (lambda x: x.isel(path=slice(None, None, -1)), slice(None)),
    "other chunks": (lambda x: x.chunk(path=777), slice(None)),
    "put together": (
        lambda x: xr.concat([x.isel(path=slice(1500, N)), x.isel(path=slice(0, 1500))], "path"),
        slice(None),
    ),
    "moved": (lambda x: x.roll(path=3), slice(None)),
}


@pytest.mark.parametrize("chunks", [1024, 4096])
@pytest.mark.parametrize("what", ["comparison", "sum", "filled", "where"])
@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_mask_goes_with_paths_that_are_chosen_or_in_other_places(name, what, chunks, values):
    chosen, select = ELSEWHERE[name]
    expression, wanted = PATH_BY_PATH[what]
    there = part_of(*values, select)
    for obj in (expression(chosen(run(chunks).x)), chosen(expression(run(chunks).x))):
        found = mz.reduce(obj, "mean")
        np.testing.assert_allclose(found.x_mean, wanted(there).mean(0), rtol=1e-12, atol=1e-12)
        assert (found.x_nonfinite == len(np.arange(N)[select]) - len(there)).all()


@pytest.mark.parametrize("chunks", [1024, 4096])
def test_masked_paths_are_told_where_a_result_is_computed_chunk_by_chunk(chunks):
    for obj in (run(chunks).x > 0, (run(chunks).x > 0).chunk(path=777)):
        with pytest.warns(mz.MaskedPathsWarning) as caught:
            mz.reduce(obj, "mean")
        (told,) = [w.message for w in caught if isinstance(w.message, mz.MaskedPathsWarning)]
        assert told.paths == tuple(MASKED)


def test_what_takes_paths_together_leaves_out_those_that_are_masked(values):
    for chunks in (1024, 4096):
        x = run(chunks).x
        found = mz.reduce(x - x.mean("path"), ["mean", "count"])
        np.testing.assert_allclose(found.x_mean, 0.0, atol=1e-12)
        assert (found.x_count == len(values[1])).all()


def test_the_number_of_all_paths_in_an_expression_is_that_of_all_paths():
    """A few paths would do the same as all of them, were it only tried."""
    for chunks in (1024, 4096):
        x = run(chunks).x
        found = mz.reduce(x.where(x.count("path") > 1500), "count")
        assert (found.x_count == N - len(MASKED)).all()


def test_results_of_the_engine_keep_their_masks(values):
    result = mz.MonteCarloEngine(path).simulate(N, T, seed=1, on_nonfinite="mask")
    found = mz.reduce(result.dataset.x > 0, "mean")
    np.testing.assert_allclose(found.x_mean, (values[0] > 0).mean(0), rtol=1e-12)


def test_a_dataset_of_several_variables_has_one_mask():
    def two(rng, T):
        x = path(rng, T)
        return {"x": x, "y": rng.standard_normal(T + 1)}

    for chunks in (1024, 4096):
        ds = mz.simulate(two, n_paths=N, T=T, seed=1, chunks=chunks, on_nonfinite="mask")
        found = mz.reduce(ds > 0, "count")
        assert (found.y_count == N - len(MASKED)).all()
        found = mz.reduce((ds > 0).isel(path=slice(0, 2200)), "count")
        assert (found.y_count == 2200 - len(range(5, 2200, LOST))).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 1000])
def test_runs_of_few_paths_are_reduced_as_they_are(n):
    x = mz.simulate(mz.BrownianMotion(), n_paths=n, T=T, seed=3).x
    for obj, wanted in ((x > 0, (x.values > 0).mean(0)), (x.sum("time"), x.values.sum(1).mean())):
        np.testing.assert_allclose(mz.reduce(obj, "mean").x_mean, wanted, rtol=1e-12, atol=1e-12)


def test_an_expression_of_one_chunk_is_the_same_in_a_store(tmp_path):
    ds = run(4096)
    mz.write(ds.assign(y=(ds.x > 0).astype(float)), tmp_path / "a.zarr", variables=["y"])
    many = run(1024)
    mz.write(many.assign(y=(many.x > 0).astype(float)), tmp_path / "b.zarr", variables=["y"])
    one, other = (mz.open(tmp_path / name).y.values for name in ("a.zarr", "b.zarr"))
    assert np.isnan(one[list(MASKED)]).all()
    assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int64"])
def test_a_state_that_is_the_number_of_masked_paths_fails_its_path(dtype, tmp_path):
    """Nobody could tell it from a masked one in a store: it is masked itself, and that is told."""
    kind = np.iinfo(dtype)
    taken = kind.max if kind.kind == "u" else kind.min

    def states(rng, T):
        x = rng.integers(0, 100, T + 1).astype(dtype)
        if rng.bit_generator.seed_seq.spawn_key[-1] == 7:
            x[1] = taken
        return x

    options = {"n_paths": 2000, "T": 2, "seed": 1, "chunks": 1024}
    ds = mz.simulate(states, **options, on_error="mask")
    alike = mz.simulate(states, **options)
    alike_values = np.delete(alike.x.values, 7, axis=0)
    assert alike.x.values[7, 1] == taken  # without masks any number is a state
    with pytest.warns(mz.MaskedPathsWarning, match=f"path 7: x: expected {dtype} other than"):
        stored = mz.write(ds, tmp_path / "masked.zarr")
    for x in (ds.x, stored.x):
        found = mz.reduce(x, "mean")
        np.testing.assert_array_equal(found.x_nonfinite, 1)
        np.testing.assert_allclose(found.x_mean, alike_values.mean(axis=0), rtol=1e-12)


def test_a_block_with_the_number_of_masked_paths_fails():
    class Blocks:
        def sample_paths(self, n, T, x0, rng):
            return rng.integers(-128, 128, (n, T + 1)).astype("int8")

    ds = mz.simulate(Blocks(), 100, 2, seed=1, on_error="mask")
    with pytest.warns(mz.MaskedPathsWarning, match="expected int8 other than -128"):
        mz.reduce(ds, "mean")
    wider = mz.simulate(Blocks(), 100, 2, seed=1, on_error="mask", dtype="int16")
    assert mz.reduce(wider.x, "mean").x_nonfinite.sum() == 0
