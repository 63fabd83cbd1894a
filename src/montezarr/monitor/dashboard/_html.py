"""Text of the page, as HTML; text from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from montezarr.core.text import Card, duration, plain, show_bytes, speed
from montezarr.execute.run_monitor import table_of, title_of

COLOURS = {"running": "#0072B2", "done": "#009E73", "stopped": "#E69F00", "failed": "#D55E00"}
GREY = "#777777"


def no_runs_html() -> str:
    """Return the text of a page before the first run."""
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
    facts = [paths, speed(run["paths_per_second"]), f"{duration(run['seconds'])} so far"]
    if run["state"] == "running" and run["seconds_left"] is not None:
        facts.append(f"{duration(run['seconds_left'])} left")
    elif run["state"] != "running":
        facts[2] = f"in {duration(run['seconds'])}"
    facts.append(f"{run['failed']:,} failed")
    if run["bytes_written"]:
        facts.append(f"{show_bytes(run['bytes_written'])} written")
    error = (
        f"<div style='color:{colour}'>{escape(plain(run['error']))}</div>" if run["error"] else ""
    )
    return (
        "<div class='montezarr' style='margin:6px 0 12px 0;font-size:14px;width:1200px'>"
        f"<b>{escape(title_of(run))}</b>"
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
    title = f"estimates of {run['process'] or 'the run'}"
    return Card(title, table=table_of(run["estimates"])).html()
