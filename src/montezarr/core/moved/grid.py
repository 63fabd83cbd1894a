"""Moved to `montezarr.processes.time_grid`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.processes.time_grid")
