"""The figure of a stream, as PNG."""

from __future__ import annotations

import io

from montezarr import plot
from montezarr.core.optional import import_optional
from montezarr.monitor.display._watched import Watched

LIVE_PART_WIDTH, LIVE_PART_HEIGHT = 5.2, 3.7
"""Inches of each part of the figure."""

LIVE_DPI = 144
"""Dots per inch: twice those of a usual screen, so that text is sharp on high-resolution ones."""


def size_of(watched: Watched) -> tuple[float, float]:
    """Return width and height of the figure in inches; (0, 0) if there is nothing to draw."""
    parts = (watched.name is not None) + (_histogram(watched) is not None)
    return (parts * LIVE_PART_WIDTH, LIVE_PART_HEIGHT) if parts else (0.0, 0.0)


def picture_of(watched: Watched) -> bytes:
    """Return the convergence of the result, and its histogram, as a PNG.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    figures = import_optional("matplotlib.figure", extra="plot", purpose="The figure")
    # It belongs to nobody: one of pyplot's would be shown once more at the end of the cell.
    figure = figures.Figure(figsize=size_of(watched), layout="constrained")
    histogram = _histogram(watched)
    parts = iter(figure.subplots(1, (watched.name is not None) + (histogram is not None),
                                 squeeze=False)[0])  # fmt: skip
    if watched.name is not None:
        plot.convergence(watched.trace, watched.name, ax=next(parts))
    if histogram is not None:
        assert watched.last is not None
        names = [n for n in watched.last.dataset.data_vars if str(n).startswith(histogram)]
        plot.histogram(watched.last.dataset[names], ax=next(parts))
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=LIVE_DPI)
    return out.getvalue()


def _histogram(watched: Watched) -> str | None:
    """Return the name of the histogram to draw: of the shown variable, else the first one."""
    if watched.last is None:
        return None
    found = [
        str(name) for name, v in watched.last.dataset.data_vars.items()
        if str(name).endswith("_histogram") and v.dims == ("bin",) and v.size
    ]  # fmt: skip
    of_shown = [n for n in found if (watched.name or "").startswith(n.removesuffix("histogram"))]
    return next(iter([*of_shown, *found]), None)
