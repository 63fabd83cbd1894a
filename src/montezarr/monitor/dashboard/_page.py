"""The page as a Bokeh document, in the frame of Dask's own pages."""

from __future__ import annotations

import logging
import math
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, NumeralTickFormatter
from bokeh.models.widgets import Div
from bokeh.plotting import figure

from montezarr.core.compat.distributed import dashboard_frame, dashboard_parts
from montezarr.core.tunables.waiting import DASHBOARD_REFRESH_MILLISECONDS
from montezarr.monitor.dashboard._board import Board
from montezarr.monitor.dashboard._html import card, estimates_table, no_runs_html

SHOWN_CARDS = 4
"""Number of runs shown as cards."""

BLUE, GREEN = "#0072B2", "#009E73"
PICTURE_WIDTH, PICTURE_HEIGHT = 400, 260

log = logging.getLogger("montezarr")


def connect(scheduler: Any, board: Board, route: str) -> None:
    """Add the page to the dashboard of a scheduler, with a link to it on the other pages."""
    from tornado.ioloop import IOLoop

    application_class, template_variables = dashboard_parts()
    variables = template_variables(scheduler)
    name = route.strip("/")
    if name not in variables["pages"]:
        variables["pages"].append(name)

    def show(server: Any, extra: Any, doc: Any) -> None:
        document(doc, board)
        try:
            env, theme = dashboard_frame()
            doc.template = env.get_template("simple.html")
            doc.template_variables.update(extra)
            doc.theme = theme
        except Exception as error:  # show the page without the frame
            log.debug("no frame: %s", error)

    application = application_class({route: show}, scheduler, template_variables=variables)
    scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()


def document(doc: Any, board: Board) -> None:
    """Fill a Bokeh document, and update it periodically."""
    view = PageView(board)
    doc.title = "montezarr"
    doc.add_root(view.root)
    view.update()
    doc.add_periodic_callback(view.update, DASHBOARD_REFRESH_MILLISECONDS)


class PageView:
    """Cards of the runs; plots and table of estimates of the first one."""

    def __init__(self, board: Board):
        self.board = board
        width = 3 * PICTURE_WIDTH + 20
        self.cards, self.table = Div(width=width), Div(width=width)
        self.speed = ColumnDataSource({"seconds": [], "speed": []})
        self.workers = ColumnDataSource({"name": [], "speed": [], "text": []})
        self.trace = ColumnDataSource({"paths": [], "value": [], "low": [], "high": []})
        self._speeds = _figure("Paths per second", x_axis_label="seconds")
        self._speeds.line("seconds", "speed", source=self.speed, color=BLUE, line_width=2)
        self._speeds.y_range.start = 0
        self._speeds.yaxis.formatter = NumeralTickFormatter(format="0.[0]a")
        self._workers = _figure("Paths per second of work, by worker", y_range=[])
        self._workers.hbar(y="name", right="speed", source=self.workers, height=0.7, color=GREEN)
        self._workers.text(
            x=0, y="name", text="text", source=self.workers, x_offset=6, y_offset=6,
            text_color="white", text_font_size="11px",
        )  # fmt: skip
        self._workers.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
        self._workers.x_range.start = 0
        self._trace = _figure("Estimate and 95 % interval", x_axis_label="paths")
        self._trace.varea("paths", "low", "high", source=self.trace, color=BLUE, alpha=0.25)
        self._trace.line("paths", "value", source=self.trace, color=BLUE, line_width=2)
        self._trace.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
        pictures = row(self._speeds, self._workers, self._trace)
        self.root = column(self.cards, pictures, self.table)

    def update(self) -> None:
        """Show the current state of the board."""
        runs = self.board.newest()
        self.cards.text = "".join(card(run) for run in runs[:SHOWN_CARDS]) or no_runs_html()
        if not runs:
            return
        run = runs[0]
        moments = list(self.board.moments[run["key"]])
        self.speed.data = {
            "seconds": [m[0] for m in moments[1:]], "speed": [m[2] for m in moments[1:]]
        }  # fmt: skip
        self._show_workers(run)
        found = [(m[1], m[3]) for m in moments if m[3] is not None and m[3]["se"] is not None]
        self.trace.data = {
            "paths": [paths for paths, _ in found],
            # A one-sided interval has None as its other end, which is not drawn.
            **{
                name: [math.nan if e[name] is None else e[name] for _, e in found]
                for name in ("value", "low", "high")
            },
        }
        self._trace.visible = bool(found)
        name = found[-1][1]["name"] if found else ""
        self._trace.title.text = f"{name} and 95 % interval"
        self.table.text = estimates_table(run)

    def _show_workers(self, run: Any) -> None:
        workers = run["workers"]
        names = list(workers)[::-1]
        if list(self._workers.y_range.factors) != names:
            self._workers.y_range.factors = names
        self.workers.data = {
            "name": names,
            "speed": [workers[name]["paths_per_second"] for name in names],
            "text": [f"{workers[name]['paths']:,} paths" for name in names],
        }


def _figure(title: str, **options: Any) -> Any:
    return figure(
        title=title,
        width=PICTURE_WIDTH,
        height=PICTURE_HEIGHT,
        toolbar_location=None,
        tools="",
        **options,
    )
