"""Sizes of caches and histories; the oldest entries are dropped first."""

SHARED_OBJECTS_KEPT = 4
"""Shared objects that a worker keeps: those of the runs that are going on."""

RECIPE_DIGESTS_KEPT = 256
"""Recipes of which the digest is kept: that of millions of numbers takes seconds."""

SCENARIO_RECURSIONS_KEPT = 4
"""Runs of several scenarios whose coefficients are kept for the next range of paths."""

STORED_PARAMETERS_KEPT = 256
"""Large parameters of opened stores of which it is kept where they are."""

STORES_KEPT_PER_PARAMETER = 4
"""Stores that are kept of one of them."""

STORED_STATES_KEPT = 256
"""Initial states of which it is kept in which store they are, those that were opened last."""

INITIAL_STATES_KEPT_BYTES = 2**26
"""Bytes of initial states that are kept for the next range of paths, at most."""

STORE_VARIABLES_KEPT = 1024
"""Variables of opened stores that are kept, those that were opened last."""

COSTS_KEPT = 64
"""Measured costs of samplers that are kept."""

SORTED_ORDERS_KEPT_VALUES = 2**20
"""Values or bins in all of the sorted orders that are kept at most; others are made again."""

LISTENED_ESTIMATES_MAX = 24
"""Numbers that listeners are told of the results; a result of more cells is left out."""

DASHBOARD_RUNS_KEPT = 20
"""Runs on the page of the dashboard; the oldest that are over are forgotten first."""

DASHBOARD_MOMENTS_KEPT = 600
"""Moments of a run whose speed and estimates the dashboard has; then every other one."""

REPORT_MOMENTS_KEPT = 1000
"""Moments of a run whose speed its report has; then every other one."""

LOOPS_KEPT = 64
"""Compiled loops around functions that are kept, with these functions."""
