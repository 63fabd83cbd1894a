"""The page ``/montezarr`` on the Dask dashboard: progress of runs, as page, JSON and metrics.

It is added to the pages of Dask wherever the backend ``dask`` runs; the same data are JSON under
``/montezarr.json`` and counters for Prometheus under ``/metrics``. An error of the page never
stops a run.
"""

from montezarr.monitor.dashboard._sender import Sender, add_page, install

__all__ = ["Sender", "add_page", "install"]
