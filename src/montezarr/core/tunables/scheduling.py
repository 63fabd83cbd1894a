"""Numbers of tasks, workers and tries, and how long tasks should last."""

TASK_RETRIES = 2
"""Times that a task is repeated after its worker died: three deaths are no accident."""

WORKERS_MAX = 2**15
"""Workers that may be asked for: more are a mistake, and no machine has them."""

TASKS_IN_FLIGHT_PER_WORKER = 3
"""Tasks in flight per worker: one that runs, and enough to follow that none waits."""

DASK_TASK_KEYS = 2048
"""Keys of tasks on a cluster that are used in turn: the scheduler remembers each."""

DASK_NOTES_TRIM_TASKS = 5000
"""Tasks after which the scheduler's records of tasks are trimmed."""

LISTENERS_TIME_SHARE = 0.01
"""Share of the time of a run that its listeners may take; slow ones are told less often."""

LIVE_DRAWING_SHARE = 0.1
"""Share of one processor that drawing the pictures of a live run may take."""

PATH_RETRIES = 3
"""Times that a failing path is drawn again where the policy is to retry and says no number."""

SAMPLER_TRIAL_SECONDS = 0.02
"""Seconds after which a measurement of a sampler ends, or a path later."""

SHORT_BLOCK_SECONDS = 2.5e-4
"""Seconds below which to call for a block takes about as long as to draw it."""

SHORT_BLOCKS_AT_ONCE = 16
"""Blocks that a task draws at once where one of them is so short."""

COEFFICIENT_TRIAL_PATHS = 17
"""Paths on which a user's functions are tried: as many as no model has variables or noises."""

COEFFICIENT_TRIAL_TIMES = 8
"""Times of the first paths, about, at which a scheme looks at its coefficients."""

WORKER_START_ESTIMATE_SECONDS = 0.25
"""Seconds until a first worker process draws, which `montezarr bench` measures on a machine."""

TASK_OVERHEAD_SECONDS = 0.002
"""Seconds that a task costs beside its paths, on the backends of local processes."""

TASK_GOAL_SECONDS = 0.2
"""Seconds that a task that returns paths should last: a hundred times its overhead."""

COST_TRIAL_PATHS_MAX = 64
"""Paths on which the cost of a sampler is measured, at most; fewer where they take long."""

SOURCE_PARSING_TRIES = 1000
"""Times that source is parsed anew because other threads parse theirs meanwhile."""

EXPRESSION_TRIAL_BLOCKS = 2
"""Blocks of paths on which an expression is tried; four paths where each is drawn alone."""

REDUCTION_TASKS_PER_WORKER = 8
"""Tasks of a reduction that each worker gets at least, where there is that much work."""

REDUCTION_TASK_SECONDS = 1.0
"""Seconds that a task that draws and reduces should last: enough for a thousand workers."""

REDUCTION_TASK_MIN_SECONDS = 0.004
"""Seconds that it should last at least: to hand it out and merge takes part of a millisecond."""

NOISE_BLOCKS_INSPECTED = 64
"""Blocks of a Dask variable in which another source of noise is looked for: the first ones."""

ADJACENT_BLOCKS_INSPECTED = 64
"""Dask blocks beside each other of which the paths are looked up: all have the same ones."""

PATHS_DRAWN_AGAIN = 8
"""Paths drawn again to see whether those in memory are the paths of their recipe."""

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
