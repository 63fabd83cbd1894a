"""Paths whose parameter has a prior: in a store that is killed, resumed, extended and merged."""

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
    values = np.random.default_rng(5).normal(1.8, 0.3, 260)
    path = tmp_path / "paths.zarr"
    mz.write(priors.epidemics(name, 150, 1024, values[:150]), path)
    before = priors.files(path)
    with pytest.raises(mz.ArgumentValueError, match="the one that was written: vary = "):
        mz.extend(path, 260, ds=priors.epidemics(name, 260, 1024, values))
    assert priors.files(path) == before
