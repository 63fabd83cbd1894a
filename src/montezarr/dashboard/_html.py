"""Text of the page, as HTML; whatever comes from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from montezarr.lazy import show_bytes

COLOURS = {"running": "#0072B2", "done": "#009E73", "stopped": "#E69F00", "failed": "#D55E00"}
GREY = "#777777"


def nothing() -> str:
    """Return what stands where no run has begun yet."""
    return (
        "<p style='font-size:14px'>No run yet. What <code>mz.reduce</code>, <code>mz.stream</code>"
        " and <code>mz.write</code> do on this cluster shows here.</p>"
    )


def card(run: dict[str, Any]) -> str:
    """Return a run as a line of text and a bar."""
    colour = COLOURS.get(run["state"], GREY)
    done, total = run["done"], run["total"]
    share = 1.0 if run["state"] == "done" else done / total if total else 0.0
    paths = f"{done:,}" + (f" of {total:,}" if total else "") + " paths"
    facts = [paths, f"{run['paths_per_second']:,.0f} paths/s", f"{duration(run['seconds'])} so far"]
    if run["state"] == "running" and run["seconds_left"] is not None:
        facts.append(f"{duration(run['seconds_left'])} left")
    elif run["state"] != "running":
        facts[2] = f"in {duration(run['seconds'])}"
    facts.append(f"{run['failed']:,} failed")
    if run["bytes_written"]:
        facts.append(f"{show_bytes(run['bytes_written'])} written")
    error = f"<div style='color:{colour}'>{escape(run['error'])}</div>" if run["error"] else ""
    return (
        "<div style='margin:6px 0 12px 0;font-size:14px;width:1200px'>"
        f"<b>{escape(run['stage'])} {escape(run['process'])}</b>"
        f" <span style='color:{colour};font-weight:bold'>{escape(run['state'])}</span>"
        f" <span style='float:right'>{escape(' · '.join(facts))}</span>"
        "<div style='background:#e4e4e4;height:10px;margin-top:5px;border-radius:3px'>"
        f"<div style='background:{colour};height:10px;border-radius:3px;width:{share:.2%}'></div>"
        f"</div>{error}</div>"
    )


def estimates_table(run: dict[str, Any]) -> str:
    """Return the estimates of a run as a table."""
    if not run["estimates"]:
        return ""
    head = "".join(
        f"<th style='text-align:{'left' if i == 0 else 'right'};padding:2px 14px'>{text}</th>"
        for i, text in enumerate(("estimate", "value", "standard error", "95 % interval"))
    )
    rows = []
    for entry in run["estimates"]:
        low, high = entry["low"], entry["high"]
        interval = "" if low is None else f"[{low:,.6g}, {high:,.6g}]"
        error = "" if entry["se"] is None else f"{entry['se']:.2g}"
        cells = (f"{entry['value']:,.6g}", error, interval)
        rows.append(
            f"<tr><td style='padding:2px 14px'>{escape(entry['name'])}</td>"
            + "".join(f"<td style='text-align:right;padding:2px 14px'>{c}</td>" for c in cells)
            + "</tr>"
        )
    return (
        f"<table style='font-size:14px;border-collapse:collapse'><tr>{head}</tr>{''.join(rows)}"
        "</table>"
    )


def duration(seconds: float) -> str:
    """Return a time that a person reads at a glance."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
