"""Compiled steps of processes, one file each; the NumPy code in the file of a process specifies it.

Imported only where the draws are compiled too, since Numba takes half a second to import.
"""
