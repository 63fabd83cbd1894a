"""Moved to `montezarr.random.seeding`."""

from montezarr.core.moved import moved

__getattr__ = moved(__name__, "montezarr.random.seeding")
