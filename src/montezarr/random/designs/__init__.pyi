"""The public names of this package, which are those of montezarr too, one line each."""

from montezarr.random.designs._nested import nested as nested
from montezarr.random.designs._saltelli import saltelli as saltelli
