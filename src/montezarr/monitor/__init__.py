"""Who watches a run go on: live pictures, the page on the dashboard of Dask, the report."""
