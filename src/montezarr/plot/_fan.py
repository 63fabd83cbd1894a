"""`fan`: bands between quantiles of the paths over time."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from montezarr.core.checks import check_int, local_path, type_error, value_error
from montezarr.plot import _data as given
from montezarr.plot._facets import Drawing, Facets, Legend
from montezarr.plot._figure import (
    BLUE,
    FIGURE_DPI,
    GREY,
    label_of,
    limit_times,
    shade,
    without_pyplot,
)
from montezarr.plot._hue import BAND_OPACITY, Hue, band_entry, draw_band
from montezarr.plot._parameters import AxesOptions, describe_shared
from montezarr.plot._single import choose_positions, single_paths
from montezarr.statistics import Quantile

BANDS = (0.05, 0.25, 0.5, 0.75, 0.95)

ENDINGS = (".png", ".pdf", ".svg")

SAMPLES = 6
"""Default number of single paths over the fan."""


@describe_shared
def fan(
    data: Any,
    *,
    quantiles: Sequence[float] = BANDS,
    samples: int | None = None,
    seed: int = 0,
    hue: str | None = None,
    col: str | None = None,
    row: str | None = None,
    col_wrap: int | None = None,
    sharey: bool = True,
    ax: Any = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
) -> Any:
    """Draw a fan chart: bands between quantiles of all paths at each time, median and a few paths.

    The quantiles are those of ``mz.Quantile(quantiles)`` over all paths, in one pass. The single
    paths are drawn, or read, alone.

    Parameters
    ----------
    data : DataArray (path, time), Dataset with one such variable, or Snapshot
        Paths, lazy or not, also with the dimensions of `hue`, `col` and `row`; or results of
        `montezarr.stream` or `montezarr.reduce` with one ``<variable>_quantile`` (time, quantile),
        without single paths. For many times select some: ``ds.isel(time=slice(None, None, 21))``.
    {quantiles}
        The outermost two bound the widest band. For results, all their levels by default.
    samples : int, optional
        Number of single paths, >= 0; by default 6, and none with `hue`.
    {seed}
    {hue}
    {facets}
    {ax_and_texts}

    Returns
    -------
    {axes}

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `data` lacks the dims path and time, or holds codes of labels, or other arguments are
        not as described.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> gbm = mz.GeometricBrownianMotion(mu=0.05, sigma=0.2)
    >>> ds = mz.simulate(gbm, n_paths=10_000, T=12, x0=100.0, dt=1 / 12, seed=42)
    >>> ax = mz.plot.fan(ds, title="10,000 paths")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['90% of paths', '50% of paths', 'median']

    The volatilities of one run, each in its colour:

    >>> import xarray as xr
    >>> vary = {"sigma": xr.DataArray([0.1, 0.3], dims="sigma")}
    >>> ds = mz.simulate(gbm, 10_000, 12, 100.0, dt=1 / 12, seed=42, vary=vary)
    >>> ax = mz.plot.fan(ds, hue="sigma")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0.1', '0.3', '90% of paths', '50% of paths']
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    facets = Facets.of(data, options, hue=hue, col=col, row=row, col_wrap=col_wrap, sharey=sharey)
    levels = given.check_band_levels("quantiles", quantiles)
    default = 0 if facets.hue else SAMPLES
    count = check_int("samples", default if samples is None else samples)
    key = check_int("seed", seed)
    if given.is_results(data):
        found = given.results_in(data, "quantile", ("time", "quantile", *facets.dims))
        facets.check(found)
        table = given.levels_in(found, levels, any_will_do=quantiles is BANDS)
        singles = xr.DataArray(np.empty((0, 0)), dims=("path", "time"))
    else:
        array = given.paths_of(data, (*given.BOTH, *facets.dims), places=given.PLACES)
        given.check_not_labels(array)
        facets.check(array)
        table = given.reduced(array, [Quantile(tuple(levels.tolist()))])["x_quantile"]
        table = given.named_as(array, table)
        singles = _singles(array, count, key, facets.dims)
    return _drawn(facets, options, table, singles)


def fan_with(
    array: xr.DataArray, table: xr.DataArray, file: Any, *, samples: int = SAMPLES, **texts: Any
) -> None:
    """Draw the picture of `save_fan` from known quantiles, without a pass over the paths.

    Parameters
    ----------
    array : DataArray (path, time)
        The paths.
    table : DataArray (time, quantile)
        Their quantiles at `BANDS`, as `montezarr.reduce` returns them.
    file : str, path or file object
        As for `save_fan`.
    samples : int
        Number of single paths.
    **texts
        Texts of the picture, as for `fan`.
    """
    _check_file(file)
    singles = _singles(array, samples, 0)
    with without_pyplot():
        ax = _drawn(Facets(), AxesOptions.of(**texts), given.named_as(array, table), singles)
    ax.figure.savefig(file, dpi=FIGURE_DPI)


def _singles(
    array: xr.DataArray, count: int, key: int, further: Sequence[str] = ()
) -> xr.DataArray:
    dims = ("path", *further, "time")
    paths = choose_positions(array.sizes["path"], count, key)
    return xr.DataArray(single_paths(array.transpose(*dims), paths)[0], dims=dims)


def _drawn(facets: Facets, options: AxesOptions, table: xr.DataArray, singles: xr.DataArray) -> Any:
    """Draw the bands and medians of a table, and single paths."""

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        own = singles.isel(at, missing_dims="ignore")
        return _draw_fan(ax, table.isel(at), own, hue)

    return facets.draw(options, table, draw)


def _draw_fan(ax: Any, table: xr.DataArray, singles: xr.DataArray, hue: Hue | None) -> Drawing:
    """Draw a fan, or one for each entry of a hue, in its colour."""
    times, time_attrs = given.times_of(table)
    if hue is None:
        draw_bands(ax, times, table)
        for values in singles.values:
            ax.plot(times, values, color=GREY, linewidth=0.6, alpha=0.7)
        draw_median(ax, times, table)
        legend = Legend("upper left")
    else:
        legend = _draw_in_colours(ax, times, table, singles, hue)
    limit_times(ax, times)
    return Drawing(label_of("time", time_attrs), quantity(table), legend)


def _draw_in_colours(
    ax: Any, times: Any, table: xr.DataArray, singles: xr.DataArray, hue: Hue
) -> Legend:
    """Draw the bands, medians and single paths of each entry in its colour."""
    levels = table["quantile"].values
    tables = table.transpose(hue.dim, "quantile", "time").values
    half = len(levels) // 2
    for values, colour in zip(tables, hue.colours, strict=True):
        if half:
            draw_band(ax, times, values[0], values[-1], colour)
        for i in range(1, half):
            ax.fill_between(times, values[i], values[-1 - i], color=colour, linewidth=0,
                            alpha=BAND_OPACITY)  # fmt: skip
    for path in singles.transpose("path", hue.dim, "time").values if singles.size else ():
        for values, colour in zip(path, hue.colours, strict=True):
            ax.plot(times, values, color=colour, linewidth=0.6, alpha=0.7)
    if len(levels) % 2:
        for values, colour in zip(tables, hue.colours, strict=True):
            ax.plot(times, values[half], color=colour, linewidth=2.0)
    shares = [100 * (levels[-1 - i] - levels[i]) for i in range(half)]
    bands = [
        band_entry(f"{share:.4g}% of paths", 1 - (1 - BAND_OPACITY) ** (i + 1))
        for i, share in enumerate(shares)
    ]
    return Legend("upper left", [*hue.entries(), *bands], hue.title)


def draw_bands(ax: Any, times: Any, table: xr.DataArray, label: str = "{} of paths") -> None:
    """Fill the bands between the quantiles of a table (time, quantile), the widest one first."""
    levels, values = table["quantile"].values, table.transpose("quantile", "time").values
    half = len(levels) // 2
    for i in range(half):
        share = f"{100 * (levels[-1 - i] - levels[i]):.4g}%"
        ax.fill_between(
            times, values[i], values[-1 - i], linewidth=0, label=label.format(share),
            color=shade(0.16 + 0.26 * i / max(half - 1, 1)),
        )  # fmt: skip


def draw_median(ax: Any, times: Any, table: xr.DataArray, **style: Any) -> None:
    """Draw the median, if the levels include it."""
    values = table.transpose("quantile", "time").values
    if len(values) % 2:
        style = {"color": BLUE, "linewidth": 2.0, "label": "median", **style}
        ax.plot(times, values[len(values) // 2], **style)


def quantity(table: xr.DataArray) -> str:
    """Return the label of the axis of values; the name of a result also has a statistic."""
    attrs, name = dict(table.attrs), given.display_name(table)
    text = str(attrs.pop("long_name", "")).removesuffix(" quantile")
    if text != name.replace("_", " "):  # the variable has a long name
        attrs["long_name"] = text
    return label_of(name, attrs)


def save_fan(data: Any, file: Any, **options: Any) -> None:
    """Draw `fan` into a file, without a window and without the state of pyplot.

    Parameters
    ----------
    data : DataArray (path, time), Dataset with one such variable, or Snapshot
        As for `fan`.
    file : str, path or file object
        A PNG, PDF or SVG file, by its ending; an existing one is replaced. A file object gets a
        PNG.
    **options
        As for `fan`, except `ax`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError, MissingDependencyError
        As for `fan`; also, before anything is computed, if `file` is no such file, or for `ax`.
    OSError
        If the file cannot be written; before anything is computed, if its folder does not exist.

    Examples
    --------
    >>> import montezarr as mz, pathlib, tempfile
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=2000, T=10, seed=1)
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "fan.svg"
    >>> mz.plot.save_fan(ds, file, title="2,000 paths")
    >>> file.stat().st_size > 0
    True
    """
    _check_file(file)
    if "ax" in options:
        raise type_error("ax", "none, since the picture is a file of its own", options["ax"])
    with without_pyplot():
        ax = fan(data, **options)
    np.ravel(ax)[0].figure.savefig(file, dpi=FIGURE_DPI)


def _check_file(file: Any) -> None:
    """Raise, before the run, the errors that matplotlib would raise after it."""
    if hasattr(file, "write"):
        return
    if not isinstance(file, (str, os.PathLike)):
        raise type_error("file", "a str, path or file object", file)
    path = local_path("file", os.fsdecode(file))
    if path.suffix.lower() not in ENDINGS:
        raise value_error("file", f"a name that ends in {', '.join(ENDINGS)}", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
