"""Large parameters of a process, stored beside its recipe, which refers to them by digest.

The transition matrix of a chain of 1,900 states is 29 MB of numbers, and 73 MB of JSON that takes
seconds to write and to read. So a stored recipe holds a reference in place of a large list: name,
dtype, shape and SHA-256. Both forms are the same recipe and have the same fingerprint.
"""

from montezarr.core.parameters._digest import digest_of_whole
from montezarr.core.parameters._forms import identity_of, is_same_recipe, shortened, with_parameters
from montezarr.core.parameters._known import array_of, know, remember_parameter
from montezarr.core.parameters._reference import (
    DIGEST,
    MOST_DIMENSIONS,
    Reference,
    check_parameters_fit,
    is_reference,
    reference_text,
    references,
)
from montezarr.core.parameters._states import (
    PARAMETER,
    referred,
    restore_initial_states,
    state_references,
    states_in,
)

__all__ = [
    "DIGEST",
    "MOST_DIMENSIONS",
    "PARAMETER",
    "Reference",
    "array_of",
    "check_parameters_fit",
    "digest_of_whole",
    "identity_of",
    "is_reference",
    "is_same_recipe",
    "know",
    "reference_text",
    "references",
    "referred",
    "remember_parameter",
    "restore_initial_states",
    "shortened",
    "state_references",
    "states_in",
    "with_parameters",
]
