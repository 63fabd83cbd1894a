"""Labels of the codes that a variable of a store holds."""

from __future__ import annotations

import numpy as np
import xarray as xr

from montezarr.observed import labels_in_recipe
from montezarr.run._variables import LABELS, own_flags


def know_labels(ds: xr.Dataset) -> None:
    """Give labelled variables what `simulate` gives them: flags of their own, and the labels.

    What arithmetic made of codes was stored with their attributes, under another name or dtype.
    """
    for name, variable in ds.data_vars.items():
        meanings = variable.attrs.get("flag_meanings")
        if not isinstance(meanings, str) or "flag_values" not in variable.attrs:
            continue
        known = labels_in_recipe(ds.attrs, None, meanings)
        if known is None:
            continue  # somebody else's
        labels = labels_in_recipe(ds.attrs, name, meanings, variable.dtype)
        kind = np.int64 if labels is None else variable.dtype
        variable.attrs["flag_values"] = own_flags(np.arange(len(known), dtype=kind))
        if labels is not None:
            variable.encoding[LABELS] = tuple(enumerate(labels))
