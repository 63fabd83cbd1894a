"""Errors, checks, text, files and processes: the base of all other packages of montezarr."""
