"""The scheduler plugin: receive events of runs, and show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, final

from distributed import SchedulerPlugin

from montezarr.core.notices import log, log_warning
from montezarr.monitor.dashboard._board import Board

ROUTE = "/montezarr"


@final
class Page(SchedulerPlugin):
    """Shows runs; parts that this version of Dask does not support are left out with a warning."""

    name = "montezarr"
    idempotent = True

    def __init__(self) -> None:
        self.board = Board()
        self._undo: list[Callable[[], None]] = []

    async def start(self, scheduler: Any) -> None:
        """Add the routes."""
        self._guarded(_add_json, scheduler)
        self._guarded(_add_metrics, scheduler)
        self._guarded(_add_page, scheduler)
        self._guarded(_add_colours, scheduler)

    async def close(self) -> None:
        """Undo changes to the process, which outlives the scheduler."""
        while self._undo:
            self._undo.pop()()

    def log_event(self, topic: str, msg: Any) -> None:
        """Record an event that a driver logged."""
        if topic == "montezarr":
            try:
                self.board.put(msg)
            except Exception as error:  # sent by another version of montezarr
                log.debug("news that are not understood: %s", error)

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Mark the runs of a driver that has disconnected."""
        self.board.leave(client)

    def _guarded(self, add: Callable[[Any, Board], Callable[[], None] | None], to: Any) -> None:
        try:
            undo = add(to, self.board)
        except Exception as error:
            what = add.__name__.removeprefix("_add_")
            log_warning("montezarr: no %s on the dashboard of Dask: %s", what, error)
        else:
            if undo is not None:
                self._undo.append(undo)


def _add_json(scheduler: Any, board: Board) -> None:
    from tornado.web import RequestHandler

    class Handler(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "application/json")
            self.write(json.dumps(board.to_dict()))

    scheduler.http_application.add_handlers(".*$", [(rf"{ROUTE}\.json", Handler)])


def _add_page(scheduler: Any, board: Board) -> None:
    from montezarr.monitor.dashboard._page import connect

    connect(scheduler, board, ROUTE)


def _add_metrics(scheduler: Any, board: Board) -> Callable[[], None] | None:
    try:
        from montezarr.monitor.dashboard._metrics import register
    except ModuleNotFoundError:  # Dask has no /metrics then either
        return None
    return register(board)


def _add_colours(scheduler: Any, board: Board) -> Callable[[], None] | None:
    from montezarr.monitor.dashboard._colours import colour_stages

    return colour_stages()
