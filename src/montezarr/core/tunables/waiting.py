"""Waiting times: polling intervals, timeouts, and intervals between messages."""

INTERRUPTS_UNTIL_STOP = 3
"""Interruptions by Ctrl-C after which nothing is waited for."""

INTERRUPT_NOTICE_SECONDS = 10.0
"""Seconds after an interruption before a message says what is waited for."""

BROKEN_POOL_SECONDS = 5.0
"""Seconds to wait for the threads of a broken Pool."""

WORKER_CHECK_SECONDS = 0.1
"""Seconds between checks of all workers while no task ends."""

WORKER_START_SECONDS = 60.0
"""Seconds to wait for workers to start, before the clock of the first tasks runs."""

CLUSTER_RECOUNT_SECONDS = 5.0
"""Seconds after which the workers of a cluster are counted again: it may have grown."""

QUEUE_LOCK_SECONDS = 0.3
"""Seconds that a living worker holds the lock of a queue at most; then its holder has died."""

RAY_SESSION_CHECK_SECONDS = 3.0
"""Seconds between checks that a machine of a Ray session is alive."""

PROGRESS_LINE_SECONDS = 5.0
"""Seconds between two plain lines of progress, where there is no terminal or notebook."""

LISTENERS_TOLD_SECONDS = 0.5
"""Seconds between two calls of the listeners of a run."""

DASHBOARD_REFRESH_MILLISECONDS = 500
"""Milliseconds between two refreshes of the page on the dashboard."""

MEMORY_SAMPLE_SECONDS = 0.05
"""Seconds between two samples of the memory of the processes of a run, for its report."""

CHILD_SEARCH_SECONDS = 1.0
"""Seconds between two searches for new child processes, which cost far more than a sample."""

PUBLISH_SECONDS = 0.2
"""Seconds between two publications of what is committed, for readers of a store."""

LOCK_SETTLE_SECONDS = 1.0
"""Seconds after which a lock that was written without a condition is looked at again."""
