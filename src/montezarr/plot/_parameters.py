"""Parameters shared by all pictures: documented and checked in one place."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar

from montezarr.core.checks import check_int
from montezarr.core.tunables.limits import PLOT_BINS_MAX
from montezarr.plot._figure import check_axes, check_texts, figure

P = ParamSpec("P")
R = TypeVar("R")


DESCRIPTIONS = {
    "ax_and_texts": """\
ax : matplotlib Axes, optional
    Where to draw; a new figure by default, see `montezarr.plot.figure`.
title, xlabel, ylabel : str, optional
    Texts; names and units stand at the axes by default.""",
    "hue": """\
hue : str, optional
    A further dimension of `data`, such as one of scenarios, or a coordinate along it: each of
    its entries is drawn in a colour of its own, at most 12 numbers or 6 others.""",
    "facets": """\
col, row : str, optional
    Further dimensions, or coordinates along them, as in xarray: each of their entries has Axes
    of its own, in columns and rows of one figure, at most 64.
col_wrap : int, optional
    Number of columns after which a new row begins, with one of `col` and `row`.
sharey : bool
    Whether the Axes of all entries have the same limits of values.""",
    "axes": """\
matplotlib Axes
    With `col` or `row` an array (rows, columns) of them, dtype object, as of
    ``plt.subplots``; their figure is ``axes[0, 0].figure``.""",
    "bins": """\
bins : int
    Number of bins, 1 to 65536. Those of integers hold the same number of integers each, so
    there are fewer bins where there are few integers.""",
    "range": """\
range : (float, float), optional
    Where the bins begin and end. By default the first 16384 paths tell, at all times together:
    their extreme values, but no more than 6 standard deviations from their mean.""",
    "quantiles": """\
quantiles : sequence of float
    Increasing levels in (0, 1), symmetric around 0.5.""",
    "seed": """\
seed : int
    Which single paths, >= 0: the same seed chooses the same paths.""",
    "missing_matplotlib": """\
MissingDependencyError
    If matplotlib is not installed.""",
}
"""Sections of docstrings, by the name in braces that they replace."""


def describe_shared(function: Callable[P, R]) -> Callable[P, R]:
    """Insert the descriptions of shared parameters into a docstring.

    A line that is a name in braces, such as ``{bins}``, is replaced; the lines after it may
    continue the description.

    Raises
    ------
    KeyError
        If there is no description of that name.
    """
    if function.__doc__ is not None:  # it is None under python -OO
        function.__doc__ = re.sub(
            r"(?m)^( *)\{(\w+)\}$",
            lambda line: textwrap.indent(DESCRIPTIONS[line[2]], line[1]),
            function.__doc__,
        )
    return function


@dataclass(frozen=True, slots=True)
class AxesOptions:
    """The Axes and texts of a picture, checked before anything is computed.

    Attributes
    ----------
    ax : matplotlib Axes or None
        None for a new figure.
    texts : dict of str to str or None
        ``title``, ``xlabel`` and ``ylabel``; None for the default.
    """

    ax: Any
    texts: dict[str, str | None]

    @classmethod
    def of(cls, ax: Any = None, title: Any = None, xlabel: Any = None, ylabel: Any = None) -> Self:
        """Return the checked options.

        Raises
        ------
        ArgumentTypeError, ArgumentValueError, MissingDependencyError
            As `check_axes` and `check_texts` do.
        """
        texts = check_texts(title=title, xlabel=xlabel, ylabel=ylabel)
        return cls(check_axes(ax), texts)

    def axes(self) -> Any:
        """Return the Axes to draw on, those of a new figure by default."""
        return figure().add_subplot() if self.ax is None else self.ax

    def finish(self, ax: Any, *, xlabel: str, ylabel: str) -> Any:
        """Set the title and the labels, with these defaults; return the Axes."""
        self.label(ax, xlabel=xlabel, ylabel=ylabel)
        if self.texts["title"] is not None:
            ax.set_title(self.texts["title"], loc="left")
        return ax

    def label(
        self, ax: Any, *, xlabel: str, ylabel: str, is_outer: tuple[bool, bool] = (True, True)
    ) -> None:
        """Set the labels of the axes that are outer ones, with these defaults."""
        defaults = (("xlabel", xlabel), ("ylabel", ylabel))
        for (name, default), is_shown in zip(defaults, is_outer, strict=True):
            text = self.texts[name]
            if is_shown:
                getattr(ax, f"set_{name}")(default if text is None else text)
        ax.spines[["top", "right"]].set_visible(False)


def check_bins(bins: Any) -> int:
    """Check a number of bins."""
    return check_int("bins", bins, minimum=1, maximum=PLOT_BINS_MAX)
