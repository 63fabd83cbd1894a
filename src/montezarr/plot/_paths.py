"""`paths`: single paths, with the mean and a band of all paths."""

from __future__ import annotations

from typing import Any

from montezarr.core.checks import check_bool, check_int, check_real, value_error
from montezarr.plot import _data as given
from montezarr.plot._figure import (
    BLUE,
    GREY,
    label_of,
    limit_times,
    shade,
)
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
        Paths, lazy or not.
    n : int
        Number of single paths, >= 1; all paths if there are fewer.
    {seed}
    band : float, optional
        The share of all paths in the band, in (0, 1), between the quantiles (1 - band) / 2 and
        (1 + band) / 2; None draws no band.
    mean : bool
        Whether the mean of all paths is drawn.
    {ax_and_texts}

    Returns
    -------
    matplotlib Axes

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
    array = given.paths_of(data)
    if with_mean or ends is not None:
        given.check_not_labels(array, hint=f"Pass mean=False, band=None. {given.STATES}")
    statistics: list[Statistic] = [Mean()] if with_mean else []
    if ends is not None:
        statistics.append(Quantile(ends))
    found = given.reduced(array, statistics) if statistics else None
    chosen = choose_positions(array.sizes["path"], count, key)
    singles, indices = single_paths(array.transpose("path", "time"), chosen)
    ax = options.axes()
    times, time_attrs = given.times_of(array)
    if found is not None and share is not None:
        low, high = found["x_quantile"].transpose("quantile", "time").values
        label = f"{100 * share:.4g}% of paths"
        ax.fill_between(times, low, high, color=shade(0.2), linewidth=0, label=label)
    for position, index, values in zip(chosen, indices, singles, strict=True):
        # The label of a line holds the index of its path, for mz.replay(ds, index).
        name = f"_path {index}" if index >= 0 else f"_position {position}"
        ax.plot(times, values, color=GREY, linewidth=0.7, alpha=0.7, label=name)
    if found is not None and with_mean:
        ax.plot(times, found["x_mean"].values, color=BLUE, linewidth=2.0, label="mean")
    limit_times(ax, times)
    given.name_states(ax.yaxis, array)
    if found is not None:
        ax.legend(frameon=False, loc="upper left")
    return options.finish(
        ax,
        xlabel=label_of("time", time_attrs),
        ylabel=label_of(given.display_name(array), array.attrs),
    )
