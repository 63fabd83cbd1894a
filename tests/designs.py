"""Models of global sensitivity with known indices, and runs of them on designs."""

import numpy as np
from scipy.special import ndtr

import montezarr as mz

STANDARD = mz.Normal(0.0, 1.0)
"""The distribution of all parameters here: models make uniform numbers of them."""

G = (0.0, 1.0, 4.5, 9.0)
"""The coefficients of the g function."""


def ishigami(x, y, z):
    """Return the Ishigami function with a = 7 and b = 0.1 of standard normal numbers."""
    x, y, z = (np.pi * (2 * ndtr(part) - 1) for part in (x, y, z))
    return np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x)


def g_function(*parts):
    """Return the g function of Sobol of standard normal numbers."""
    pairs = zip(parts, G, strict=True)
    return np.prod([(np.abs(4 * ndtr(part) - 2) + a) / (1 + a) for part, a in pairs], axis=0)


def indices_of_ishigami():
    """Return the first-order and the total indices (Ishigami and Homma 1990)."""
    a, b = 7, 0.1
    x, y = (1 + b * np.pi**4 / 5) ** 2 / 2, a**2 / 8
    both = b**2 * np.pi**8 * (1 / 18 - 1 / 50)
    total = x + y + both
    return np.array([x, y, 0.0]) / total, np.array([x + both, y, both]) / total


def indices_of_g():
    """Return the first-order and the total indices (Saltelli and Sobol 1995)."""
    own = 1 / (3 * (1 + np.array(G)) ** 2)
    every = np.prod(1 + own)
    return own / (every - 1), own * every / (1 + own) / (every - 1)


MODELS = {
    "ishigami": (ishigami, ("x", "y", "z"), indices_of_ishigami()),
    "g": (g_function, ("p", "q", "r", "s"), indices_of_g()),
}
"""By name: the function, its parameters, and the indices of first order and in total."""


def f_ishigami(rng, n, x, y, z):
    """Draw a block of the Ishigami function, without noise."""
    return {"out": ishigami(x, y, z)}


def f_g(rng, n, p, q, r, s):
    """Draw a block of the g function, without noise."""
    return {"out": g_function(p, q, r, s)}


FUNCTIONS = {"ishigami": f_ishigami, "g": f_g}


def run_of(model, n, **options):
    """Return a run of a model on the design of n base points; None for no end."""
    design = mz.saltelli(dict.fromkeys(MODELS[model][1], STANDARD), n)
    given = {"dims": {"out": ()}, "seed": 1, "n_paths": design.n_paths, "vary": design}
    return mz.simulate(FUNCTIONS[model], **{**given, **options})


def values_by_hand(model, n, rng):
    """Return the values of a model on a design that is drawn from a Generator."""
    function, names, _ = MODELS[model]
    a, b = rng.standard_normal((2, n, len(names)))
    rows = [a, b]
    for k in range(len(names)):
        row = a.copy()
        row[:, k] = b[:, k]
        rows.append(row)
    points = np.stack(rows, axis=1).reshape(-1, len(names))
    return function(*points.T)
