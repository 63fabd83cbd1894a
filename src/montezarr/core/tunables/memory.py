"""Bytes and shares of memory that decide the sizes of chunks and tasks."""

MIB = 2**20
"""Bytes of a mebibyte, the unit of the sizes below."""

CHUNK_MIN_BYTES = 32 * MIB
"""Bytes that a chunk of a run is aimed to have, at least: below, tasks cost more than paths."""

CHUNK_MAX_BYTES = 128 * MIB
"""Bytes that a chunk of a run is aimed to have, at most: above, few workers fit in memory."""

GOOD_CHUNKS_MAX = 20_000
"""Chunks that a run is aimed to have, at most: Dask takes about a millisecond for each."""

CHUNKS_PER_WORKER_MIN = 8
"""Chunks for each worker that are aimed at, at least, so that all end at about one time."""

CHUNK_WORKING_COPIES = 3
"""Chunks' worth of memory that a worker takes to draw a chunk and to write it or reduce it.

What else an expression makes of a chunk, and a sampler of the user's own, come on top.
"""

CHUNK_EXPRESSION_COPIES = 6
"""Chunks' worth of memory that a worker takes for an expression that Dask computes.

The chunk, its variables apart, what the expression makes of them, and one that waits for others.
"""

WORKER_PROCESS_BYTES = 200 * MIB
"""Bytes of a worker process before it draws: Python with its packages."""

DASK_SPILL_SHARE = 0.6
"""Share of its memory from which a Dask worker writes to the disk, by Dask's own default."""

RECYCLED_BUFFER_MIN_BYTES = 1 << 20
"""Bytes of an array from which its buffer is used again; the allocator recycles smaller ones."""

RECYCLED_BUFFER_MAX_RATIO = 4
"""Times that a buffer may be as large as the array in it, such as that of a last, smaller chunk."""

BUFFER_ALIGNMENT_BYTES = 64
"""Bytes of which the address of a buffer is a multiple: a line of the caches."""

STREAMED_ARRAY_MIN_BYTES = 8 * MIB
"""Bytes of an array that compiled loops write past the caches, in which it would not stay."""

IDLE_BUFFERS_DASK_SHARE = 0.125
"""Share of the memory of a Dask worker that idle buffers may take: Dask does not know of them."""

IDLE_BUFFERS_PER_CORE = 2
"""Buffers per core that may wait for their next use: a scheduler holds two chunks per core."""

PATHS_IN_MEMORY_SHARE = 0.25
"""Share of the memory up to which the engine draws all paths at once and keeps them."""

ENGINE_TASK_MAX_BYTES = 32 * MIB
"""Bytes of paths that a task of the engine returns, at most: they pass between processes."""

BATCHES_IN_MEMORY = 3
"""Batches in memory: the one that the caller has, the next one, and what is being drawn."""

RANDOM_PART_BYTES = 8 * MIB
"""Bytes that random batches read at once where chunks are smaller, and draw at once, about."""

RANDOM_WINDOW_BYTES = 128 * MIB
"""Bytes of the paths that random batches shuffle together, unless the caller says how many."""

BATCHES_TAKEN_BYTES = 1 * MIB
"""Bytes of small random batches that are copied out of a window together, about."""

DATAFRAME_ROW_BYTES = 40
"""Bytes that a row of `to_dataframe` takes, about: what is refused is told by it beforehand."""

DRAWN_SLAB_BYTES = 8 * MIB
"""Bytes of the paths that a reduction draws at once, where one compiled pass makes them.

With 4 MiB it takes 5 % longer on a processor with 8 MiB of cache, with 16 MiB 4 % less.
"""

CALLS_SLAB_BYTES = 32 * MIB
"""Bytes of the same where NumPy is called at each step, for an array of all of these paths.

Calls for short arrays cost as much as those for long ones, and hold Python's lock.
"""

TRANSFORMED_SLAB_BYTES = 16 * MIB
"""Bytes of the same where a transform makes little of much: fewer calls are worth more there."""

WHOLE_BLOCK_MAX_BYTES = 64 * MIB
"""Bytes of a block up to which a transform always sees whole blocks."""

SLAB_PATHS_MULTIPLE = 16
"""Paths of which a part of a larger block is a multiple: they fill the widest vector registers."""

LAYOUT_SLAB_BYTES = 4 * MIB
"""Bytes of paths in memory that are brought into the canonical layout at once."""

REDUCTION_TASK_BYTES = 32 * MIB
"""Bytes of values that a task reduces, of those that are in memory or in small chunks."""

EXPRESSION_TRIAL_MAX_BYTES = 32 * MIB
"""Bytes of the paths on which an expression is tried, at most."""

PLANNED_GROUPS = 8
"""Groups for which memory is planned where their number is not known beforehand."""

STATE_COPIES = 8
"""States of each kind that a worker and the driver hold at once, at most."""

SLAB_COPIES = 3
"""Slabs that a worker takes: paths, what a transform makes of them, both in float64 layout."""

REDUCTION_FIXED_BYTES = 16 * MIB
"""Bytes that no path or cell adds to: stacks of threads, tables of draws, results on their way."""

PLANNED_OCTAVES = 64
"""Octaves of bins for which memory is planned: down to 5e-20, 2e-10 for both signs."""

SELECTION_VALUES_MAX = 2**20
"""Values of 8 bytes that a last pass for exact quantiles collects, at most."""

SELECTION_COUNTERS_MAX = 2**21
"""Counters of 8 bytes of a pass for exact quantiles that cuts bins further, at most."""

STATE_ROOM_VALUES = 2**20
"""Values for which a growing state makes room: copies take time, unwritten room no memory."""

COUNTED_VALUES_AT_ONCE = 2**15
"""Values whose positions are counted at once: what is made of them stays in the cache."""

BRIDGE_INTEGRALS_AT_ONCE = 64
"""Integrals of bridges that are computed together: what they take in between stays in the cache."""

BITS_ADDRESSES_AT_ONCE = 2**16
"""Addresses whose words `montezarr bits` makes at once: a mebibyte of words."""

INITIAL_STATES_AT_ONCE = 2**20
"""Initial states whose resolution is looked at together."""

COMPARED_PATHS_AT_ONCE = 64
"""Paths of two blocks that are compared at once."""

SHARED_SAMPLER_MIN_BYTES = 2**16
"""Bytes of a pickled sampler above which workers share it and no task carries it."""

COMPRESSION_TRIAL_BLOCKS = 8
"""Blocks of paths on which the size after compression is measured."""

COMPRESSION_TRIAL_MAX_BYTES = 64 * MIB
"""Bytes of the paths on which it is measured, at most."""

FILLED_PIECE_BYTES = 4 * MIB
"""Bytes in memory at once of a file that is filled up with fill values."""

PARQUET_GROUP_ROWS = 2**20
"""Rows of a group of a Parquet file, about: a group is in memory as a table."""

SCENARIOS_READ_MIN_BYTES = 2 * MIB
"""Bytes that a Dask chunk of a store has, at least, where more scenarios make it larger.

A task costs about a millisecond, in which as much is read.
"""

VIRTUAL_WAITING_MAX_BYTES = 128 * MIB
"""Bytes that wait for the next request where one draw of a virtual store serves several."""

VIRTUAL_CHUNK_BYTES = 8 * MIB
"""Bytes of a chunk of a virtual store: single paths come fast, and Zarr costs little a chunk."""

VIRTUAL_CHUNK_MAX_BYTES = 1024 * MIB
"""Bytes of a chunk where smaller ones would be too many for Dask, if memory allows."""

COMPARED_VALUES_MAX = 2**24
"""Values that are drawn to see whether a picture's paths are those of its process, at most."""

STOPPED_TILE_PATHS = 1024
"""Paths that are drawn together until they stop, a few times at once."""

STOPPED_TILE_VALUES = 2**16
"""Values of a variable of such paths that are in memory together, about."""
