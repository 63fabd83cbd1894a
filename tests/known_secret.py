"""The secret that tests give to object stores and clusters, and look for in all that is shown."""

import os

VARIABLE = "MONTEZARR_TESTS_SECRET"
"""Says another, which one can look for in the output of a whole session."""

SECRET = os.environ.get(VARIABLE, "a-secret-key")
