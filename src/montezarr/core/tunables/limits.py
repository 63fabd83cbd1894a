"""Limits on input that may be untrusted or mistaken."""

DOCUMENT_MAX_BYTES = 2**26
"""Bytes that a JSON document may have."""

DOCUMENT_MAX_MEMORY_BYTES = 2**29
"""Bytes that what a document says may take in memory, as far as its text tells."""

FILE_PIECE_BYTES = 2**20
"""Bytes that are read at once of a file that may be longer than it says."""

LARGE_PARAMETERS_MAX_BYTES = 2**30
"""Bytes that the large parameters of a process may have, all together."""

LARGE_PARAMETERS_COPIES = 6
"""Times the bytes of a parameter that a process takes: its numbers are Python objects."""

NUMBERS_AS_TEXT_AT_ONCE = 2**14
"""Numbers that are text at once: as text and as objects they take ten times their bytes."""

SEED_POOL_MAX_WORDS = 2**12
"""Words in the pool of a SeedSequence, 4 by default: mixing takes their number squared."""

PATH_RETRIES_MAX = 1000
"""Retries of a failing path that may be asked for."""

GRAPH_CHUNKS_MAX = 10**7
"""Chunks of a run, at most: a graph of more costs gigabytes before anything runs."""

GROUPS_MAX = 1024
"""Groups that a reduction may have: each has states of its own."""

RECIPE_STEPS_MAX = 10**7
"""Steps of a recipe whose times are made: a recipe of somebody else may say any number."""

PLOT_COLOURS_MAX = 12
"""Entries of a dimension that a picture shows in colours of their own, at most."""

PLOT_PANELS_MAX = 64
"""Entries that a picture shows on Axes of their own, at most: more are too small to read."""

PLOT_BINS_MAX = 65536
"""Bins of a picture that may be asked for: more than any screen has columns."""

PLOT_SUMMED_INTEGERS_MAX = 10**5
"""Integers whose probabilities are summed in bins; over more no closed form is drawn."""

JOB_FILE_MAX_BYTES = 2**20
"""Bytes of a file of a job: a larger one is a mistake, or an attack."""

JOB_KEY_MAX_PARTS = 32
"""Parts of a key of a job that stand between dots."""

PRICES_MAX_BYTES = 2**28
"""Bytes of a file of prices: a price a minute of a hundred years has less."""

PRICES_LINE_MAX_CHARACTERS = 2**20
"""Characters of a line of a file of prices."""

PRICES_MAX_FIELDS = 2**24
"""Fields, and rows, of a file of prices: each takes some ten bytes of memory or more."""

SCENARIOS_FILE_MAX_BYTES = 2**24
"""Bytes of a table of scenarios: each of its rows is simulated as often as there are paths."""

RESULTS_ALLOWED_BYTES = 2**25
"""Bytes that stored results may take in memory whatever their files have."""

RESULTS_MAX_GROWTH = 64
"""Times the bytes of their files that results may take in memory, beyond that."""

CODEC_SLACK_BYTES = 2**16
"""Bytes by which what a codec gives may exceed the values: codecs may follow on one another."""

GZIP_MEMBERS_MAX = 16
"""Members of a gzip file of a chunk; one is written, others may write some more."""

COMMIT_LOG_MAX_BYTES = 2**30
"""Bytes that the commit log of a store may have."""

LOCK_RECORD_MAX_BYTES = 2**16
"""Bytes of a lock that are read: the record of an owner has less."""

MAX_EVENTS_MAX = 2**31
"""Largest room for the events of a path."""
