"""`report`: predicted cost, actual cost and results of runs, as one HTML file."""

from montezarr.monitor.html_report._report import Report, report

__all__ = ["Report", "report"]
