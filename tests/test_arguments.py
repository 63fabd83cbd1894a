"""Wrong arguments: a typed error at once, that names the argument, what was expected and got.

A row is a call as it would be typed, the built-in error that a caller may catch, and the name with
which the message begins. A new public function adds a table of rows, and its name to `TABLES`.
"""

import inspect
import os
import re

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from patience import calls_of

import montezarr as mz
from montezarr import MemoryBudgetError
from montezarr.random.bits import stream
from montezarr.run._arguments import bind_arguments
from montezarr.samplers.arguments import ARGUMENTS
from montezarr.statistics.risk import closed_form_risk, estimate_risk

BM = mz.BrownianMotion()
GBM = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
HESTON = mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7)
CHAIN = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
CIR = mz.Diffusion(
    drift=lambda t, x: 0.5 * (0.04 - x), diffusion=lambda t, x: 0.1 * np.abs(x) ** 0.5
)


class NoText:
    def __repr__(self):
        raise RuntimeError("no text")


class PathWithoutStream:
    def sample_path(self, T, x0):
        return np.zeros(T + 1)


class BlocksWithoutStream:
    def sample_paths(self, n, T, x0):
        return np.zeros((n, T + 1))


class Range:
    def sample(self, draws, grid, x0):
        return draws.normal(range(grid.T + 1))


class OnlySome(Range):
    variables = ("x", 3)


def steps(rng, T):
    return rng.standard_normal(T + 1)


def words(rng):
    return ["a", "b"]


SCOPE = {
    **{name: getattr(mz, name) for name in dir(mz) if not name.startswith("_")},
    **{
        "BM": BM, "GBM": GBM, "HESTON": HESTON, "CHAIN": CHAIN, "CIR": CIR,
        "DS": mz.simulate(GBM, 10, 3, seed=1), "EACH": mz.simulate(BM, 3, 2, x0=np.ones(3), seed=1),
        "NoText": NoText, "PathWithoutStream": PathWithoutStream,
        "BlocksWithoutStream": BlocksWithoutStream, "OnlySome": OnlySome, "Range": Range,
        "steps": steps, "words": words,
        "np": np, "da": da, "xr": xr, "mz": mz, "nan": float("nan"), "inf": float("inf"),
        "estimate_risk": estimate_risk, "closed_form_risk": closed_form_risk, "stream": stream,
        "price": [1.0, 1.1, 1.05, 1.2], "f": lambda t, x: x,
    },
}  # fmt: skip

SIMULATE_ROWS = [
    ("simulate(GBM, 10, 5, keep=6)", ValueError, "keep"),
    ("Draws.of(1, n=5).gaussian_recursion(np.ones((2, 3)), 0.0)", ValueError, "coefficients"),
    ("Draws.of(1, n=5).fill('normal', 0, np.empty((2, 9)))", ValueError, "out"),
    ("Draws.of(1, n=5).fill('cauchy', 0, np.empty((2, 5)))", ValueError, "kind"),
    ("CHAIN.distribution(-1, 'calm')", ValueError, "t"),
    ("CHAIN.distribution(1.5, 'calm')", TypeError, "t"),
    # the process
    ("simulate(None, 10, 5)", TypeError, "process"),
    ("simulate(3, 10, 5)", TypeError, "process"),
    ("simulate('GBM', 10, 5)", TypeError, "process"),
    ("simulate(NoText(), 10, 5)", TypeError, "process"),
    ("simulate(BrownianMotion, 10, 5)", TypeError, "process"),
    ("simulate(max, 10, 5)", TypeError, "process"),
    ("simulate(lambda: 1.0, 10, 5)", TypeError, "process"),
    ("simulate(lambda random: 1.0, 10, 5)", TypeError, "process"),
    ("simulate(lambda **kw: 1.0, 10, 5)", TypeError, "process"),
    ("simulate(np.random.default_rng(1), 10, 5)", TypeError, "process"),
    ("simulate(PathWithoutStream(), 10, 5)", TypeError, "process"),
    ("simulate(BlocksWithoutStream(), 10, 5)", TypeError, "process"),
    ("simulate(OnlySome(), 10, 5)", ValueError, "process"),
    # how many paths
    ("simulate(GBM, 0, 5)", ValueError, "n_paths"),
    ("simulate(GBM, -1, 5)", ValueError, "n_paths"),
    ("simulate(GBM, 10.0, 5)", TypeError, "n_paths"),
    ("simulate(GBM, 1.5, 5)", TypeError, "n_paths"),
    ("simulate(GBM, True, 5)", TypeError, "n_paths"),
    ("simulate(GBM, '10', 5)", TypeError, "n_paths"),
    ("simulate(GBM, None, 5, chunks=1024)", ValueError, "chunks"),
    ("simulate(GBM, nan, 5)", TypeError, "n_paths"),
    ("simulate(GBM, [10], 5)", TypeError, "n_paths"),
    ("simulate(GBM, np.array(10), 5)", TypeError, "n_paths"),
    ("simulate(GBM, 2**63, 5)", ValueError, "n_paths"),
    ("simulate(GBM, -10**5000, 5)", ValueError, "n_paths"),
    ("simulate(GBM, NoText(), 5)", TypeError, "n_paths"),
    ("simulate(GBM, np.timedelta64(10, 'D'), 5)", TypeError, "n_paths"),
    ("simulate(GBM, 10**18, 5)", MemoryBudgetError, "n_paths"),
    ("simulate(GBM, 2**63 - 1, 0)", MemoryBudgetError, "n_paths"),
    # the grid
    ("simulate(GBM, 10)", ValueError, "T"),
    ("simulate(GBM, 10, -1)", ValueError, "T"),
    ("simulate(GBM, 10, 5.0)", TypeError, "T"),
    ("simulate(GBM, 10, nan)", TypeError, "T"),
    ("simulate(GBM, 10, inf)", TypeError, "T"),
    ("simulate(GBM, 10, 1e-320)", TypeError, "T"),
    ("simulate(GBM, 10, True)", TypeError, "T"),
    ("simulate(GBM, 10, '5')", TypeError, "T"),
    ("simulate(GBM, 10, [5])", TypeError, "T"),
    ("simulate(GBM, 10, 2**32 + 1)", ValueError, "T"),
    ("simulate(GBM, 10, 10**400)", ValueError, "T"),
    ("simulate(steps, 10)", ValueError, "T"),
    ("simulate(GBM, 10, 5, dt=0)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=-0.1)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=nan)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=inf)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=1e-320)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=1e308)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt=10**400)", ValueError, "dt"),
    ("simulate(GBM, 10, 5, dt='daily')", TypeError, "dt"),
    ("simulate(GBM, 10, 5, dt=True)", TypeError, "dt"),
    ("simulate(GBM, 10, 5, dt=1j)", TypeError, "dt"),
    ("simulate(GBM, 10, 5, dt=np.timedelta64(1, 'D'))", TypeError, "dt"),
    ("simulate(GBM, 10, times=[0, 1, 1])", ValueError, "times"),
    ("simulate(GBM, 10, times=[1, 0])", ValueError, "times"),
    ("simulate(GBM, 10, times=[])", ValueError, "times"),
    ("simulate(GBM, 10, times=[0, nan])", ValueError, "times"),
    ("simulate(GBM, 10, times=[[0, 1]])", ValueError, "times"),
    ("simulate(GBM, 10, times=[[0, 1], [2]])", ValueError, "times"),
    ("simulate(GBM, 10, times=['a', 'b'])", TypeError, "times"),
    ("simulate(GBM, 10, times=np.array(['2024-01-01'], 'M8[D]'))", TypeError, "times"),
    ("simulate(GBM, 10, times=3)", ValueError, "times"),
    ("simulate(GBM, 10, 5, times=[0, 1])", ValueError, "T"),
    ("simulate(GBM, 10, times=[0, 1], dt=0.5)", ValueError, "dt"),
    # the initial state
    ("simulate(GBM, 10, 5, x0=nan)", ValueError, "x0"),
    ("simulate(GBM, 10, 5, x0=inf)", ValueError, "x0"),
    ("simulate(GBM, 10, 5, x0='100')", TypeError, "x0"),
    ("simulate(GBM, 10, 5, x0=1j)", TypeError, "x0"),
    ("simulate(GBM, 10, 5, x0=True)", TypeError, "x0"),
    ("simulate(GBM, 10, 5, x0=object())", TypeError, "x0"),
    ("simulate(GBM, 10, 5, x0={'x': 1.0})", TypeError, "x0"),
    ("simulate(GBM, 10, 5, x0=[])", ValueError, "x0"),
    ("simulate(GBM, 10, 5, x0=[1.0, 2.0])", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=[1.0, nan])", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=[1.0, 1j])", TypeError, "x0"),
    ("simulate(GBM, 2, 5, x0=[[1.0], [2.0, 3.0]])", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=[None, 1.0])", TypeError, "x0"),
    ("simulate(GBM, 2, 5, x0=np.ones((2, 2)))", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=da.ones(3))", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=da.ones(2) > 0)", TypeError, "x0"),
    ("simulate(GBM, 2, 5, x0=xr.DataArray([1.0, 2.0, 3.0]))", ValueError, "x0"),
    ("simulate(GBM, 2, 5, x0=1e300, dtype='float32')", ValueError, "x0"),
    ("simulate(CIR, 10, 5)", ValueError, "x0"),
    ("simulate(RandomWalk(), 10, 5, x0=0.5)", ValueError, "x0"),
    ("simulate(RandomWalk(), 10, 5, x0=2**40, dtype='int32')", ValueError, "x0"),
    ("simulate(CHAIN, 10, 5, x0='rain')", ValueError, "x0"),
    ("simulate(CHAIN, 10, 5, x0=0)", ValueError, "x0"),
    ("simulate(CHAIN, 2, 5, x0=['calm', 'rain'])", ValueError, "x0"),
    ("simulate(HESTON, 10, 5, x0=100.0)", TypeError, "x0"),
    ("simulate(HESTON, 10, 5, x0=(1.0,))", ValueError, "x0"),
    ("simulate(HESTON, 10, 5, x0=(1.0, 0.04, 3.0))", ValueError, "x0"),
    ("simulate(HESTON, 10, 5, x0={'s': 1.0})", ValueError, "x0"),
    ("simulate(HESTON, 10, 5, x0={'s': 1.0, 'w': 0.04})", ValueError, "x0"),
    ("simulate(HESTON, 10, 5, x0=(-1.0, 0.04))", ValueError, "x0['s']"),
    ("simulate(HESTON, 10, 5, x0=(1.0, -0.04))", ValueError, "x0['v']"),
    ("simulate(HESTON, 10, 5, x0=(1.0, 'low'))", TypeError, "x0['v']"),
    ("simulate(HESTON, 3, 5, x0=(1.0, np.ones(2)))", ValueError, "x0"),
    # the seed
    ("simulate(GBM, 10, 5, seed=-1)", ValueError, "seed"),
    ("simulate(GBM, 10, 5, seed=1.0)", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=True)", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed='42')", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=b'42')", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=[])", ValueError, "seed"),
    ("simulate(GBM, 10, 5, seed=[1, -1])", ValueError, "seed"),
    ("simulate(GBM, 10, 5, seed=[1, 2.0])", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=np.array([0.5]))", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=np.ones((2, 2), int))", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed={1, 2})", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=np.random.default_rng(1))", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=np.random.PCG64(1))", TypeError, "seed"),
    ("simulate(GBM, 10, 5, seed=np.random.RandomState(1))", TypeError, "seed"),
    # dtype, chunks, keep
    ("simulate(GBM, 10, 5, dtype='int64')", ValueError, "dtype"),
    ("simulate(GBM, 10, 5, dtype='float16')", ValueError, "dtype"),
    ("simulate(GBM, 10, 5, dtype=complex)", ValueError, "dtype"),
    ("simulate(GBM, 10, 5, dtype='real')", TypeError, "dtype"),
    ("simulate(GBM, 10, 5, dtype='f8,,')", TypeError, "dtype"),
    ("simulate(GBM, 10, 5, dtype=('f8', -1))", TypeError, "dtype"),
    ("simulate(GBM, 10, 5, dtype=64)", TypeError, "dtype"),
    ("simulate(CHAIN, 10, 5, dtype='float64')", ValueError, "dtype"),
    ("simulate(lambda rng: 1.5, 10, dtype='int32')", ValueError, "dtype"),
    ("simulate(GBM, 10, 5, chunks=0)", ValueError, "chunks"),
    ("simulate(GBM, 10, 5, chunks=-1)", ValueError, "chunks"),
    ("simulate(GBM, 10, 5, chunks=1024.0)", TypeError, "chunks"),
    ("simulate(GBM, 10, 5, chunks='auto')", TypeError, "chunks"),
    ("simulate(GBM, 10, 5, chunks=(1024, 6))", TypeError, "chunks"),
    ("simulate(GBM, 10, 5, chunks=True)", TypeError, "chunks"),
    ("simulate(GBM, 10**15, 10**5, chunks=10**12)", MemoryBudgetError, "chunks"),
    ("simulate(GBM, 10**15, 5, chunks=1)", MemoryBudgetError, "n_paths"),
    ("simulate(GBM, 10, 5, keep=0)", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=-1)", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=1.0)", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep='all')", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=True)", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=slice(0, 3))", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=[])", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=[6])", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=[-7])", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=[3, 2])", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=[5, -1])", ValueError, "keep"),
    ("simulate(GBM, 10, 5, keep=[0.5])", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=[True, False])", TypeError, "keep"),
    ("simulate(GBM, 10, 5, keep=np.array(3))", TypeError, "keep"),
    # labels, policy, options
    ("simulate(GBM, 10, 5, labels=['a'])", ValueError, "labels"),
    ("simulate(Range(), 10, 5, labels=['a'])", ValueError, "labels"),
    ("simulate(words, 10)", ValueError, "labels"),
    ("simulate(words, 10, labels=[])", ValueError, "labels"),
    ("simulate(words, 10, labels=['a', 'a'])", ValueError, "labels"),
    ("simulate(words, 10, labels='ab')", TypeError, "labels"),
    ("simulate(words, 10, labels={'a', 'b'})", TypeError, "labels"),
    ("simulate(words, 10, labels=[0.5, 'a'])", TypeError, "labels"),
    ("simulate(words, 10, labels=[True, 'a'])", TypeError, "labels"),
    ("simulate(GBM, 10, 5, on_nonfinite='ignore')", ValueError, "on_nonfinite"),
    ("simulate(GBM, 10, 5, on_nonfinite=None)", TypeError, "on_nonfinite"),
    ("simulate(GBM, 10, 5, legacy_global_rng=1)", TypeError, "legacy_global_rng"),
    ("simulate(GBM, 10, 5, legacy_global_rng='yes')", TypeError, "legacy_global_rng"),
    ("simulate(GBM, 10, 5, sede=42)", TypeError, "sede"),
    ("simulate(GBM, npaths=3, T=5)", TypeError, "npaths"),
    ("simulate(GBM, T=5)", TypeError, "n_paths"),
    ("simulate(steps, 10, 5, chunk=1024)", TypeError, "chunk"),
    ("simulate(GBM, 10, 5, seed={'entropy': 42})", ValueError, "seed"),
    ("simulate(GBM, 10, 5, seed={'seed': '42'})", TypeError, "seed"),
    ("simulate(lambda rng: {'time': [1.0]}, 10)", ValueError, "process"),
]

REPLAY_ROWS = [
    ("replay(DS, -1)", ValueError, "path"),
    ("replay(DS, 1.0)", TypeError, "path"),
    ("replay(DS, True)", TypeError, "path"),
    ("replay(DS, None)", TypeError, "path"),
    ("replay(DS, '3')", TypeError, "path"),
    ("replay(DS, [1, 2])", TypeError, "path"),
    ("replay(DS, 2**63 - 1)", ValueError, "path"),
    ("replay(DS, 2**64)", ValueError, "path"),
    ("replay(EACH, 3)", ValueError, "path"),
    ("replay(None, 1)", TypeError, "ds"),
    ("replay(GBM, 1)", TypeError, "ds"),
    ("replay(xr.Dataset(), 1)", ValueError, "ds"),
    ("replay(DS.assign_attrs(montezarr=3), 1)", ValueError, "ds"),
    ("replay(DS.assign_attrs(montezarr='{'), 1)", ValueError, "ds"),
    ("replay(DS.assign_attrs(montezarr='[]'), 1)", ValueError, "ds"),
    ("replay(DS.assign_attrs(montezarr='{\"format\": 1}'), 1)", ValueError, "ds"),
    ("plan(None)", TypeError, "ds"),
    ("plan(DS.x.values)", TypeError, "ds"),
    ("plan(xr.Dataset())", ValueError, "ds"),
    ("plan(DS.x.drop_attrs().compute())", ValueError, "ds"),
]

SEED_ROWS = [
    ("generate_path_seeds(42, -1)", ValueError, "n_paths"),
    ("generate_path_seeds(42, 1.0)", TypeError, "n_paths"),
    ("generate_path_seeds(42, None)", TypeError, "n_paths"),
    ("generate_path_seeds(42, True)", TypeError, "n_paths"),
    ("generate_path_seeds(-42, 1)", ValueError, "seed"),
    ("generate_path_seeds(0.5, 1)", TypeError, "seed"),
    ("generate_path_seeds(np.random.default_rng(1), 1)", TypeError, "seed"),
]

DRAWS_ROWS = [
    ("Draws.of(-1)", ValueError, "seed"),
    ("Draws.of('1')", TypeError, "seed"),
    ("Draws.of(1, start=-1)", ValueError, "start"),
    ("Draws.of(1, start=1.0)", TypeError, "start"),
    ("Draws.of(1, start=2**63)", ValueError, "start"),
    ("Draws.of(1, n=-1)", ValueError, "n"),
    ("Draws.of(1, n=2.0)", TypeError, "n"),
    ("Draws.of(1, start=2**63 - 2, n=2)", ValueError, "n"),
    ("Draws.of(1, dtype='int64')", ValueError, "dtype"),
    ("Draws.of(1, dtype='real')", TypeError, "dtype"),
    ("Draws.of(1, implementation='fortran')", ValueError, "implementation"),
    ("Draws.of(1, implementation=3)", TypeError, "implementation"),
    ("Draws.of(1).normal(-1)", ValueError, "steps"),
    ("Draws.of(1).normal(0.5)", TypeError, "steps"),
    ("Draws.of(1).normal([1, 2])", TypeError, "steps"),
    ("Draws.of(1).normal(range(0, 4, 2))", ValueError, "steps"),
    ("Draws.of(1).normal(range(-1, 4))", ValueError, "steps"),
    ("Draws.of(1).uniform(2**32)", ValueError, "steps"),
    ("Draws.of(1).uniform(0, slot=-1)", ValueError, "slot"),
    ("Draws.of(1).exponential(0, slot=2**32)", ValueError, "slot"),
    ("Draws.of(1).exponential(0, slot='a')", TypeError, "slot"),
    ("Draws.of(1).words(-1)", ValueError, "group"),
    ("Draws.of(1).words(0, slot=0.5)", TypeError, "slot"),
]

GRID_ROWS = [
    ("TimeGrid.of(-1)", ValueError, "T"),
    ("TimeGrid.of(1.5)", TypeError, "T"),
    ("TimeGrid.of()", TypeError, "T"),
    ("TimeGrid.of(2**33)", ValueError, "T"),
    ("TimeGrid.of(3, dt=0.0)", ValueError, "dt"),
    ("TimeGrid.of(3, dt='1')", TypeError, "dt"),
    ("TimeGrid.of(2**32, dt=1e300)", ValueError, "dt"),
    ("TimeGrid.of(times=[0.0, 0.0])", ValueError, "times"),
    ("TimeGrid.of(times=None, T=None, dt=1.0)", TypeError, "T"),
    ("TimeGrid.of(2, times=[0.0, 1.0])", ValueError, "T"),
    ("TimeGrid.of(True, times=[0.0, 1.0])", TypeError, "T"),
    ("TimeGrid.of(dt=1.0, times=[0.0, 1.0])", ValueError, "dt"),
]

PROCESS_ROWS = [
    ("BrownianMotion(mu=nan)", ValueError, "mu"),
    ("BrownianMotion(mu=inf)", ValueError, "mu"),
    ("BrownianMotion(mu=10**400)", ValueError, "mu"),
    ("BrownianMotion(mu='0')", TypeError, "mu"),
    ("BrownianMotion(mu=None)", TypeError, "mu"),
    ("BrownianMotion(mu=[0.0])", TypeError, "mu"),
    ("BrownianMotion(mu=1j)", TypeError, "mu"),
    ("BrownianMotion(sigma=-1)", ValueError, "sigma"),
    ("BrownianMotion(sigma=True)", TypeError, "sigma"),
    ("BrownianMotion(sigma=NoText())", TypeError, "sigma"),
    ("GeometricBrownianMotion(mu=0.0, sigma=-0.1)", ValueError, "sigma"),
    ("GeometricBrownianMotion(mu=0.0, sigma=nan)", ValueError, "sigma"),
    ("GeometricBrownianMotion(mu='5%', sigma=0.1)", TypeError, "mu"),
    ("OrnsteinUhlenbeck(theta=0.0, mu=0.0, sigma=1.0)", ValueError, "theta"),
    ("OrnsteinUhlenbeck(theta=-1.0, mu=0.0, sigma=1.0)", ValueError, "theta"),
    ("OrnsteinUhlenbeck(theta=1.0, mu=0.0, sigma=-1.0)", ValueError, "sigma"),
    ("Heston(mu=0, kappa=0, theta=1, xi=1, rho=0)", ValueError, "kappa"),
    ("Heston(mu=0, kappa=1, theta=-1, xi=1, rho=0)", ValueError, "theta"),
    ("Heston(mu=0, kappa=1, theta=1, xi=0, rho=0)", ValueError, "xi"),
    ("Heston(mu=0, kappa=1, theta=1, xi=1, rho=1.5)", ValueError, "rho"),
    ("Heston(mu=0, kappa=1, theta=1, xi=1, rho='high')", TypeError, "rho"),
    ("RandomWalk(p=-0.1)", ValueError, "p"),
    ("RandomWalk(p=1.1)", ValueError, "p"),
    ("RandomWalk(p=None)", TypeError, "p"),
    ("PoissonProcess(rate=0.0)", ValueError, "rate"),
    ("PoissonProcess(rate=-1.0)", ValueError, "rate"),
    ("PoissonProcess(rate=inf)", ValueError, "rate"),
    ("MarkovChain(transition=[])", ValueError, "transition"),
    ("MarkovChain(transition=[0.5, 0.5])", ValueError, "transition"),
    ("MarkovChain(transition=[[1.0, 0.0]])", ValueError, "transition"),
    ("MarkovChain(transition=[[0.5, 0.6], [0.5, 0.5]])", ValueError, "transition"),
    ("MarkovChain(transition=[[1.5, -0.5], [0.5, 0.5]])", ValueError, "transition"),
    ("MarkovChain(transition=[[nan, 1.0], [0.5, 0.5]])", ValueError, "transition"),
    ("MarkovChain(transition=[[1.0], [0.5, 0.5]])", ValueError, "transition"),
    ("MarkovChain(transition='identity')", TypeError, "transition"),
    ("MarkovChain(transition=[[1.0]], states=['a', 'b'])", ValueError, "states"),
    ("MarkovChain(transition=[[0.5, 0.5]] * 2, states=['a', 'a'])", ValueError, "states"),
    ("MarkovChain(transition=[[0.5, 0.5]] * 2, states='ab')", TypeError, "states"),
    ("MarkovChain(transition=[[0.5, 0.5]] * 2, states=[0.5, 'a'])", TypeError, "states"),
    ("CHAIN.distribution(3, 'rain')", ValueError, "x0"),
    ("Diffusion(drift=1.0, diffusion=f)", TypeError, "drift"),
    ("Diffusion(drift=f, diffusion=None)", TypeError, "diffusion"),
    ("Diffusion(drift=f, diffusion=f, scheme='euler')", TypeError, "scheme"),
    ("Diffusion(drift=f, diffusion=f, scheme=Milstein)", TypeError, "scheme"),
    ("Diffusion(drift=f, diffusion=f, names='xy')", TypeError, "names"),
    ("Diffusion(drift=f, diffusion=f, names=())", ValueError, "names"),
    ("Diffusion(drift=f, diffusion=f, names=('x', 'x'))", ValueError, "names"),
    ("Diffusion(drift=f, diffusion=f, names=('x', 'time'))", ValueError, "names"),
    ("Diffusion(drift=f, diffusion=f, names=('x', 'a b'))", ValueError, "names"),
    ("Diffusion(drift=f, diffusion=f, noises=0)", ValueError, "noises"),
    ("Diffusion(drift=f, diffusion=f, noises=1.0)", TypeError, "noises"),
    ("Diffusion(drift=f, diffusion=f, correlation=[[2.0]])", ValueError, "correlation"),
    ("Diffusion(drift=f, diffusion=f, correlation=[1.0])", ValueError, "correlation"),
    ("Diffusion(drift=f, diffusion=f, correlation=[[1, .5], [.4, 1]])", ValueError, "correlation"),
    ("Diffusion(drift=f, diffusion=f, correlation=[[1, 2], [2, 1]])", ValueError, "correlation"),
    ("Diffusion(drift=f, diffusion=f, noises=2, correlation=[[1]])", ValueError, "correlation"),
    ("Milstein(derivative=0.5)", TypeError, "derivative"),
    ("BrownianMotion.from_dict({'name': 'Heston'})", ValueError, "name"),
    ("BrownianMotion.from_dict({'sigma': -1})", ValueError, "sigma"),
]

FIT_ROWS = [
    ("GeometricBrownianMotion.fit([1.0, 2.0])", ValueError, "prices"),
    ("GeometricBrownianMotion.fit([])", ValueError, "prices"),
    ("GeometricBrownianMotion.fit([1.0, -1.0, 2.0])", ValueError, "prices"),
    ("GeometricBrownianMotion.fit([1.0, nan, 2.0])", ValueError, "prices"),
    ("GeometricBrownianMotion.fit('prices.csv')", TypeError, "prices"),
    ("GeometricBrownianMotion.fit([[1.0, 2.0, 3.0]])", ValueError, "prices"),
    ("GeometricBrownianMotion.fit(price, dt=0)", ValueError, "dt"),
    ("GeometricBrownianMotion.fit(price, dt='day')", TypeError, "dt"),
    ("OrnsteinUhlenbeck.fit([1.0, 2.0])", ValueError, "values"),
    ("OrnsteinUhlenbeck.fit(price, dt=-1)", ValueError, "dt"),
    ("OrnsteinUhlenbeck.fit([1.0, 2.0, 4.0, 8.0, 16.0])", ValueError, "values"),
    ("MarkovChain.fit('abab')", TypeError, "path"),
    ("MarkovChain.fit(['a'])", ValueError, "path"),
    ("MarkovChain.fit(['a', 1])", TypeError, "path"),
    ("MarkovChain.fit(['a', 'b'])", ValueError, "path"),
    ("MarkovChain.fit(['a', 'c'], states=['a', 'b'])", ValueError, "path"),
    ("MarkovChain.fit(['a', 'b', 'a'], states=['a', 'a', 'b'])", ValueError, "states"),
]

WRITE_ROWS = [
    ("write(DS, 1)", TypeError, "path"),
    ("write(DS, None)", TypeError, "path"),
    ("write(DS, b'a.zarr')", TypeError, "path"),
    ("write(DS, '')", ValueError, "path"),
    ("write(DS, 'a\\0b')", ValueError, "path"),
    ("write(DS, 's3://bucket/a.zip::a.zarr')", ValueError, "path"),
    ("write(DS, 'zip::a.zarr')", ValueError, "path"),
    ("write(DS, '/dev/null')", FileExistsError, "path"),
    ("write(DS, 'a.zarr', on_progress=1)", TypeError, "on_progress"),
    ("write(None, 'a.zarr')", TypeError, "ds"),
    ("write(xr.Dataset(), 'a.zarr')", ValueError, "ds"),
    ("write(DS.x, 'a.zarr')", TypeError, "ds"),
    ("write(DS.x * 2, 'a.zarr')", TypeError, "ds"),
    ("write(DS.isel(path=slice(5)), 'a.zarr')", ValueError, "ds"),
]

OPEN_ROWS = [
    ("open(3)", TypeError, "path"),
    ("open('')", ValueError, "path"),
    ("open('nothing.zarr')", FileNotFoundError, "path"),
    ("open('/dev/null')", FileNotFoundError, "path"),
    ("open('gs://bucket/a.zip::a.zarr')", ValueError, "path"),
]

PLOT_ROWS = [
    ("plot.fan(1)", TypeError, "data"),
    ("plot.fan(xr.Dataset())", ValueError, "data"),
    ("plot.fan(DS.x.isel(time=0))", ValueError, "data"),
    ("plot.fan(DS.x, quantiles=[0.9, 0.1])", ValueError, "quantiles"),
    ("plot.fan(DS.x, quantiles=[0.1, 0.5])", ValueError, "quantiles"),
    ("plot.fan(DS.x, quantiles=[0.0, 1.0])", ValueError, "quantiles"),
    ("plot.fan(DS.x, quantiles='median')", TypeError, "quantiles"),
]

RISK_ROWS = [
    ("estimate_risk('all', [0.95])", TypeError, "losses"),
    ("estimate_risk([1.0, float('nan')], [0.5])", ValueError, "losses"),
    ("estimate_risk(np.arange(100.0), 0.95)", TypeError, "levels"),
    ("estimate_risk(np.arange(100.0), [1.0])", ValueError, "levels"),
    ("estimate_risk(np.arange(100.0), [0.0])", ValueError, "levels"),
    ("estimate_risk(np.arange(100.0), ['95 %'])", TypeError, "levels"),
    ("estimate_risk(np.arange(100.0), [0.95])", ValueError, "levels"),
    ("closed_form_risk(GBM, 0.0, [0.95])", ValueError, "horizon"),
    ("closed_form_risk(GBM, 1.0, [2.0])", ValueError, "levels"),
]

BITS_ROWS = [
    ("stream(1, 'sideways')", ValueError, "order"),
    ("stream(1, 'path', n_bytes=-1)", ValueError, "n_bytes"),
    ("stream(1, 'path', slots=0)", ValueError, "slots"),
    ("stream(-1, 'path')", ValueError, "seed"),
]

TABLES = {
    "simulate": SIMULATE_ROWS,
    "replay": REPLAY_ROWS,
    "seeds": SEED_ROWS,
    "draws": DRAWS_ROWS,
    "grid": GRID_ROWS,
    "processes": PROCESS_ROWS,
    "fit": FIT_ROWS,
    "write": WRITE_ROWS,
    "open": OPEN_ROWS,
    "plot": PLOT_ROWS,
    "risk": RISK_ROWS,
    "bits": BITS_ROWS,
}

HINTS = [
    ("simulate(GBM, 10, 1.0, dt=0.01)", "T counts steps; for a horizon of 1 take T=100, dt=0.01."),
    ("simulate(GBM, npaths=3)", "Did you mean n_paths?"),
    ("simulate(GBM, 10, 5, sede=42)", "Did you mean seed?"),
    ("simulate(steps, 10, 5, chunk=1024)", "Did you mean chunks?"),
    ("backend('dask', njobs=2)", "(address, client, n_jobs, retries, timeout), got 2. Did you mean"
     " n_jobs?"),
    ("backend('auto', njobs=2)", "Did you mean n_jobs?"),
    ("backend('tcp://127.0.0.1:1', njobs=2)", "Did you mean n_jobs?"),
    ("reduce(DS, 'p95')", "or 'q' and digits, such as 'q05', 'q95', 'q995'"),
    ("write(DS.x, 'a.zarr')", "got a DataArray. Write the Dataset"),
]  # fmt: skip
"""What some refusals say of what was likely meant."""

LIMIT = 20_000
"""Functions that a refusal may call, as does what takes some milliseconds: nothing is simulated."""


def refusal(call):
    """Return the error that a call raises."""
    with pytest.raises(mz.MontezarrError) as caught:
        eval(call, dict(SCOPE))
    return caught.value


@pytest.fixture
def empty_directory(tmp_path, monkeypatch):
    """Run in an empty directory, and let it be empty at the end."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [pytest.param(*row, id=row[0]) for rows in TABLES.values() for row in rows],
)
def test_a_wrong_argument_is_refused_at_once_by_name_and_value(call, error, name, empty_directory):
    raised = refusal(call)
    message = str(raised)
    assert isinstance(raised, error), repr(raised)
    assert message.startswith(f"{name}: expected ")
    assert re.search(r", (got|'b' never) ", message)
    assert len(message) < 1000
    assert calls_of(refusal, call) < LIMIT


@pytest.mark.parametrize(("call", "hint"), HINTS, ids=[call for call, _ in HINTS])
def test_a_likely_slip_is_answered_by_what_was_meant(call, hint, empty_directory):
    assert hint in str(refusal(call))


def test_an_integer_out_of_range_is_told_no_more_than_its_range():
    assert "horizon" not in str(refusal("simulate(GBM, 10, -1)"))


def test_the_arguments_that_may_be_meant_are_those_of_simulate():
    parameters = inspect.signature(mz.simulate).parameters
    assert tuple(parameters) == (*ARGUMENTS, "options")
    # Which a run takes too, with its policies as one, beside those that a recipe alone has.
    policies, recorded = {"on_error", "on_nonfinite", "retries"}, {"names", "recorded"}
    taken = set(inspect.signature(bind_arguments).parameters) - recorded
    assert taken == set(parameters) - policies | {"policies"}


def test_the_table_is_long_and_says_nothing_twice():
    calls = [row[0] for rows in TABLES.values() for row in rows]
    assert len(calls) >= 90
    assert len(set(calls)) == len(calls)


def test_errors_about_arguments_are_the_errors_that_python_has_for_them():
    for error, builtin in (
        (mz.ArgumentTypeError, TypeError),
        (mz.ArgumentValueError, ValueError),
        (mz.MemoryBudgetError, ValueError),
        (mz.ReplayError, LookupError),
        (mz.SamplerError, RuntimeError),
    ):
        assert issubclass(error, builtin)
        assert issubclass(error, mz.MontezarrError)


def test_the_reason_why_a_generator_is_no_seed_is_given():
    with pytest.raises(mz.ArgumentTypeError, match="state that moves on with each use"):
        mz.simulate(GBM, 10, 5, seed=np.random.default_rng(1))


@pytest.mark.parametrize(
    "call",
    [
        "simulate(GBM, np.int64(10), np.uint8(5), x0=np.float32(2), dt=np.float64(0.5), seed=1)",
        "simulate(GBM, 10, 5, chunks=np.int32(7), keep=np.int16(2), dtype=np.float32, seed=1)",
        "simulate(GBM, 10, times=(0, 1, 2), keep=np.array([0, 2], 'uint8'), seed=1)",
        "simulate(GBM, 10, 0, seed=1)",
        "simulate(GBM, 3, 2, x0=(1, 2, 3), seed=1)",
        "simulate(HESTON, 3, 2, x0=[1, 0.04], seed=1)",
        "simulate(CHAIN, 3, 2, x0=np.array('storm'), seed=1)",
        "simulate(words, 3, labels=np.array(['a', 'b']), seed=1)",
        "simulate(steps, 3, 2, legacy_global_rng=np.False_, seed=1)",
        "simulate(BrownianMotion(mu=np.array(0.5), sigma=np.float32(1)), 3, 2, seed=1)",
        "replay(DS, np.int64(3))",
    ],
)
def test_what_numpy_makes_of_a_number_is_one(call):
    eval(call, dict(SCOPE)).compute()
