"""Paths whose parameter has a prior: in a store that is killed, resumed, extended and merged."""

import dask.array as da
import numpy as np
import pytest
from benchmarks import priors

import montezarr as mz


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n", "chunk"), [("many", 12_000, 1024), ("one", 2100, 1024)])
def test_a_store_with_a_prior_has_the_bytes_of_one_undisturbed(name, n, chunk, tmp_path):
    with mz.backend("threads", 2):
        found = priors.shown(name, n, chunk, tmp_path)
    assert found["killed, resumed, extended"]
    assert found["merged"]
    assert found["ribbons alike"]
    assert found["shown after the kill"] <= n // 2 + 77
    ds = mz.open(tmp_path / "whole.zarr").compute()
    group = np.digitize(ds.R0, priors.EDGES)
    ribbons = found["ribbons"].infected_quantile.transpose("group", "quantile", "time")
    assert ribbons.sizes["group"] == 3
    for place, ribbon in enumerate(ribbons.values):
        values = ds.infected.values[group == place]
        low, high = (
            np.quantile(values, [0.05, 0.5, 0.95], axis=0, method=side)
            for side in ("lower", "higher")
        )
        assert (ribbon >= 0.99 * low).all()
        assert (ribbon <= 1.01 * high).all()


@pytest.mark.parametrize("name", priors.SAMPLERS)
def test_an_extended_store_is_a_fresh_one(name, tmp_path):
    """Also where the block of the last paths is drawn again: its values past the end are known."""
    n, more = (1500, 2600) if name == "many" else (150, 260)
    mz.write(priors.epidemics(name, n, 1024), tmp_path / "grown.zarr")
    mz.extend(tmp_path / "grown.zarr", more, process=priors.SAMPLERS[name])
    mz.write(priors.epidemics(name, more, 1024), tmp_path / "fresh.zarr")
    assert priors.files(tmp_path / "grown.zarr") == priors.files(tmp_path / "fresh.zarr")


@pytest.mark.parametrize("name", priors.SAMPLERS)
def test_a_store_with_an_array_for_its_paths_is_not_extended_by_another_run(name, tmp_path):
    """An array is in the recipe as a whole: a longer one is another run."""
    values = np.random.default_rng(5).uniform(1.2, 2.4, 260)
    path, sampler = tmp_path / "paths.zarr", priors.SAMPLERS[name]
    mz.write(priors.epidemics(name, 150, 1024, values[:150]), path)
    before = priors.files(path)
    longer = priors.epidemics(name, 260, 1024, values)
    for ds, message in (
        (None, "n_paths: expected at most 150, for which this run has its R0, got 260"),
        (longer, "ds: expected the one that was written, with the same R0 for all its paths, got"),
    ):
        with pytest.raises(mz.ArgumentValueError, match=rf"{message}.*paths=range"):
            mz.extend(path, 260, ds=ds, process=sampler if ds is None else None)
    other = priors.epidemics(name, 150, 1024)
    with pytest.raises(mz.ArgumentValueError, match=r"ds: expected the one .*: vary ="):
        mz.extend(path, 150, ds=other)
    assert priors.files(path) == before


@pytest.mark.parametrize("kind", ["parameter", "lazy parameter", "x0"])
def test_a_store_grows_up_to_the_values_of_an_array(kind, tmp_path):
    """Blocks of code that draws many paths at a time are whole in all of them."""
    values = np.random.default_rng(5).uniform(1.2, 2.4, 2600)

    def run(n):
        given = da.from_array(values[:n], chunks=1000) if kind == "lazy parameter" else values[:n]
        if kind == "x0":
            return mz.simulate(walks, n, 5, given, seed=11, chunks=1024)
        return priors.epidemics("many", n, 1024, given)

    ds, path = run(2600), tmp_path / "paths.zarr"
    process = {"process": walks if kind == "x0" else priors.many}
    mz.write(ds, path, paths=range(1024))
    mz.extend(path, 2048, **({"ds": ds} if "lazy" in kind else process))
    with pytest.raises(mz.ArgumentValueError, match="paths: expected a range of whole chunks"):
        mz.write(ds, tmp_path / "odd.zarr", paths=range(1500))
    mz.extend(path, 2600, **({"ds": ds} if "lazy" in kind else process))
    mz.write(ds, tmp_path / "fresh.zarr")
    assert priors.files(path) == priors.files(tmp_path / "fresh.zarr")
    # The values of a block reach all of its paths; whole blocks are those of a run of fewer paths.
    name = "x" if kind == "x0" else "infected"
    few, stored = run(1500).compute(), mz.open(path)
    assert np.array_equal(few[name][:1024], stored[name][:1024])
    assert not np.array_equal(few[name][1024:], stored[name][1024:1500])


def walks(n, T, x0, rng):
    """Walks whose random numbers depend on the states of all paths of a block."""
    x = np.empty((n, T + 1))
    x[:, 0] = x0
    for t in range(T):
        x[:, t + 1] = x[:, t] + rng.poisson(x[:, t])
    return x
