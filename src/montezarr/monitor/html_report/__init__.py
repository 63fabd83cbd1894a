"""`report`: what a run was to cost, what it did cost, and what came out, as one HTML file."""

from montezarr.monitor.html_report._report import Report, report

__all__ = ["Report", "report"]
