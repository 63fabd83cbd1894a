"""Samplers: five interfaces, one way to call them, one kind of error."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.errors import SamplerError
from montezarr.sampling import batch, counter, scalar
from montezarr.sampling._base import EVENT_TIME, KINDS, Draw, Rows, Sampling, Variable

__all__ = ["EVENT_TIME", "KINDS", "Rows", "Sampling", "Variable", "sample_range"]

_DRAW: dict[str, Draw] = {
    "sample": counter.draw,
    "sample_paths": batch.draw,
    "sample_path": scalar.draw,
    "rng": scalar.draw,
    "seed": scalar.draw,
    "legacy": scalar.draw,
}


def sample_range(sampling: Sampling, start: int, stop: int, x0: Any = None) -> Rows:
    """Return the rows (variables, kept times, paths) of paths start ... stop-1.

    Parameters
    ----------
    sampling : Sampling
        The bound sampler.
    start, stop : int
        Range of path indices.
    x0 : array (stop - start,) or (variables, stop - start), optional
        Initial state of each path, where they differ.

    Raises
    ------
    SamplerError
        With path index, seed key, T, x0, parameters and the original traceback.
    """
    try:
        rows = _DRAW[sampling.kind](sampling, start, stop, x0)
    except SamplerError as error:
        if sampling.kind != "sample" or error.path is not None:
            raise
        path = counter.first_failing(sampling, start, stop, x0)
        raise sampling.failure(path, _x0_of(sampling, x0, start, path), error.message) from None
    except Exception as error:
        if sampling.kind != "sample":
            raise
        path = counter.first_failing(sampling, start, stop, x0)
        message = f"{type(error).__name__}: {error}"
        context = _x0_of(sampling, x0, start, path)
        raise sampling.failure(path, context, message, error) from error
    if sampling.on_nonfinite == "raise" and rows.dtype.kind == "f":
        _check_finite(sampling, rows, start, x0)
    return rows


def _x0_of(sampling: Sampling, x0: Any, start: int, path: int | None) -> Any:
    return sampling.x0 if path is None else sampling.state_at_start(x0, path - start)


def _check_finite(sampling: Sampling, rows: Rows, start: int, x0: Any) -> None:
    if sampling.kind == "sample" and counter.stays_finite(sampling, x0):
        return
    if np.isfinite(rows).all():
        return
    bad = ~np.isfinite(rows)
    position = int(bad.any(axis=(0, 1)).argmax())
    variable, step = (int(index) for index in np.argwhere(bad[..., position])[0])
    value = rows[variable, step, position]
    name = sampling.variables[variable].name
    message = (
        f"{name} is {value} at time {sampling.times[step]:g}; {int(bad.any(axis=(0, 1)).sum())} of"
        f" {rows.shape[-1]} paths in this chunk are not finite. on_nonfinite='keep' lets them pass."
    )
    raise sampling.failure(start + position, sampling.state_at_start(x0, position), message)
