"""Moved to `montezarr.execute`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.execute")
