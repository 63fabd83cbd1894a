"""Colours for the entries of a further dimension, such as scenarios, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import did_you_mean, type_error, value_error
from montezarr.core.optional import import_optional
from montezarr.core.tunables.limits import PLOT_COLOURS_MAX
from montezarr.plot._figure import BLUE, GREY, ORANGE, label_of, showable
from montezarr.reduction.sources import PATH, TIME
from montezarr.reduction.streaming import Snapshot

NAMED_COLOURS = (
    BLUE, ORANGE, (0.0, 0.62, 0.45), (0.8, 0.47, 0.65), (0.9, 0.62, 0.0), (0.34, 0.71, 0.91),
)  # fmt: skip
"""Colours of entries without an order, after Okabe and Ito; see `ORANGE`."""

ORDERED_COLOURS = "plasma"
"""Colour map of entries that are numbers: equal steps look equal, also to the colour-blind."""

LIGHTEST = 0.76
"""End of that colour map that is used: its last part is too light for lines on white."""

OWN_DIMS = (PATH, TIME, "quantile", "bin")

BAND_OPACITY = 0.12
"""Opacity of a band: those of several colours lie over each other."""


@dataclass(frozen=True, slots=True)
class Hue:
    """The entries of a dimension with their colours.

    Attributes
    ----------
    dim : str
        The dimension.
    labels : tuple of str
        Text of each entry.
    title : str
        Name of the entries, with their units.
    colours : tuple
        Colour of each entry.
    """

    dim: str
    labels: tuple[str, ...]
    title: str
    colours: tuple[Any, ...]

    def entries(self, labels: Sequence[str] | None = None) -> list[Any]:
        """Return the entries of a legend: a line of each colour, with these labels or its own."""
        lines = import_optional("matplotlib.lines", extra="plot", purpose="A plot")
        return [
            lines.Line2D([], [], color=colour, linewidth=2.0, label=label)
            for label, colour in zip(labels or self.labels, self.colours, strict=True)
        ]


def entry_dim(data: Any, name: str, value: Any) -> str | None:
    """Return the dimension of an argument: a dimension of the data, or a coordinate along one.

    Parameters
    ----------
    name : str
        The argument: ``hue``, ``col`` or ``row``.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is neither; with the nearest.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise type_error(name, "the name of a dimension", value)
    ds = data.dataset if isinstance(data, Snapshot) else data
    if not isinstance(ds, (xr.Dataset, xr.DataArray)):
        return value  # the check of the data raises
    dims = [str(dim) for dim in ds.dims if dim not in OWN_DIMS]
    known = dims + [str(name) for name, c in ds.coords.items() if c.ndim == 1 and c.dims[0] in dims]
    if value not in known:
        listed = ", ".join(dict.fromkeys(known)) or "none of which there is"
        raise value_error(
            name, f"a dimension of data besides those of the picture, or a coordinate of it"
            f" ({listed})", value, did_you_mean(value, known),
        )  # fmt: skip
    return value if value in dims else str(ds.coords[value].dims[0])


def values_along(array: xr.DataArray, name: str, dim: str) -> NDArray[Any]:
    """Return the entries along a dimension: those of the coordinate `name`, else positions."""
    return np.asarray(array[name].values if name in array.coords else np.arange(array.sizes[dim]))


def texts_of(array: xr.DataArray, name: str, dim: str) -> tuple[str, ...]:
    """Return the entries along a dimension as text."""
    values = values_along(array, name, dim)
    is_number = values.dtype.kind in "iuf"
    return tuple(f"{v:.6g}" if is_number else showable(str(v)) for v in values.tolist())


def has_colours(array: xr.DataArray, dim: str) -> bool:
    """Return whether the entries of a dimension are few enough for colours that differ."""
    is_number = values_along(array, dim, dim).dtype.kind in "iuf"
    return array.sizes[dim] <= (PLOT_COLOURS_MAX if is_number else len(NAMED_COLOURS))


def hue_of(array: xr.DataArray, hue: str, dim: str) -> Hue:
    """Return the colours of the entries of a dimension.

    Raises
    ------
    ArgumentValueError
        If there are more entries than colours can tell apart.
    """
    values = values_along(array, hue, dim)
    attrs = array.coords[hue].attrs if hue in array.coords else {}
    is_ordered = values.dtype.kind in "iuf"
    most = PLOT_COLOURS_MAX if is_ordered else len(NAMED_COLOURS)
    if len(values) > most:
        step = -(-len(values) // most)
        raise value_error(
            "hue", f"a dimension of at most {most} entries, since colours must differ",
            f"{dim!r} of {len(values):,}",
            f"Select some, such as .isel({dim}=slice(None, None, {step})).",
        )  # fmt: skip
    colours = NAMED_COLOURS[: len(values)]
    if is_ordered:
        colormaps = import_optional("matplotlib", extra="plot", purpose="A plot").colormaps
        places = np.linspace(0.0, LIGHTEST, max(2, len(values)))
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        colours = tuple(colormaps[ORDERED_COLOURS](places[rank])[:3] for rank in ranks)
    return Hue(dim, texts_of(array, hue, dim), label_of(hue, attrs), colours)


def draw_band(ax: Any, times: Any, low: Any, high: Any, colour: Any) -> None:
    """Fill a band, with its edges, since bands of other colours lie over it."""
    ax.fill_between(times, low, high, color=colour, linewidth=0, alpha=BAND_OPACITY)
    for edge in (low, high):
        ax.plot(times, edge, color=colour, linewidth=0.9, label="_edge")


def band_entry(text: str, opacity: float = BAND_OPACITY) -> Any:
    """Return the entry of a legend for bands, whatever their colour."""
    patches = import_optional("matplotlib.patches", extra="plot", purpose="A plot")
    return patches.Patch(color=GREY, alpha=opacity, linewidth=0, label=text)


def line_entry(text: str, **style: Any) -> Any:
    """Return the entry of a legend for lines of this style, whatever their colour."""
    lines = import_optional("matplotlib.lines", extra="plot", purpose="A plot")
    return lines.Line2D([], [], color=GREY, label=text, **style)
