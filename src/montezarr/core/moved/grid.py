"""Moved to `montezarr.processes.time_grid`."""

from montezarr.core.moved import moved as _moved

__getattr__, __dir__ = _moved(__name__, "montezarr.processes.time_grid")
