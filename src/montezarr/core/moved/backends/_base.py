"""Moved to `montezarr.execute._base`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.execute._base")
