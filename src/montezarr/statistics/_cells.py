"""The dimensions of the cells of a variable, and the cells that a label selects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montezarr.core.checks import did_you_mean, value_error

NEAREST = 3
"""Labels that an error for an unknown one names."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of the cells of a variable, such as that of scenarios.

    Attributes
    ----------
    name : str
        Name of the dimension.
    length : int
        Its length.
    labels : array or None
        Its coordinate; None without one, so that a position is its own label, as in xarray.
    """

    name: str
    length: int
    labels: NDArray[Any] | None = field(default=None, compare=False)

    def position(self, argument: str, label: Any) -> int:
        """Return the position of a label.

        Raises
        ------
        ArgumentValueError
            If no entry has the label, with the nearest ones, or several have it.
        """
        labels = np.arange(self.length) if self.labels is None else self.labels
        found = [i for i, known in enumerate(_plain(labels)) if _is_same(known, label)]
        if len(found) == 1:
            return found[0]
        if found:
            raise value_error(
                argument, f"a label that {self.name!r} has once", label,
                f"It is at the positions {found}.",
            )  # fmt: skip
        raise value_error(argument, f"a label of {self.name!r}", label, _nearest(labels, label))

    def identity(self) -> list[Any]:
        """Return as JSON what tells the dimension from others."""
        labels = None if self.labels is None else [_text(entry) for entry in _plain(self.labels)]
        return [self.name, self.length, labels]


def _plain(labels: NDArray[Any]) -> list[Any]:
    """Return labels as numbers and texts; dates as texts."""
    array = np.asarray(labels)
    return list((array.astype(str) if array.dtype.kind in "Mm" else array).tolist())


def _text(label: Any) -> Any:
    return label if isinstance(label, (bool, int, float, str)) else str(label)


def _is_same(known: Any, label: Any) -> bool:
    if isinstance(known, str) != isinstance(label, str):
        return False
    if isinstance(known, str) and known != label:
        try:  # two texts of one date
            return bool(np.datetime64(known) == np.datetime64(label))
        except ValueError:
            return False
    return bool(known == label)


def _nearest(labels: NDArray[Any], label: Any) -> str:
    """Return a sentence with the labels nearest to one that is unknown."""
    known = _plain(labels)
    if isinstance(label, str):
        question = did_you_mean(label, [text for text in known if isinstance(text, str)])
        if question:
            return question
    elif labels.dtype.kind in "iuf" and len(known) > NEAREST:
        known = sorted(known, key=lambda entry: abs(entry - label))
    shown = ", ".join(repr(entry) for entry in known[:NEAREST])
    return f"The nearest are {shown}." if len(known) > NEAREST else f"There are {shown}."


def part_of(
    values: NDArray[np.float64], axes: Sequence[Axis], chosen: dict[str, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values (cells, ...) by dimension, and the part at positions of some dimensions.

    Both have one axis per dimension, of the length 1 where a position is chosen.
    """
    whole = values.reshape(*(axis.length for axis in axes), *values.shape[1:])
    index = tuple(
        slice(chosen[axis.name], chosen[axis.name] + 1) if axis.name in chosen else slice(None)
        for axis in axes
    )
    return whole, whole[index]
