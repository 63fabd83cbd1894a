"""Further dimensions of a picture: entries in colours, or in columns and rows of Axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import xarray as xr

from montezarr.core.checks import check_bool, check_int, value_error
from montezarr.core.tunables.limits import PLOT_PANELS_MAX
from montezarr.plot._figure import figure
from montezarr.plot._hue import Hue, entry_dim, hue_of, texts_of
from montezarr.plot._parameters import AxesOptions

PANEL_INCHES = (3.4, 2.7)
"""Size of the Axes of one entry, with their labels."""

SIDE_INCHES = 2.0
"""Width beside the Axes, for the legend or the bar of colours."""

FIGURE_MIN_INCHES = (8.0, 4.0)

GAP_INCHES = 0.1
"""Space beside Axes, so that the ends of two axes do not touch."""


class Legend(NamedTuple):
    """Entries of a legend, under a title, with a note that is about these Axes alone.

    `entries` are artists with labels; None are all labelled ones on the Axes.
    """

    loc: str
    entries: Sequence[Any] | None = None
    title: str | None = None
    note: str | None = None
    style: Mapping[str, Any] = {}

    def place(self, ax: Any, *, beside: bool = False) -> None:
        """Draw it on its Axes or beside these, the note above the title."""
        title = "\n".join(text for text in (self.note, self.title) if text) or None
        entries = self.of(ax)
        if entries or title:
            where: dict[str, Any] = {"loc": self.loc}
            if beside:
                where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
            ax.legend(handles=entries, title=title, **{**self.options(), **where})

    def of(self, ax: Any) -> list[Any]:
        """Return the entries; those on the Axes are in the order in which they were drawn."""
        return list(ax.get_legend_handles_labels()[0] if self.entries is None else self.entries)

    def options(self) -> dict[str, Any]:
        """Return its look."""
        return {"frameon": False, "alignment": "left", **self.style}


class Drawing(NamedTuple):
    """What was drawn on Axes, and what may be shared with those of other entries.

    Attributes
    ----------
    xlabel, ylabel : str
        Labels, unless the caller gave others.
    legend : Legend or None
        Its legend.
    height : (float or None, float or None)
        Ends of the axis of values; None leaves an end to matplotlib.
    colours : (artist, dict) or None
        A map with the options of its bar of colours.
    """

    xlabel: str
    ylabel: str
    legend: Legend | None = None
    height: tuple[float | None, float | None] = (None, None)
    colours: tuple[Any, Mapping[str, Any]] | None = None


class Entry(NamedTuple):
    """A further dimension: what it is called in the call, and which it is."""

    name: str
    dim: str


Draw = Callable[[Any, Mapping[str, int], Hue | None], Drawing]
"""Draws, on Axes, the entry at some positions; all entries of a hue, each in its colour."""


@dataclass(frozen=True, slots=True)
class Facets:
    """Where the entries of further dimensions are drawn.

    Attributes
    ----------
    hue, col, row : Entry or None
        The dimensions in colours, in columns and in rows.
    wrap : int or None
        Columns after which a new row begins.
    share : bool
        Whether all have one axis of values.
    """

    hue: Entry | None = None
    col: Entry | None = None
    row: Entry | None = None
    wrap: int | None = None
    share: bool = True

    @classmethod
    def of(
        cls, data: Any, options: AxesOptions, *, hue: Any = None, col: Any = None, row: Any = None,
        col_wrap: Any = None, sharey: Any = True,
    ) -> Self:  # fmt: skip
        """Return the checked arguments of these names.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError
            If one is no further dimension of the data, two are the same, or Axes are given for
            several entries.
        """
        found: dict[str, Entry] = {}
        for name, value in (("hue", hue), ("col", col), ("row", row)):
            dim = entry_dim(data, name, value)
            if dim is None:
                continue
            other = next((key for key, entry in found.items() if entry.dim == dim), None)
            if other is not None:
                raise value_error(name, f"another dimension than {other}", value)
            found[name] = Entry(value, dim)
        wrap = None if col_wrap is None else check_int("col_wrap", col_wrap, minimum=1)
        if wrap is not None and ("col" in found) == ("row" in found):
            what = "one of col and row" if "row" in found else "col or row"
            raise value_error("col_wrap", f"None without {what}", col_wrap)
        share = check_bool("sharey", sharey)
        out = cls(**found, wrap=wrap, share=share)
        if out.is_several and options.ax is not None:
            raise value_error(
                "ax", "None with col or row, which make a figure of several Axes", options.ax
            )
        return out

    @property
    def is_several(self) -> bool:
        """Whether the picture has columns or rows."""
        return self.col is not None or self.row is not None

    @property
    def entries(self) -> list[Entry]:
        """The further dimensions with their names, those of panels first."""
        return [entry for entry in (self.row, self.col, self.hue) if entry is not None]

    @property
    def dims(self) -> tuple[str, ...]:
        """The further dimensions."""
        return tuple(entry.dim for entry in self.entries)

    def check(self, array: xr.DataArray) -> None:
        """Raise, before a pass, if there are too many colours or panels.

        Raises
        ------
        ArgumentValueError
            With the number of entries.
        """
        self.colours(array)
        panels = [entry for entry in (self.row, self.col) if entry is not None]
        count = math.prod(array.sizes[entry.dim] for entry in panels)
        if count > PLOT_PANELS_MAX:
            longest = max(panels, key=lambda entry: array.sizes[entry.dim]).dim
            step = -(-count // PLOT_PANELS_MAX)
            raise value_error(
                " and ".join(name for name in ("row", "col") if getattr(self, name) is not None),
                f"at most {PLOT_PANELS_MAX} entries in a figure", f"{count:,}",
                f"Select some, such as .isel({longest}=slice(None, None, {step})).",
            )  # fmt: skip

    def colours(self, array: xr.DataArray) -> Hue | None:
        """Return the colours of the entries, None without hue."""
        return None if self.hue is None else hue_of(array, *self.hue)

    def draw(self, options: AxesOptions, array: xr.DataArray, draw: Draw) -> Any:
        """Draw all entries of an array that has the further dimensions.

        Returns
        -------
        matplotlib Axes, or array (rows, columns) of them with `col` or `row`
        """
        hue = self.colours(array)
        if self.is_several:
            return _draw_panels(self, options, array, hue, draw)
        ax = options.axes()
        drawing = draw(ax, {}, hue)
        ax.set_ylim(*drawing.height)
        if drawing.legend is not None:
            # On Axes of the caller, who knows what is beside them, it stays inside.
            drawing.legend.place(ax, beside=hue is not None and options.ax is None)
        if drawing.colours is not None:
            artist, look = drawing.colours
            ax.figure.colorbar(artist, ax=ax, **look)
        return options.finish(ax, xlabel=drawing.xlabel, ylabel=drawing.ylabel)


def _draw_panels(
    facets: Facets, options: AxesOptions, array: xr.DataArray, hue: Hue | None, draw: Draw
) -> Any:
    """Draw a figure with Axes for every entry; titles, legend and labels as xarray places them."""
    places = _places(facets, array)
    rows, columns = (1 + max(place[k] for place, _, _ in places) for k in (0, 1))
    picture = figure()
    width, height = columns * PANEL_INCHES[0] + SIDE_INCHES, rows * PANEL_INCHES[1]
    picture.set_size_inches(max(width, FIGURE_MIN_INCHES[0]), max(height, FIGURE_MIN_INCHES[1]))
    picture.get_layout_engine().set(w_pad=GAP_INCHES)
    axes = picture.subplots(rows, columns, sharex=True, sharey=facets.share, squeeze=False)
    drawings = []
    for place, at, texts in places:
        ax = axes[place]
        drawing = draw(ax, at, hue)
        drawings.append((ax, drawing))
        note = None if drawing.legend is None else drawing.legend.note
        ax.set_title("\n".join(text for text in (texts.title, note) if text), fontsize="medium")
        if texts.side is not None:
            ax.annotate(
                texts.side, (1.0, 0.5), (6, 0), xycoords="axes fraction", va="center", ha="left",
                textcoords="offset points", rotation=270,
            )  # fmt: skip
        is_lowest = (place[0] + 1, place[1]) not in {other for other, _, _ in places}
        options.label(
            ax, xlabel=drawing.xlabel, ylabel=drawing.ylabel, is_outer=(is_lowest, place[1] == 0)
        )
        ax.xaxis.set_tick_params(which="both", labelbottom=is_lowest)
    for ax in axes.flat[len(places) :] if facets.wrap is not None else ():
        ax.set_visible(False)
    _set_heights(drawings, facets.share)
    _share_legend(picture, drawings)
    if options.texts["title"] is not None:
        picture.suptitle(options.texts["title"], x=0.01, ha="left")
    return axes


class _Texts(NamedTuple):
    """The title of Axes, and the text at their right side."""

    title: str | None
    side: str | None = None


Place = tuple[int, int]


def _places(facets: Facets, array: xr.DataArray) -> list[tuple[Place, dict[str, int], _Texts]]:
    """Return, for every entry, its row and column, its position, and its texts."""
    row, col = facets.row, facets.col
    if row is None or col is None:
        one = col or row
        assert one is not None
        count = array.sizes[one.dim]
        columns = facets.wrap or (count if col is not None else 1)
        texts = texts_of(array, *one)
        return [
            (divmod(i, columns), {one.dim: i}, _Texts(f"{one.name} = {texts[i]}"))
            for i in range(count)
        ]
    tops, sides = texts_of(array, *col), texts_of(array, *row)
    last = len(tops) - 1
    return [
        (
            (i, k),
            {row.dim: i, col.dim: k},
            _Texts(
                f"{col.name} = {tops[k]}" if i == 0 else None,
                f"{row.name} = {sides[i]}" if k == last else None,
            ),
        )
        for i in range(len(sides))
        for k in range(len(tops))
    ]


def _set_heights(drawings: Sequence[tuple[Any, Drawing]], share: bool) -> None:
    """Set the ends of the axes of values, the outermost ones where they are shared."""
    for ax, drawing in drawings:
        low, high = drawing.height
        if share:
            lows = [other.height[0] for _, other in drawings]
            highs = [other.height[1] for _, other in drawings]
            low = min((x for x in lows if x is not None), default=None)
            high = max((x for x in highs if x is not None), default=None)
        ax.set_ylim(low, high)


def _share_legend(picture: Any, drawings: Sequence[tuple[Any, Drawing]]) -> None:
    """Place one legend, or bar of colours, beside all Axes; on each one where they differ."""
    first_ax, first = drawings[0]
    if first.colours is not None:
        artist, look = first.colours
        picture.colorbar(artist, ax=[ax for ax, _ in drawings], **look)
    legends = [(ax, drawing.legend) for ax, drawing in drawings if drawing.legend is not None]
    if not legends:
        return
    labels = [[entry.get_label() for entry in legend.of(ax)] for ax, legend in legends]
    if any(found != labels[0] for found in labels):
        for ax, legend in legends:
            small = {"fontsize": "small", "title_fontsize": "small", **legend.style}
            legend._replace(style=small, note=None).place(ax)
        return
    legend = legends[0][1]
    picture.legend(
        handles=legend.of(first_ax),
        title=legend.title,
        loc="outside right upper",
        frameon=False,
        alignment="left",
    )
