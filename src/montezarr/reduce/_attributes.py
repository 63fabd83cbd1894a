"""Names and units of results, and whether they share a coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np

from montezarr.statistics._base import Estimate, Source


def agree(a: tuple[Any, int], b: tuple[Any, int]) -> bool:
    """Return whether two coordinates, of which None is any, are the same."""
    if a[1] != b[1]:
        return False
    return a[0] is None or b[0] is None or np.array_equal(a[0], b[0])


def attributes(source: Source, full: str, estimate: Estimate) -> dict[str, Any]:
    """Return the attributes of a result: what it is called, and its units."""
    text = full.replace("_", " ")
    if source.long_name and source.name and full.startswith(f"{source.name}_"):
        text = source.long_name + text.removeprefix(source.name.replace("_", " "))
    attrs = {"long_name": text, **estimate.attrs}
    if "units" not in attrs and estimate.power is not None:
        if estimate.power == 0:
            attrs["units"] = "1"
        elif source.units is not None:
            power = f"^{estimate.power}" if estimate.power != 1 else ""
            attrs["units"] = f"({source.units}){power}" if power else source.units
    return attrs
