"""Large parameters of a process, stored beside its recipe, which refers to them by digest.

The transition matrix of a chain of 1,900 states is 29 MB of numbers, and 73 MB of JSON that takes
seconds to write and to read. So a stored recipe holds a reference in place of a large list: name,
dtype, shape and SHA-256. Both forms are the same recipe and have the same fingerprint.
"""

from montezarr.core.parameters._digest import digest_of_whole
from montezarr.core.parameters._forms import identity_of, is_same_recipe, shortened, whole
from montezarr.core.parameters._known import array_of, know, remember
from montezarr.core.parameters._reference import (
    COPIES,
    DIGEST,
    MOST,
    Reference,
    check_fits,
    is_reference,
    reference_text,
    references,
)
from montezarr.core.parameters._states import referred, restored, state_references, states_in

__all__ = [
    "COPIES",
    "DIGEST",
    "MOST",
    "Reference",
    "array_of",
    "check_fits",
    "digest_of_whole",
    "identity_of",
    "is_reference",
    "is_same_recipe",
    "know",
    "reference_text",
    "references",
    "referred",
    "remember",
    "restored",
    "shortened",
    "state_references",
    "states_in",
    "whole",
]
