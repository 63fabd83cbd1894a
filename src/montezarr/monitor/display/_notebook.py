"""The view in a notebook: a figure, a text and a button, updated in place."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, final

from montezarr.core.compat.ipykernel import answer_anywhere, has_subshells
from montezarr.core.errors import MissingDependencyError
from montezarr.core.optional import import_optional
from montezarr.monitor.display._picture import picture_of, size_of
from montezarr.monitor.display._progress import StreamProgress
from montezarr.monitor.display._view import LiveView

PIXELS = 72
"""Pixels of a notebook per inch of a figure."""

KEPT = "the result is kept"


@final
class Notebook(LiveView):
    """View in a notebook: outputs of the cell that are updated in place.

    Parameters
    ----------
    progress, every
        As for `LiveView`.
    kernel : Kernel
        The kernel of the notebook.
    stop : callable
        Function that the button calls.
    """

    def __init__(
        self, progress: StreamProgress, every: float, kernel: Any, stop: Callable[[], None]
    ):
        super().__init__(progress, every)
        self._display = import_optional("IPython.display", extra="notebook", purpose="A notebook")
        self._stop = stop
        self._ways: list[str] = []
        """Ways to stop the stream."""
        self._lacks: list[str] = []
        """Packages that are not installed, and the line that installs them."""
        self._button = self._make_button(kernel)
        self._can_draw = self._load_matplotlib()

    def begin(self) -> None:
        """Create the outputs in their order."""
        display = self._display.display
        self._figure = display(self._text(), display_id=True)
        self._words = display(self._text(), display_id=True)
        if self._button is not None:
            self._handle = display(self._button, display_id=True)

    def show_picture(self) -> None:
        """Draw the figure."""
        width, height = size_of(self.progress)
        if not self._can_draw or not width:
            return
        image = self._display.Image(
            picture_of(self.progress), format="png", width=int(width * PIXELS),
            height=int(height * PIXELS), alt=f"{self.progress.estimate()}; {self.progress.speed()}",
        )  # fmt: skip
        self._figure.update(image)

    def show_text(self, *, is_last: bool) -> None:
        """Show the estimate and the progress."""
        progress = self.progress
        lines = [progress.estimate(), f"{progress.speed()}; {progress.outlook()}"]
        lines += [*([] if is_last else self._ways), *self._lacks]
        self._words.update(self._text(*(line for line in lines if line)))

    def end(self, stopped: str) -> None:
        """Remove the button: a saved notebook cannot show it."""
        if self._button is not None:
            self._handle.update(self._text())
            self._button.close()
        if self.progress.last is None or self.progress.last.stopped is None:
            lines = [self.progress.estimate(), f"{self.progress.speed()}; stopped: {stopped}"]
            self._words.update(self._text(*(line for line in lines if line)))

    def _text(self, *lines: str) -> Any:
        """Return lines, the first one bold."""
        rest = "".join(f"<div>{html.escape(line)}</div>" for line in lines[1:])
        first = "".join(f"<div><b>{html.escape(line)}</b></div>" for line in lines[:1])
        return self._display.HTML(first + rest)

    def _make_button(self, kernel: Any) -> Any:
        """Return the button, or None if it cannot work; record the ways to stop the stream."""
        interrupt = f"interrupt the kernel (■) to stop; {KEPT}"
        try:
            widgets = import_optional("ipywidgets", extra="notebook", purpose="A stop button")
        except MissingDependencyError as error:
            self._ways.append(interrupt)
            self._lacks.append(str(error))
            return None
        # Without subshells, the kernel handles a click only after the cell.
        if not has_subshells(kernel):
            self._ways.append(interrupt)
            return None
        self._ways.append(f"the button stops it, or the interrupt of the kernel (■); {KEPT}")
        button = widgets.Button(
            description="Stop", icon="stop", tooltip=f"End it with all paths so far; {KEPT}"
        )
        button.on_click(self._clicked)
        answer_anywhere(button)  # its handler does not block
        return button

    def _clicked(self, button: Any) -> None:
        self._stop()
        button.disabled, button.description = True, "Stopping"

    def _load_matplotlib(self) -> bool:
        try:
            import_optional("matplotlib.figure", extra="plot", purpose="The figure")
        except MissingDependencyError as error:
            self._lacks.append(str(error))
            return False
        return True
