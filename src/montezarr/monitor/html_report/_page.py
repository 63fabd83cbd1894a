"""The HTML of a report; all text from outside is escaped."""

from __future__ import annotations

import base64
import io
import os
import platform
import sys
import time
from collections.abc import Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Any

from montezarr.core.memory import memory_limit
from montezarr.core.text import Card, count_text, duration, plain, show_bytes, speed
from montezarr.execute.run_monitor import said, table_of, title_of
from montezarr.monitor.html_report._entry import Entry

PACKAGES = ("montezarr", "numpy", "numba", "dask", "distributed", "xarray", "zarr")

SHORTEST = 0.1
"""Seconds between two points of the plot of the speed."""

LIBRARIES = (
    "Memory is that of this process and its children, of which new ones load their libraries; of"
    " workers elsewhere nothing is known."
)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ccc; }
.facts, .caption { color: #666; } .part { margin-bottom: 14px; }
.error { color: #b00020; font-weight: 600; }
pre { white-space: pre-wrap; } img { max-width: 100%; }
iframe { width: 100%; height: 900px; border: 1px solid #ccc; }
"""


def page(
    title: str,
    began: float,
    error: str,
    runs: Sequence[Entry],
    added: Sequence[tuple[Any, str]],
    performance: Sequence[str],
) -> str:
    """Return the HTML of a report.

    Parameters
    ----------
    title : str
        The heading.
    began : float
        Start of the block, in seconds since 1970.
    error : str
        The error that ended the block, or an empty text.
    runs : sequence of Entry
        The runs inside the block.
    added : sequence of (object, caption)
        Objects that the user added.
    performance : sequence of str
        Performance reports of Dask; an empty one is left out.
    """
    parts = [f"<h1>{escape(title)}</h1>", f"<p class=facts>{escape(_facts(began))}</p>"]
    if error:
        parts.append(f"<p class=error>It ended with {escape(plain(error))}</p>")
    parts += map(_run, runs) if runs else ["<p>No run of montezarr was in it.</p>"]
    if added:
        parts.append("<h2>Results</h2>")
    for thing, caption in added:
        line = f"<p class=caption>{escape(caption)}</p>" if caption else ""
        parts.append(f"<section>{line}{shown(thing)}</section>")
    for content in filter(None, performance):
        parts.append("<h2>Dask performance report</h2>")
        # An iframe keeps the scripts and styles of the performance report apart.
        parts.append(f'<iframe sandbox="allow-scripts" srcdoc="{escape(content)}"></iframe>')
    return (
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _facts(began: float) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(began))
    packages = ", ".join(filter(None, map(_version, PACKAGES)))
    machine = f"{platform.machine()}, {count_text(os.cpu_count() or 1, 'core')}"
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{when} · {machine}, {show_bytes(memory_limit())} · Python {python}, {packages}"


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # imported from a folder, without metadata
        return ""


def _run(entry: Entry) -> str:
    news = entry.news
    title = f"{title_of(news)}, {news['state']}"
    rows = [
        ("backend", f"{news['backend']}, {count_text(len(news['workers']), 'worker')}"),
        ("speed", speed(news["paths_per_second"])),
    ]
    if news["error"]:
        rows.append(("error", news["error"]))
    note = LIBRARIES if news["in_processes"] else ""
    table = Card("plan against what happened", rows, _against_plan(entry), note)
    workers = [["worker", "tasks", "paths", "paths/s of work"]]
    for name, worker in news["workers"].items():
        rate = f"{worker['paths_per_second']:,.0f}"
        workers.append([name, f"{worker['tasks']:,}", f"{worker['paths']:,}", rate])
    estimates = table_of(news["estimates"])
    parts = [f"<h2>{escape(title)}</h2>", table.html(), _picture(entry)]
    if len(workers) > 1:
        parts.append(Card("workers", table=workers).html())
    if len(estimates) > 1:
        parts.append(Card("estimates", table=estimates).html())
    blocks = "".join(f'<div class="part">{part}</div>' for part in parts[1:] if part)
    return f"<section>{parts[0]}{blocks}</section>"


def _against_plan(entry: Entry) -> list[list[str]]:
    news, planned = entry.news, entry.planned
    grown = max(0, entry.memory_peak - entry.memory_before)
    happened = {"paths": news["done"], "seconds": news["seconds"], "memory": grown}
    if news["bytes_written"]:
        happened["store"] = news["bytes_written"]
    shows = {
        "paths": "{:,}".format,
        "seconds": duration,
        "memory": show_bytes,
        "store": show_bytes,
    }
    table = [["", "plan", "what happened"]]
    for name, value in happened.items():
        known = planned.get(name)
        table.append([name, "" if known is None else shows[name](known), shows[name](value)])
    return table


def _picture(entry: Entry) -> str:
    """Return the speed over time as SVG, which needs no package."""
    moments = entry.moments
    speeds = [
        (b[0], (b[1] - a[1]) / (b[0] - a[0]))
        for a, b in pairwise(moments)
        if b[0] > a[0] + SHORTEST and b[1] >= a[1]
    ]
    if len(speeds) < 3:
        return ""
    width, height, left, below = 640, 150, 80, 22
    end, top = speeds[-1][0], max(s for _, s in speeds) or 1.0
    points = " ".join(
        f"{left + (width - left) * at / end:.1f},{height * (1 - 0.9 * s / top):.1f}"
        for at, s in speeds
    )
    return (
        f'<svg width="{width}" height="{height + below}" role="img" font-size="11" fill="#666">'
        "<title>paths per second over time</title>"
        f'<path d="M{left},0V{height}H{width}" stroke="#999" fill="none"/>'
        f'<polyline points="{points}" fill="none" stroke="#0072B2" stroke-width="2"/>'
        f'<text x="0" y="{height * 0.1 + 4:.0f}">{top:,.0f}/s</text>'
        f'<text x="{left - 12}" y="{height}">0</text>'
        f'<text x="{width}" y="{height + 15}" text-anchor="end">{escape(duration(end))}</text>'
        "</svg>"
    )


def shown(thing: Any) -> str:
    """Return the HTML of an object as a notebook shows it, or the error of doing so."""
    try:
        return _shown(thing)
    except Exception as error:
        text = f"{type(thing).__name__} could not be shown: {type(error).__name__}: {said(error)}"
        return f"<p class=error>{escape(plain(text))}</p>"


def _shown(thing: Any) -> str:
    picture = getattr(thing, "figure", thing)
    if hasattr(picture, "savefig"):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=110)
        data = base64.b64encode(buffer.getvalue()).decode()
        return f'<img alt="picture" src="data:image/png;base64,{data}">'
    if isinstance(thing, str):
        return f"<p>{escape(thing)}</p>"
    html = getattr(thing, "_repr_html_", None)
    if callable(html) and not isinstance(thing, type):
        found = html()
        if found is not None:
            return str(found)
    return f"<pre>{escape(repr(thing))}</pre>"
