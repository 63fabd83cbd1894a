"""``ds.mz`` forwards to the functions of montezarr: same arguments, results, errors and help."""

import inspect

import pytest
import xarray as xr

import montezarr as mz
from montezarr.accessor import DataArrayAccessor, DatasetAccessor, PlotMethods

GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
METHODS = [
    (kind, name)
    for kind in (DatasetAccessor, DataArrayAccessor)
    for name in dir(kind)
    if not name.startswith("_") and inspect.isfunction(getattr(kind, name))
]


@pytest.fixture
def ds():
    return mz.simulate(GBM, 3000, 12, x0=100.0, seed=1, chunks=1024)


def test_there_is_a_method_for_every_function_that_takes_such_an_object():
    there = {kind: {name for owner, name in METHODS if owner is kind} for kind, _ in METHODS}
    both = {"plan", "reduce", "stream"}
    assert there[DataArrayAccessor] == both
    assert there[DatasetAccessor] == both | {"replay", "write", "batches"}


@pytest.mark.parametrize(
    ("kind", "name"), METHODS, ids=lambda value: getattr(value, "_what", value)
)
def test_a_method_has_the_arguments_and_the_help_of_its_function(kind, name):
    method, function = getattr(kind, name), getattr(mz, name)
    first, *others = inspect.signature(function).parameters.values()
    assert list(inspect.signature(method).parameters.values())[1:] == others
    doc = inspect.getdoc(method)
    assert doc.startswith(inspect.getdoc(function).splitlines()[0])
    assert f"`montezarr.{name}`" in doc
    assert f"\n{first.name} : " not in doc
    assert "Raises\n------" in doc
    assert ">>>" not in doc
    for parameter in others:
        assert parameter.name in doc


def test_results_are_those_of_the_functions(ds, tmp_path):
    last = ds.x.isel(time=-1)
    xr.testing.assert_identical(ds.mz.reduce("mean"), mz.reduce(ds, "mean"))
    xr.testing.assert_identical(last.mz.reduce(["q05"], dim="path"), mz.reduce(last, "q05"))
    xr.testing.assert_identical(ds.mz.replay(7), mz.replay(ds, 7))
    assert ds.mz.plan("mean", storage=mz.Storage()).store_bytes == mz.plan(
        ds, "mean", storage=mz.Storage()
    ).store_bytes  # fmt: skip
    assert last.mz.plan().paths == 3000
    mine = [s.dataset for s in last.mz.stream("mean", mz.PathCount(2048))]
    assert len(mine) == 2
    xr.testing.assert_identical(
        mine[-1], list(mz.stream(last, "mean", mz.PathCount(2048)))[-1].dataset
    )
    parts = list(ds.mz.batches(1500))
    assert [part.sizes["path"] for part in parts] == [1500, 1500]
    xr.testing.assert_equal(ds.mz.write(tmp_path / "a.zarr"), mz.open(tmp_path / "a.zarr"))


@pytest.mark.parametrize(
    ("call", "function"),
    [
        (lambda ds: ds.mz.replay(-1), lambda ds: mz.replay(ds, -1)),
        (lambda ds: ds.mz.replay(), lambda ds: mz.replay(ds)),
        (lambda ds: ds.mz.reduce("nothing"), lambda ds: mz.reduce(ds, "nothing")),
        (lambda ds: ds.x.mz.reduce("mean", dim="no"), lambda ds: mz.reduce(ds.x, "mean", dim="no")),
        (lambda ds: ds.mz.batches(0).__next__(), lambda ds: mz.batches(ds, 0).__next__()),
        (lambda ds: ds.mz.stream("mean", 3), lambda ds: mz.stream(ds, "mean", 3)),
        (lambda ds: ds.mz.write(3), lambda ds: mz.write(ds, 3)),
        (lambda ds: xr.Dataset().mz.plan(), lambda ds: mz.plan(xr.Dataset())),
        (lambda ds: xr.Dataset().mz.replay(1), lambda ds: mz.replay(xr.Dataset(), 1)),
    ],
)
def test_errors_are_those_of_the_functions(ds, call, function):
    with pytest.raises(Exception) as mine:
        call(ds)
    with pytest.raises(Exception) as theirs:
        function(ds)
    assert type(mine.value) is type(theirs.value)
    assert str(mine.value) == str(theirs.value)


def test_the_recipe_of_what_has_none_is_an_error(ds):
    with pytest.raises(mz.ArgumentValueError, match="a Dataset of montezarr"):
        _ = xr.Dataset().mz.recipe
    with pytest.raises(mz.ArgumentValueError, match="a Dataset of montezarr"):
        _ = ds.x.compute().mz.recipe


def test_the_repr_lists_what_is_there_and_computes_nothing(ds):
    text = str(ds.mz)
    assert text.startswith("ds.mz: 3,000 paths of GeometricBrownianMotion\n")
    for name in ("batches(…)", "plan(…)", "plot ", "recipe ", "reduce(…)", "stream(…)", "write(…)"):
        assert f".{name}" in text
    for name in dir(PlotMethods):
        assert name.startswith("_") or f".{name}" in text
    assert len(text.splitlines()) <= 15
    assert str(ds.x.mz).startswith("ds.x.mz: 3,000 paths of GeometricBrownianMotion\n")
    assert "replay" not in str(ds.x.mz)
    broken = mz.simulate(_fails_later, 2000, seed=1)
    assert "2,000 paths of _fails_later" in str(broken.mz)
    assert "no paths, without a recipe" in str(xr.Dataset().mz)
    assert "5 paths, without a recipe" in str(xr.DataArray([1.0] * 5, dims="path").mz)


def _fails_later(rng):
    x = rng.normal(size=3)
    if x[0] > 2.5:
        raise AssertionError("computed")
    return x
