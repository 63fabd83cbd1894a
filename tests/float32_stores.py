"""The runs of the float32 stores under tests/data, which a version of recipe format 1 wrote."""

import hashlib
from pathlib import Path

import numpy as np

import montezarr as mz


def pull(t, x):
    return 2.0 * (1.0 - x)


def spread(t, x):
    return 0.3 * np.sqrt(np.abs(x))


PROCESSES = {
    "brownian": (mz.BrownianMotion(mu=1.0, sigma=0.1), 10.0),
    "geometric": (mz.GeometricBrownianMotion(mu=0.05, sigma=0.2), 100.0),
    "reverting": (mz.OrnsteinUhlenbeck(theta=0.7, mu=0.1, sigma=0.3), 2.0),
    "heston": (mz.Heston(mu=0.03, kappa=2.0, theta=0.04, xi=0.3, rho=-0.7), (100.0, 0.05)),
    "diffusion": (mz.Diffusion(drift=pull, diffusion=spread, scheme=mz.Milstein()), 0.5),
}

PLACE = Path(__file__).parent / "data" / "float32"

FEW, MANY = 300, 1500
"""Paths of the stores, and of the runs that DIGESTS are of."""

DIGESTS = {
    "brownian": "d3868b18e6bcfddd6addbfd8dc4d3d70",
    "geometric": "68d039fcc15489de42cfed0bd63c3829",
    "reverting": "e3fb4601f0a626735fbac84469107bb6",
    "heston": "66cb8412f7750abf7114a85114d89963",
    "diffusion": "b94f6a4b5f440fc1d643da83d5a520db",
}
"""SHA-256 of the first MANY paths of each run, as that version drew them."""


def run(name, n_paths=MANY):
    process, x0 = PROCESSES[name]
    common = {"dt": 1 / 12, "seed": 20, "dtype": "float32", "chunks": 1024, "keep": [5, 12]}
    return mz.simulate(process, n_paths, 12, x0, **common)


def digest(ds):
    """Return the SHA-256 of the bits of all variables."""
    values = [np.ascontiguousarray(ds[name].values, "<f4") for name in sorted(ds.data_vars)]
    return hashlib.sha256(b"".join(array.tobytes() for array in values)).hexdigest()[:32]


def write_stores():
    """Write the stores anew: with that version, called as ``float32_stores.write_stores()``."""
    for name in PROCESSES:
        mz.write(run(name, FEW), PLACE / name)
        print(f'    "{name}": "{digest(run(name))}",')
