"""Moved to `montezarr.random.draws`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.random.draws")
