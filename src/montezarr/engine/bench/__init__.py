"""`montezarr bench`: overhead and speed-up of each backend on this machine."""
