"""Moved to `montezarr.core.errors`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.core.errors")
