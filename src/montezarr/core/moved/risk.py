"""Moved to `montezarr.statistics.risk`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.statistics.risk")
