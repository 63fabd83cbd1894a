"""Draw the scenarios of a run that a range of bytes needs, without the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from montezarr.reduction.accumulate import Accumulator, Arrays, DrawnTask
from montezarr.run._selected import of_scenarios
from montezarr.samplers.schema import Variable
from montezarr.samplers.varied import VariedSampler
from montezarr.store._values import ChunkValues

Place = tuple[slice, ...]
"""Where a part of a file is in an array (other dimensions ..., paths)."""

Numbers = tuple[int, ...] | None
"""Numbers of scenarios, ascending; None for all of them, or for a run without scenarios."""


@dataclass(frozen=True)
class ScenarioValues:
    """Draws values of chunks: of all scenarios, or of some that are drawn alone.

    On common noise, and on independent noise, a scenario has the same bits alone.

    Attributes
    ----------
    values : ChunkValues
        Draws all scenarios.
    sampler : VariedSampler or None
        That of a run with varying parameters, if its variables are stored as they are drawn.
    """

    values: ChunkValues
    sampler: VariedSampler | None = field(init=False)

    def __post_init__(self) -> None:
        drawn = self.values.drawn
        is_plain = drawn.chunk_function is None and isinstance(drawn.sampler, VariedSampler)
        object.__setattr__(self, "sampler", drawn.sampler if is_plain else None)

    def needed(self, i: int, places: Sequence[Place]) -> Numbers:
        """Return the scenarios that parts of the stored variable number `i` need."""
        if self.sampler is None:
            return None
        variable = self._variable(i)
        if not self._is_state(i):
            return ()  # a parameter of the paths, for which no path is drawn
        numbers = set()
        for place in places:
            own = place[: variable.lead]
            if not own or any(part.stop - part.start != 1 for part in own):
                return None
            numbers.add(_number(variable, place))
        return None if len(numbers) == len(self.sampler.scenarios) else tuple(sorted(numbers))

    def share(self, i: int, numbers: Numbers) -> float:
        """Return the part of the stored variable number `i` that some scenarios have."""
        if self.sampler is None:
            return 1.0
        if not self._is_state(i):
            return float(numbers == ())
        return 1.0 if numbers is None else len(numbers) / len(self.sampler.scenarios)

    def of(self, numbers: Numbers, start: int, stop: int, x0: Any) -> Arrays:
        """Return the values of the stored variables; some scenarios are one after the other."""
        if numbers is None or self.sampler is None:
            return self.values.of(start, stop, x0)[0]
        chosen = tuple(self.sampler.scenarios[number] for number in numbers)
        task = DrawnTask(of_scenarios(self.sampler, chosen), Accumulator(()))
        return ChunkValues(task, self.values.stored, self.values.manifest).of(start, stop, x0)[0]

    def none(self, numbers: Numbers) -> Arrays:
        """Return the same of no path."""
        found = []
        for i, array in enumerate(self.values.manifest.arrays):
            shape = array.shape
            if numbers is not None and self._is_state(i):
                shape = (len(numbers), *shape[self._variable(i).lead :])
            found.append(np.empty((*shape, 0), array.dtype))
        return found

    def part(self, i: int, numbers: Numbers, values: Any, place: Place) -> Any:
        """Return a part of the stored variable number `i` of what `of` returned.

        Its paths are counted in `values`.
        """
        if numbers is None or self.sampler is None or not self._is_state(i):
            return values[place]
        variable = self._variable(i)
        number = numbers.index(_number(variable, place))
        found = values[(number, *place[variable.lead :])]
        return found.reshape((1,) * variable.lead + found.shape)

    def _is_state(self, i: int) -> bool:
        """Return whether a stored variable has values of its own in every scenario."""
        assert self.sampler is not None
        return self._variable(i).name in {v.name for v in self.sampler.single.variables}

    def _variable(self, i: int) -> Variable:
        variables: tuple[Variable, ...] = self.values.drawn.sampler.variables
        return variables[self.values.stored[i]]


def _number(variable: Variable, place: Place) -> int:
    """Return the number of the scenario of a part."""
    starts = [part.start for part in place[: variable.lead]]
    return int(np.ravel_multi_index(starts, variable.sizes[: variable.lead]))
