"""Private names of Dask's distributed: its futures, addresses and dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def wrap_of(executor: Any) -> Callable[[Any], Any] | None:
    """Return the function that wraps a Dask future as a standard one; None if unknown."""
    wrap: Callable[[Any], Any] | None = getattr(executor, "_wrap_future", None)
    return wrap


def check_host_and_port(address: str) -> None:
    """Raise unless an address names a protocol that Dask knows, a host and a port.

    Raises
    ------
    ValueError
        Says what is wrong with the address.
    """
    try:
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        parts = urlsplit(address)
        has_port = parts.port is not None or parts.scheme == "inproc"
        if not (parts.scheme and parts.hostname and has_port):
            raise ValueError(f"missing protocol, host or port in address {address!r}") from None
        return
    get_address_host_port(address, strict=True)


def dashboard_parts() -> tuple[Any, Callable[[Any], dict[str, Any]]]:
    """Return the class of a dashboard application, and the function that gives its template links.

    Raises
    ------
    ImportError
        If this version of Dask has another dashboard.
    """
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables

    return BokehApplication, template_variables


def dashboard_frame() -> tuple[Any, Any]:
    """Return the template environment and the theme of Dask's dashboard pages.

    Raises
    ------
    ImportError
        If this version of Dask has other pages.
    """
    from distributed.dashboard.components.scheduler import BOKEH_THEME, env

    return env, BOKEH_THEME


def task_colours() -> dict[str, Any]:
    """Return the colours of the task stream by kind of work, as a dict that callers may change.

    Raises
    ------
    ImportError
        If this version of Dask has no such colours.
    """
    from distributed.diagnostics.task_stream import colors

    found: dict[str, Any] = colors
    return found
