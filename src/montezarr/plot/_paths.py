"""`paths`: single paths, with the mean and a band of all paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import xarray as xr

from montezarr.core.checks import check_bool, check_int, check_real, value_error
from montezarr.plot import _data as given
from montezarr.plot._facets import Drawing, Facets, Legend
from montezarr.plot._figure import (
    BLUE,
    GREY,
    label_of,
    limit_times,
    shade,
)
from montezarr.plot._hue import Hue, band_entry, draw_band
from montezarr.plot._parameters import AxesOptions, describe_shared
from montezarr.plot._single import choose_positions, single_paths
from montezarr.statistics import Mean, Quantile, Statistic


@describe_shared
def paths(
    data: Any,
    *,
    n: int = 20,
    seed: int = 0,
    band: float | None = 0.9,
    mean: bool = True,
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
    """Draw a random choice of single paths, with the mean of all paths and a band.

    Mean and band are computed from all paths in one pass; without both, only the `n` paths are
    drawn or read, of a run of any size.

    Parameters
    ----------
    data : DataArray (path, time), or Dataset with one such variable
        Paths, lazy or not, also with the dimensions of `hue`, `col` and `row`.
    n : int
        Number of single paths, >= 1; all paths if there are fewer.
    {seed}
    band : float, optional
        The share of all paths in the band, in (0, 1), between the quantiles (1 - band) / 2 and
        (1 + band) / 2; None draws no band.
    mean : bool
        Whether the mean of all paths is drawn.
    {hue}
        The same paths are drawn of each.
    {facets}
    {ax_and_texts}

    Returns
    -------
    {axes}

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `data` lacks the dims path and time, or holds codes of labels with a mean or band, or
        other arguments are not as described.
    {missing_matplotlib}

    Examples
    --------
    >>> import montezarr as mz
    >>> ds = mz.simulate(mz.BrownianMotion(), n_paths=10**9, T=100, dt=0.01, seed=42)
    >>> ax = mz.plot.paths(ds, n=5, band=None, mean=False)
    >>> len(ax.lines)
    5
    """
    options = AxesOptions.of(ax, title, xlabel, ylabel)
    count = check_int("n", n, minimum=1)
    key = check_int("seed", seed)
    share = None if band is None else check_real("band", band)
    ends = None if share is None else ((1 - share) / 2, (1 + share) / 2)
    if ends is not None and not 0 < ends[0] < ends[1] < 1:
        raise value_error("band", "a share in (0, 1) that is not too near to its ends", band)
    with_mean = check_bool("mean", mean)
    facets = Facets.of(data, options, hue=hue, col=col, row=row, col_wrap=col_wrap, sharey=sharey)
    array = given.paths_of(data, (*given.BOTH, *facets.dims), places=given.PLACES)
    if with_mean or ends is not None:
        given.check_not_labels(array, hint=f"Pass mean=False, band=None. {given.STATES}")
    facets.check(array)
    statistics: list[Statistic] = [Mean()] if with_mean else []
    if ends is not None:
        statistics.append(Quantile(ends))
    found = given.reduced(array, statistics) if statistics else xr.Dataset()
    chosen = choose_positions(array.sizes["path"], count, key)
    dims = ("path", *facets.dims, "time")
    values, indices = single_paths(array.transpose(*dims), chosen)
    singles = xr.DataArray(values, dims=dims)
    # The label of a line holds the index of its path, for mz.replay(ds, index).
    names = [
        f"_path {i}" if i >= 0 else f"_position {at}" for at, i in zip(chosen, indices, strict=True)
    ]
    times, time_attrs = given.times_of(array)
    of_one = Drawn(times, names, None if share is None else f"{100 * share:.4g}% of paths")
    labels = label_of("time", time_attrs), label_of(given.display_name(array), array.attrs)

    def draw(ax: Any, at: Mapping[str, int], hue: Hue | None) -> Drawing:
        results, own = found.isel(at, missing_dims="ignore"), singles.isel(at)
        if hue is None:
            of_one.draw(ax, results, own.values)
            legend = Legend("upper left") if statistics else None
        else:
            for i, colour in enumerate(hue.colours):
                entry = {hue.dim: i}
                of_one.draw(
                    ax, results.isel(entry, missing_dims="ignore"), own.isel(entry).values, colour
                )
            bands = [] if of_one.band is None else [band_entry(of_one.band)]
            legend = Legend("upper left", [*hue.entries(), *bands], hue.title)
        limit_times(ax, times)
        given.name_states(ax.yaxis, array)
        return Drawing(*labels, legend)

    return facets.draw(options, array, draw)


class Drawn(NamedTuple):
    """What is drawn of each entry: at these times, lines of these names, a band of this share."""

    times: Any
    names: Sequence[str]
    band: str | None

    def draw(self, ax: Any, found: xr.Dataset, singles: Any, colour: Any = None) -> None:
        """Draw band, single paths and mean, as far as there are any, in one colour."""
        if "x_quantile" in found:
            low, high = found["x_quantile"].transpose("quantile", "time").values
            if colour is None:
                ax.fill_between(self.times, low, high, color=shade(0.2), linewidth=0,
                                label=self.band)  # fmt: skip
            else:
                draw_band(ax, self.times, low, high, colour)
        for name, values in zip(self.names, singles, strict=True):
            ax.plot(self.times, values, color=GREY if colour is None else colour, linewidth=0.7,
                    alpha=0.7 if colour is None else 0.5, label=name)  # fmt: skip
        if "x_mean" in found:
            ax.plot(self.times, found["x_mean"].values, linewidth=2.0, label="mean",
                    color=BLUE if colour is None else colour)  # fmt: skip
