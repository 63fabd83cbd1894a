"""Listeners of a run: live pictures, the page on the Dask dashboard, the report."""
