"""A path that a result names is named by its index in the run, whatever selection it is of."""

import shutil

import numpy as np
import pytest
import xarray as xr

import montezarr as mz
from montezarr.reduction.sources import PathIndices

N = 4096
INDEX = np.arange(N)
DS = mz.simulate(mz.BrownianMotion(), N, T=3, seed=42, chunks=1024)
X = DS.x
VALUES = X.values
HESTON = mz.simulate(
    mz.Heston(mu=0.0, kappa=1.0, theta=0.04, xi=0.3, rho=-0.5), N, T=3, seed=42, chunks=1024,
    x0={"s": 1.0, "v": 0.04},
)  # fmt: skip
MASK = np.zeros(N, bool)
MASK[[5, 1100, 1101, 3000]] = True
SHUFFLED = np.random.default_rng(1).permutation(N)
LABELLED = DS.assign_coords(path=INDEX + 10)


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """A store of paths 1024 to 3071."""
    path = tmp_path_factory.mktemp("stores") / "part.zarr"
    mz.write(DS, path, paths=range(1024, 3072))
    return path


def check(obj, index):
    """Hold the paths that extremes are said to be of to the values of these paths."""
    array = obj.x if isinstance(obj, xr.Dataset) else obj.rename("x")
    found = mz.reduce(array, "max")
    values = np.moveaxis(array.values, array.dims.index("path"), 0)
    wanted = np.asarray(index)[values.argmax(axis=0)]
    np.testing.assert_array_equal(found.x_max_path, wanted)
    assert found.x_max_path.attrs["long_name"] == "index of the path"
    return found


SELECTIONS = {
    "slice": (X.isel(path=slice(1024, 2048)), INDEX[1024:2048]),
    "slice across chunks": (X[1000:2500], INDEX[1000:2500]),
    "reversed": (X.isel(path=slice(None, None, -1)), INDEX[::-1]),
    "steps": (X[::3], INDEX[::3]),
    "booleans": (X.isel(path=MASK), INDEX[MASK]),
    "list": (X.isel(path=[3, 1, 1100]), [3, 1, 1100]),
    "shuffled": (X.isel(path=SHUFFLED), SHUFFLED),
    "one": (X.isel(path=[5]), [5]),
    "sel": (LABELLED.x.sel(path=slice(1034, 2057)), INDEX[1024:2048]),
    "sel of a list": (LABELLED.x.sel(path=[30, 20]), [20, 10]),
    "head": (X.head(path=10), INDEX[:10]),
    "tail": (X.tail(path=10), INDEX[-10:]),
    "thinned": (X.thin(path=10), INDEX[::10]),
    "rolled": (X.roll(path=1), np.roll(INDEX, 1)),
    "three times": (X[1000:3000][::2].isel(path=slice(5, None)), INDEX[1000:3000][::2][5:]),
    "in other chunks": (X.chunk(path=700)[9:], INDEX[9:]),
    "in one chunk": (X[9:].chunk(path=-1), INDEX[9:]),
    "joined": (xr.concat([X[2000:], X[:100]], "path"), np.r_[INDEX[2000:], INDEX[:100]]),
    "turned": (X.transpose()[:, 50:], INDEX[50:]),
    "one of two variables": (HESTON.v[50:], INDEX[50:]),
}

MADE = {
    "last time": X[100:].isel(time=-1) * 2 + 1,
    "payoff": (X.isel(time=-1) - 1).clip(min=-5)[100:],
    "largest over time": X[100:].max("time"),
    "mean over time": X[100:].mean("time"),
    "spread over time": X[100:].std("time"),
    "quantile over time": X[100:].quantile(0.3, "time"),
    "running sum": X[100:].cumsum("time")[:, 1:],
    "increments": X.diff("time")[100:],
    "moving mean": X.rolling(time=2).mean()[100:, 1:],
    "shifted": X.shift(time=1)[100:, 2:],
    "weighted": (X * xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="time")).sum("time")[100:],
    "two of one run": HESTON.s[100:, 1:] - HESTON.v[100:, 1:],
    "times in chunks": X.chunk(time=2)[100:].sum("time"),
    "by a function": xr.apply_ufunc(np.exp, X, dask="parallelized")[100:, 1:],
    "running sum of paths": X.cumsum("path")[100:],
    "centred": (X - X.mean("path"))[100:],
    "stacked": xr.concat([X[100:, 1:], 2 * X[100:, 1:]], "z"),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_lazy_selections_carry_the_index(name):
    found = check(*SELECTIONS[name])
    if name != "one of two variables":
        path = int(found.x_max_path[-1])
        assert mz.replay(DS, path).x[-1] == found.x_max[-1] or name == "turned"


@pytest.mark.parametrize("name", MADE)
def test_what_is_made_of_a_selection_carries_the_index(name):
    check(MADE[name], INDEX[100:])


def test_a_store_of_some_paths_carries_the_index(part):
    stored = mz.open(part)
    found = check(stored, INDEX[1024:3072])
    path = int(found.x_max_path[-1])
    assert path >= 1024
    assert mz.replay(stored, path).x[-1] == found.x_max[-1]
    check(stored.isel(path=slice(5, 90)), INDEX[1029:1114])
    check(stored.isel(path=slice(None, None, -1)), INDEX[1024:3072][::-1])
    check(stored.x[5:, 1:] ** 2, INDEX[1029:3072])
    check(xr.concat([stored.x, X[:10]], "path"), np.r_[1024:3072, :10])
    whole = mz.reduce(xr.concat([X[:1024], stored.x, X[3072:]], "path"), "max")
    np.testing.assert_array_equal(whole.x_max_path, mz.reduce(X, "max").x_max_path)


def test_a_virtual_store_carries_the_index(monkeypatch):
    for most in (10**5, 1):  # as `simulate` returns it, and as a store that is opened
        monkeypatch.setattr("montezarr.store.virtual._store.VIRTUAL_TASKS_MAX", most)
        store = mz.VirtualStore(DS.attrs["montezarr"], n_paths=N, chunks=1024)
        check(store.to_dataset().isel(path=slice(1500, 2600)), INDEX[1500:2600])


def test_ranks_groups_streams_and_lazy_results_carry_it_too(part):
    stored = mz.open(part)
    last = stored.x.isel(time=-1)
    order = np.argsort(-VALUES[1024:3072, -1], kind="stable")[:3] + 1024
    found = mz.reduce(last, mz.Extrema(3))
    np.testing.assert_array_equal(found.x_largest_path, order)
    delayed = mz.reduce(last, mz.Extrema(3), compute=False).compute()
    np.testing.assert_array_equal(delayed.x_largest_path, order)
    *_, snapshot = mz.stream(last, mz.Extrema(3))
    np.testing.assert_array_equal(snapshot["x_largest_path"], order)
    grouped = mz.reduce(last, "max", by=(last > 0).rename("up"))
    assert grouped.x_max_path.sel(up=True) == order[0]
    of_function = mz.reduce(stored, "max", transform=lambda ds: ds.x.isel(time=-1))
    assert of_function.x_max_path == order[0]
    both = mz.reduce(xr.Dataset({"a": X[:100, -1], "b": X[:100][::-1][:, -1]}), "max")
    assert both.a_max_path == both.b_max_path == VALUES[:100, -1].argmax()


def test_a_snapshot_that_is_taken_up_again_has_the_index(part, tmp_path):
    last = mz.open(part).x.isel(time=-1)
    with mz.stream(last, "max", every=1024) as stream:
        next(stream).save(tmp_path / "state.npz")
    *_, snapshot = mz.stream(last, "max", every=1024, resume_from=tmp_path / "state.npz")
    assert snapshot["x_max_path"] == VALUES[1024:3072, -1].argmax() + 1024


def test_statistics_written_beside_some_paths_have_the_index(tmp_path):
    for i, paths in enumerate((range(1024), range(1024, 3072), range(3072, N))):
        mz.write(DS, tmp_path / f"{i}.zarr", paths=paths, statistics="max")
        found = mz.open(tmp_path / f"{i}.zarr", "statistics")
        assert found.x_max_path[-1] == VALUES[paths, -1].argmax() + paths.start
    mz.merge([tmp_path / f"{i}.zarr" for i in range(3)], tmp_path / "all.zarr")
    whole = mz.open(tmp_path / "all.zarr", "statistics")
    assert whole.x_max_path[-1] == VALUES[:, -1].argmax()


# In memory


def test_a_dataset_in_memory_is_held_to_its_recipe(part):
    check_in_memory = mz.reduce(DS.compute(), "max")
    assert check_in_memory.identical(mz.reduce(DS, "max"))
    times = mz.reduce(DS.isel(time=[0, -1]).compute(), "max")
    assert times.x_max_path[-1] == VALUES[:, -1].argmax()
    loaded = mz.reduce(mz.open(part).load(), "max")
    assert loaded.x_max_path[-1] == VALUES[1024:3072, -1].argmax() + 1024
    batch = list(mz.batches(DS, 1000))[2]
    assert mz.reduce(batch, "max").x_max_path[-1] == VALUES[2000:3000, -1].argmax() + 2000
    plain = xr.open_zarr(part)
    assert mz.reduce(plain, "max").x_max_path[-1] == VALUES[1024:3072, -1].argmax() + 1024


@pytest.mark.parametrize(
    "select",
    [
        lambda ds: ds.isel(path=slice(1024, 2048)).compute(),
        lambda ds: ds.isel(path=slice(None, None, -1)).compute(),
        lambda ds: ds.isel(path=MASK).compute(),
        lambda ds: ds.isel(path=SHUFFLED).compute(),
        lambda ds: ds.isel(path=slice(1024, 2048)).persist(),
        lambda ds: ds.isel(path=slice(1, None)).compute(),
    ],
)
def test_a_selection_in_memory_names_no_path(select):
    found = mz.reduce(select(DS), "max")
    assert (found.x_max_path == -1).all()
    assert found.x_max_path.attrs["long_name"] == "index of the path, not known: -1"
    assert np.isfinite(found.x_max).all()


def test_a_part_of_a_store_in_memory_names_no_wrong_path(part):
    found = mz.reduce(mz.open(part).isel(path=slice(5, None)).load(), "max")
    assert (found.x_max_path == -1).all()


def test_a_coordinate_of_integers_tells_which_paths_are_in_memory():
    numbered = DS.assign_coords(path=INDEX)
    for selected in (numbered.isel(path=slice(1024, 2048)), numbered.sel(path=[1030, 7, 2047])):
        found = mz.reduce(selected.compute(), "max")
        path = int(found.x_max_path[-1])
        assert VALUES[path, -1] == found.x_max[-1]
        alone = mz.reduce(selected.x.compute(), "max")
        assert alone.x_max_path[-1] == path


def test_an_array_that_knows_no_run_has_positions():
    for array in (X[1024:].compute(), xr.DataArray(np.arange(5.0)[::-1], dims="path", name="x")):
        found = mz.reduce(array, "max")
        last = array.values.reshape(len(array), -1)[:, -1]
        assert found.x_max_path.values.ravel()[-1] == last.argmax()


def test_what_is_not_understood_names_no_path():
    # Both halves of an expression put other paths side by side.
    mixed = (X + X.isel(path=slice(None, None, -1)).drop_vars("path", errors="ignore")).rename("x")
    found = mz.reduce(mixed, "max")
    assert (found.x_max_path == -1).all()
    assert found.x_max_path.attrs["long_name"] == "index of the path, not known: -1"


def test_another_dimension_has_positions():
    found = mz.reduce(X[1024:, -1].compute().rename(path="sample"), "max", dim="sample")
    assert found.x_max_path == VALUES[1024:, -1].argmax()


# Others that name paths


def test_replay_takes_the_index_in_the_run_of_any_part(part):
    wanted = VALUES[1108].tolist()
    for ds in (
        DS,
        DS.isel(path=slice(1024, 2048)),
        DS.isel(path=slice(None, None, -1)),
        DS.isel(path=slice(1024, 2048)).compute(),
        mz.open(part),
        mz.open(part).isel(path=slice(7)),
        mz.open(part).load(),
    ):
        again = mz.replay(ds, 1108)
        assert again.x.values.tolist() == wanted
        assert again.attrs["path"] == 1108
        assert ds.mz.replay(1108).identical(again)


def test_an_error_names_the_index_where_a_selection_is_computed():
    def fragile(rng):
        x = rng.standard_normal(20)
        return x if x.max() < 3.5 else 1 / 0

    ds = mz.simulate(fragile, 4096, seed=1, chunks=1024)
    with pytest.raises(mz.SamplerError) as caught:
        ds.isel(path=slice(1024, 2048)).compute()
    assert 1024 <= caught.value.path < 2048
    with pytest.raises(ZeroDivisionError):
        mz.replay(ds.isel(path=slice(1024, 2048)), caught.value.path)


def test_a_chunk_that_is_gone_is_named_by_the_index_of_its_first_path(part, tmp_path):
    shutil.copytree(part, tmp_path / "part.zarr")
    shutil.rmtree(tmp_path / "part.zarr" / "x" / "c" / "1")
    with pytest.raises(mz.StoreError, match=r"none for paths from 2,048 on"):
        mz.open(tmp_path / "part.zarr")


def test_the_lines_of_a_picture_are_named_by_the_index(part):
    plt = pytest.importorskip("matplotlib.pyplot")

    def check_names(array, known=True):
        ax = mz.plot.paths(array, n=5, band=None, mean=False)
        for line in ax.lines:
            kind, number = line.get_label().split()
            assert kind == ("_path" if known else "_position")
            if known:
                assert line.get_ydata().tolist() == VALUES[int(number)].tolist()
        plt.close(ax.figure)

    check_names(X)
    check_names(X[1024:2048])
    check_names(mz.open(part).x)
    check_names(mz.open(part).x[::-1])
    mixed = X + 0 * X.isel(path=slice(None, None, -1))
    check_names(mixed, known=False)


# The numbers themselves


def test_indices_of_positions():
    indices = PathIndices((range(10, 13), np.array([7, 3]), range(5, 2, -1)))
    np.testing.assert_array_equal(indices.of(range(8)), [10, 11, 12, 7, 3, 5, 4, 3])
    np.testing.assert_array_equal(indices.of([[-1, 0], [99, 4]]), [[-1, 10], [-1, 3]])
    assert (PathIndices(None).of([0, 5]) == -1).all()
