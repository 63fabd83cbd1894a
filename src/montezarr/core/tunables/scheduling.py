"""Numbers of tasks, workers and tries, and how long tasks should last."""

TASK_RETRIES = 2
"""Times that a task is repeated after its worker died: three deaths are no accident."""

WORKERS_MAX = 2**15
"""Workers that may be asked for; a larger number is a mistake."""

TASKS_IN_FLIGHT_PER_WORKER = 3
"""Tasks in flight per worker: one that runs, and enough behind it that no worker waits."""

BATCH_READERS_MAX = 4
"""Parts of a Dataset that random batches compute at once, at most, and one for each core."""

ROWS_GRAPH_BLOCKS_MAX = 50_000
"""Blocks of a Dataset up to which random batches make one graph of all, some kilobytes each."""

DASK_TASK_KEYS = 2048
"""Keys of tasks on a cluster that are used in turn: the scheduler remembers each."""

DASK_NOTES_TRIM_TASKS = 5000
"""Tasks after which the scheduler's records of tasks are trimmed."""

LISTENERS_TIME_SHARE = 0.01
"""Share of the time of a run that its listeners may take; slow ones are told less often."""

LIVE_DRAWING_SHARE = 0.1
"""Share of one processor that drawing the pictures of a live run may take."""

PATH_RETRIES = 3
"""Default number of times that a failing path is drawn again under the policy "retry"."""

SAMPLER_TRIAL_SECONDS = 0.02
"""Seconds after which a measurement of a sampler ends, at the end of a path."""

SHORT_BLOCK_SECONDS = 2.5e-4
"""Seconds below which calling for a block takes about as long as drawing it."""

SHORT_BLOCKS_AT_ONCE = 16
"""Blocks that a task draws at once if drawing one takes less than `SHORT_BLOCK_SECONDS`."""

COEFFICIENT_TRIAL_PATHS = 17
"""Paths on which a user's functions are tried: no likely number of variables or noises."""

COEFFICIENT_TRIAL_TIMES = 8
"""Times of the first paths, about, at which a scheme looks at its coefficients."""

WORKER_START_ESTIMATE_SECONDS = 0.25
"""Estimated seconds until a new worker process draws; `montezarr bench` measures it."""

TASK_OVERHEAD_SECONDS = 0.002
"""Seconds of overhead of a task on the backends of local processes."""

TASK_GOAL_SECONDS = 0.2
"""Target seconds of a task that returns paths: a hundred times its overhead."""

COST_TRIAL_PATHS_MAX = 64
"""Largest number of paths on which the cost of a sampler is measured; fewer if they are slow."""

SOURCE_PARSING_TRIES = 1000
"""Times that source is parsed again because other threads parse at the same time."""

EXPRESSION_TRIAL_BLOCKS = 2
"""Blocks of paths on which an expression is tried; of samplers of single paths, four paths."""

REDUCTION_TASKS_PER_WORKER = 8
"""Least number of tasks of a reduction per worker, if there is that much work."""

REDUCTION_SLAB_TASKS_PER_WORKER = 3
"""Least number of the same where a task would draw fewer paths than are drawn at once."""

REDUCTION_TASK_SECONDS = 1.0
"""Target seconds of a task that draws and reduces, if workers are not too many for it."""

SCHEDULER_SECONDS_PER_TASK = 0.002
"""Seconds of its core that a scheduler, or a driver, takes per task; `benchmarks.scale` prints it.
"""

SCHEDULER_SHARE = 0.25
"""Share of that core that tasks may take: many workers get longer tasks."""

SLOW_PATH_SECONDS = 0.002
"""Seconds from which a path is slow: a block takes longer than the longest task shall."""

PART_SECONDS_MIN = 0.4
"""Seconds up to which a task with a part of a block takes, at least half of it, in a short run."""

REDUCTION_TASK_MIN_SECONDS = 0.004
"""Least seconds of such a task: submitting it and merging its states takes part of one ms."""

NOISE_BLOCKS_INSPECTED = 64
"""Blocks of a Dask variable, from the first on, that are searched for another source of noise."""

ADJACENT_BLOCKS_INSPECTED = 64
"""Adjacent Dask blocks whose paths are looked up; all hold the same paths."""

PATHS_DRAWN_AGAIN = 8
"""Paths that are drawn again to check that paths in memory are those of their recipe."""

LAZY_MERGE_STATES = 16
"""States that one task of a lazy reduction merges."""

COMPARED_RUN_PATHS = 256
"""Paths by which values are known to be those of a process whose own graph selects them."""

COMPARED_PATHS_MAX = 2**16
"""Paths compared of others: those in memory or in a store, or some paths of a run.

What nobody sees in them concerns less than 1 in 10,000, which shows in no picture.
"""

LISTED_KEYS_PER_TURN = 1000
"""Keys of a virtual store that are listed before other requests have their turn."""

LOOP_COMPILE_AFTER_SECONDS = 0.5
"""Seconds that calls from Python take, or would, before a loop around a function is compiled."""

LOOP_SAVED_SECONDS_PER_PATH = 3e-5
"""Seconds per path that such a loop saves, at least."""

LOOP_CALL_SECONDS = 0.05
"""Seconds after which calls of such a loop are not made longer."""
