"""Grids of scenarios to store, and the inner chunks of their shards."""

import numpy as np
import pytest
import xarray as xr

import montezarr as mz

SIGMAS = [0.1, 0.2, 0.35]
GRID = {"sigma": xr.DataArray(SIGMAS, dims="sigma", coords={"sigma": SIGMAS})}
TOGETHER = mz.Storage(scenario_chunk="all")
STORAGES = [
    mz.Storage(),
    mz.Storage(compression="gzip", inner_chunk=1024),
    *(
        pytest.param(storage, marks=pytest.mark.slow)
        for storage in (
            mz.Storage(inner_chunk=1024),
            mz.Storage(compression="zstd"),
            mz.Storage(compression="blosc"),
            mz.Storage(dtype="float32", keep_bits=9),
        )
    ),
]


def gbm_of(sigma=0.2):
    return mz.GeometricBrownianMotion(mu=0.05, sigma=sigma)


def grid(n=4700, T=3, chunks=2048, vary=GRID, dt=0.1):
    x0 = None if "x0" in vary else 100.0
    return mz.simulate(gbm_of(), n, T, x0, dt=dt, seed=7, chunks=chunks, vary=vary)


def wide(n=2600):
    """Two dimensions, a parameter of each path, and what is made with scenarios elsewhere."""
    both = GRID | {
        "mu": xr.DataArray([0.1, 0.2], dims="case"),
        "x0": np.linspace(90, 110, n),
    }
    ds = grid(n, vary=both)
    strike = xr.DataArray([90.0, 100.0], dims="strike")
    payoff = (ds.x.isel(time=-1) - strike).clip(min=0)
    return ds.assign(payoff=payoff, late=ds.x.transpose("time", "path", "sigma", "case"))


def parts_of(data, count):
    """Return the inner chunks of a shard by its index, which is at the end."""
    index = np.frombuffer(data[-16 * count - 4 : -4], "<u8").reshape(count, 2).tolist()
    return [data[low : low + size] for low, size in index]
