"""Moved to `montezarr.random.draws`."""

from montezarr.core.moved import moved as _moved

__getattr__, __dir__ = _moved(__name__, "montezarr.random.draws")
