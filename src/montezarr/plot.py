"""Pictures of paths. They need matplotlib: ``pip install "montezarr[plot]"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from montezarr._checks import check_array, type_error, value_error
from montezarr._optional import import_optional

BANDS = (0.05, 0.25, 0.5, 0.75, 0.95)
MAXIMUM_BYTES, MINIMUM_PATHS = 2**28, 10_000
SAMPLES = 6
"""Single paths drawn over the fan, so that one sees how one of them goes."""

BLUE = (0.12, 0.37, 0.66)


def fan(
    data: Any,
    *,
    quantiles: Sequence[float] = BANDS,
    ax: Any = None,
    title: str | None = None,
    ylabel: str | None = None,
    xlabel: str = "time",
) -> Any:
    """Draw a fan chart: bands between quantiles of the paths at each time, median and a few paths.

    It shows the quantiles of the first paths, as many as fit into 256 MiB (at least 10,000): more
    would move no line by its own width.

    Parameters
    ----------
    data : DataArray (path, time), or Dataset with one variable
        Paths, lazy or not. For many times choose some: ``ds.isel(time=slice(None, None, 21))``.
    quantiles : sequence of float
        Increasing levels in (0, 1), symmetric around 0.5; the outermost two bound the widest band.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    title, ylabel, xlabel : str, optional
        Texts; the name of the variable stands at the y axis by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `data` has not the dims path and time, or quantiles are not as described.
    MissingDependencyError
        If matplotlib is not installed.
    """
    array = _one_variable(data)
    levels = check_array("quantiles", quantiles, ndim=1)
    symmetric = np.allclose(levels + levels[::-1], 1.0)
    if not symmetric or (np.diff(levels) <= 0).any() or levels[0] <= 0 or levels[-1] >= 1:
        raise value_error(
            "quantiles", "increasing levels in (0, 1), symmetric around 0.5", quantiles
        )
    if ax is None:
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="A plot")
        _, ax = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    times = array["time"].values
    enough = max(MINIMUM_PATHS, MAXIMUM_BYTES // (array.sizes["time"] * array.dtype.itemsize))
    values = np.asarray(array.isel(path=slice(enough)).transpose("path", "time").values)
    table = np.quantile(values, levels, axis=0)
    half = len(levels) // 2
    for i in range(half):
        low, high = table[i], table[-1 - i]
        share = levels[-1 - i] - levels[i]
        # Opaque, so that the legend shows the colour that is seen.
        colour = [1 - (0.16 + 0.26 * i / max(half - 1, 1)) * (1 - part) for part in BLUE]
        ax.fill_between(times, low, high, color=colour, linewidth=0, label=f"{share:.0%} of paths")
    for path in values[:SAMPLES]:
        ax.plot(times, path, color="0.35", linewidth=0.6, alpha=0.7)
    if len(levels) % 2:
        ax.plot(times, table[half], color=BLUE, linewidth=2.0, label="median")
    ax.set_xlim(times[0], times[-1])
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel if ylabel is not None else str(array.name or ""))
    if title:
        ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left")
    return ax


def require() -> None:
    """Raise MissingDependencyError, with the line that installs it, if matplotlib is absent."""
    import_optional("matplotlib", extra="plot", purpose="A plot")


def save_fan(data: Any, file: Any, **options: Any) -> None:
    """Draw `fan` into a PNG, PDF or SVG file, without a window and without pyplot's state."""
    figures = import_optional("matplotlib.figure", extra="plot", purpose="A plot")
    figure = figures.Figure(figsize=(8, 4.5), layout="constrained")
    fan(data, ax=figure.subplots(), **options)
    figure.savefig(file, dpi=150)


def _one_variable(data: Any) -> xr.DataArray:
    if isinstance(data, xr.Dataset):
        names = list(data.data_vars)
        if len(names) != 1:
            raise value_error("data", "one variable, such as ds.x", names)
        data = data[names[0]]
    if not isinstance(data, xr.DataArray):
        raise type_error("data", "a DataArray with dims path and time", data)
    if set(data.dims) != {"path", "time"}:
        raise value_error("data", "dims path and time", data.dims)
    return data
