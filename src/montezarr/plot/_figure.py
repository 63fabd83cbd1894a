"""Figures, colours and texts shared by all pictures."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from montezarr.core.checks import type_error, value_error
from montezarr.core.optional import import_optional

FIGURE_INCHES = (8.0, 4.5)
"""Inches of a figure: legible at the width of a README."""

FIGURE_DPI = 150

BLUE = (0.12, 0.37, 0.66)
"""Colour of a single run; bands are shades of it."""

ORANGE = (0.84, 0.37, 0.0)
"""Colour of a second run: the vermillion of Okabe and Ito, safe for the colour-blind.

Okabe and Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/.
"""

GREY = "0.35"
"""The colour of single paths."""

_WITHOUT_PYPLOT: ContextVar[bool] = ContextVar("without_pyplot", default=False)


def figure() -> Any:
    """Return a new figure of 8 x 4.5 inches whose parts do not overlap.

    It is a figure of pyplot if pyplot is in use or in a notebook, so that ``plt.show()`` and the
    notebook show it. Otherwise pyplot does not know it, so that a program on a server may make any
    number of figures, in any thread.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import montezarr as mz
    >>> print(mz.plot.figure().get_size_inches())
    [8.  4.5]
    """
    require()
    if not _WITHOUT_PYPLOT.get() and ("matplotlib.pyplot" in sys.modules or _is_notebook()):
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="A plot")
        return pyplot.figure(figsize=FIGURE_INCHES, layout="constrained")
    figures = import_optional("matplotlib.figure", extra="plot", purpose="A plot")
    return figures.Figure(figsize=FIGURE_INCHES, layout="constrained")


@contextmanager
def without_pyplot() -> Iterator[None]:
    """Make figures inside that pyplot does not know, such as those of files."""
    token = _WITHOUT_PYPLOT.set(True)
    try:
        yield
    finally:
        _WITHOUT_PYPLOT.reset(token)


def require() -> None:
    """Raise, with the command that installs it, if matplotlib is absent: before a long run.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import montezarr as mz
    >>> mz.plot.require()
    """
    import_optional("matplotlib", extra="plot", purpose="A plot")


def check_axes(ax: Any) -> Any:
    """Check Axes of matplotlib; None stands for new ones.

    Raises
    ------
    ArgumentTypeError
        If it is something else.
    MissingDependencyError
        If matplotlib is not installed.
    """
    if ax is not None and not hasattr(ax, "fill_between"):
        raise type_error("ax", "matplotlib Axes, or None for a new figure", ax)
    require()
    return ax


def check_texts(**texts: Any) -> dict[str, str | None]:
    """Check the texts of a picture, by name of the parameter; None stands for the default.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If one is no text, or has mathematics between dollar signs that matplotlib cannot parse,
        which it would report only after the simulation.
    """
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise type_error(name, "a text", text)
        problem = None if text is None else mathtext_problem(text)
        if problem is not None:
            raise value_error(
                name, "a text whose parts between dollar signs are mathtext of matplotlib", text,
                f"{problem}. Write \\$ for a dollar.",
            )  # fmt: skip
    return texts


def mathtext_problem(text: str) -> str | None:
    """Return the error in the mathematics between dollar signs of a text, or None."""
    dollars = len(re.findall(r"(?<!\\)\$", text))
    if dollars == 0 or dollars % 2:  # matplotlib then shows the text as it is
        return None
    matplotlib = import_optional("matplotlib", extra="plot", purpose="A plot")
    if matplotlib.rcParams["text.usetex"]:  # TeX accepts more than mathtext
        return None
    mathtext = import_optional("matplotlib.mathtext", extra="plot", purpose="A plot")
    try:
        mathtext.MathTextParser("path").parse(text)
    except ValueError as error:
        return " ".join(str(error).split()).rstrip(".") or "it cannot be read"
    return None


def showable(text: str) -> str:
    """Return a text of the data, with dollar signs escaped unless they enclose mathematics."""
    dollars = len(re.findall(r"(?<!\\)\$", text))
    if dollars % 2 or mathtext_problem(text) is not None:
        return re.sub(r"(?<!\\)\$", r"\\$", text)
    return text


def shade(depth: float, colour: tuple[float, float, float] = BLUE) -> tuple[float, ...]:
    """Return an opaque shade of a colour, from white at 0 to the colour at 1.

    It is opaque, so that the legend shows the visible colour.
    """
    return tuple(1 - depth * (1 - part) for part in colour)


def label_of(name: Any, attrs: Mapping[str, Any]) -> str:
    """Return the label of an axis: the long name of a variable, or its name, with its units."""
    text = str(attrs.get("long_name") or attrs.get("standard_name") or name or "")
    units = str(attrs.get("units", ""))
    text = showable(text)
    return f"{text} [{showable(units)}]".strip() if units not in ("", "1") else text


def per(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of a density of a variable with these attributes: the reciprocal ones."""
    units = str(attrs.get("units", ""))
    if units in ("", "1"):
        return {}
    if units.startswith("1/") and units[2:].isalnum():
        return {"units": units[2:]}
    return {"units": f"1/{units}" if units.isalnum() else f"1/({units})"}


def count_in_thousands(axis: Any) -> None:
    """Format the counts at an axis with commas."""
    ticker = import_optional("matplotlib.ticker", extra="plot", purpose="A plot")
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))


def whole_numbers(axis: Any) -> None:
    """Put ticks at integers only; a locator that the user chose is kept."""
    ticker = import_optional("matplotlib.ticker", extra="plot", purpose="A plot")
    locator = axis.get_major_locator()
    if isinstance(locator, ticker.AutoLocator):
        locator.set_params(integer=True)


def limit_times(ax: Any, times: Any) -> None:
    """Limit the axis to the times."""
    if len(times) > 1:
        ax.set_xlim(times[0], times[-1])


def edges_of(centres: Any) -> Any:
    """Return the edges of cells around increasing centres, numbers or dates."""
    if len(centres) == 1:
        half = 0.5 if centres.dtype.kind in "iuf" else np.timedelta64(12, "h")
        return np.array([centres[0] - half, centres[0] + half])
    half = np.diff(centres) / 2
    inner = centres[:-1] + half
    return np.concatenate([[centres[0] - half[0]], inner, [centres[-1] + half[-1]]])


def _is_notebook() -> bool:
    """Return whether IPython runs this code, without importing it."""
    module = sys.modules.get("IPython")
    return module is not None and module.get_ipython() is not None
