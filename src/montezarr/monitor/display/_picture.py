"""The figure of a stream, as PNG."""

from __future__ import annotations

import io

from montezarr import plot
from montezarr.core.optional import import_optional
from montezarr.monitor.display._progress import StreamProgress

LIVE_PART_WIDTH, LIVE_PART_HEIGHT = 5.2, 3.7
"""Inches of each part of the figure."""

LIVE_LEGEND_WIDTH = 2.4
"""Inches beside a part for its legend, where that is of several entries."""

LIVE_DPI = 144
"""Dots per inch: twice those of a usual screen, so that text is sharp on high-resolution ones."""


def size_of(progress: StreamProgress) -> tuple[float, float]:
    """Return width and height of the figure in inches; (0, 0) if there is nothing to draw."""
    parts = (progress.name is not None) + (_histogram(progress) is not None)
    legend = 0.0 if progress.hue is None else LIVE_LEGEND_WIDTH
    return (parts * LIVE_PART_WIDTH + legend, LIVE_PART_HEIGHT) if parts else (0.0, 0.0)


def picture_of(progress: StreamProgress) -> bytes:
    """Return the convergence of the result, and its histogram, as a PNG.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = import_optional("matplotlib.figure", extra="plot", purpose="The figure")
    # It belongs to nobody: one of pyplot's would be shown once more at the end of the cell.
    figure = figures.Figure(figsize=size_of(progress), layout="constrained")
    histogram = _histogram(progress)
    parts = iter(figure.subplots(1, (progress.name is not None) + (histogram is not None),
                                 squeeze=False)[0])  # fmt: skip
    if progress.name is not None:
        plot.convergence(progress.trace, progress.name, hue=progress.hue, ax=next(parts))
    if histogram is not None:
        assert progress.last is not None
        names = [n for n in progress.last.dataset.data_vars if str(n).startswith(histogram)]
        plot.histogram(progress.last.dataset[names], ax=next(parts))
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=LIVE_DPI)
    return out.getvalue()


def _histogram(progress: StreamProgress) -> str | None:
    """Return the name of the histogram to draw: of the shown variable, else the first one."""
    if progress.last is None:
        return None
    found = [
        str(name) for name, v in progress.last.dataset.data_vars.items()
        if str(name).endswith("_histogram") and v.dims == ("bin",) and v.size
    ]  # fmt: skip
    of_shown = [n for n in found if (progress.name or "").startswith(n.removesuffix("histogram"))]
    return next(iter([*of_shown, *found]), None)
