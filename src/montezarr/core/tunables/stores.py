"""Stores on disks and in object stores: requests, tries, and where opening changes its way."""

METADATA_ROOM_BYTES = 2**16
"""Bytes on the disk that metadata and the commit log may need when all chunks are there."""

RESULT_FILES_AT_ONCE = 8
"""Files of results that are read together."""

LOCK_TRIES = 1000
"""Times that the owner of a lock may just have ended, before something else is wrong."""

LOG_OBJECTS_MAX = 256
"""Objects of a log in an object store; of more it is written anew as one, to be read fast."""

LOG_READ_TRIES = 20
"""Times that a log is read while somebody writes it anew."""

FENCE_TRIES = 20
"""Times that an object is found to be another one, which takes as many writers."""

REQUESTS_AT_ONCE = 32
"""Requests to an object store under way together."""

SIZES_ASKED_SINGLY_MAX = 16
"""Objects whose sizes are asked for one by one; for more, the store is listed."""

VIRTUAL_CHUNKS_MAX = 2 * 10**6
"""Chunks up to which Dask opens a virtual store at once, at some 80 bytes each."""

VIRTUAL_TASKS_MAX = 10**5
"""Chunks up to which a store is opened as `simulate` returns paths, one task each."""
