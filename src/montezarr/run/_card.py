"""The printed form of a recipe: process, initial state, times, seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

from montezarr.core.errors import ReplayError, StoreError
from montezarr.core.text import Card
from montezarr.run._recipe import fingerprint
from montezarr.run._several import is_of_several, runs_text
from montezarr.run._stopping import UNTIL, stop_text
from montezarr.run._texts import (
    grid_text,
    process_name,
    recipe_process_rows,
    sampler_text,
    seed_text,
    state_text,
    variables_text,
)
from montezarr.run._varied_texts import varied_in, varied_rows


@final
class Recipe(Mapping[str, Any]):
    """Everything that determines the values of a run, as stored in ``ds.attrs["montezarr"]``.

    A read-only mapping, the JSON of that attribute. Printed, and in a notebook, it shows the
    process as an equation with its parameters, initial state, times, seed, variables and sampler.

    Parameters
    ----------
    data : mapping
        The recipe.

    Examples
    --------
    >>> import montezarr as mz
    >>> recipe = mz.simulate(mz.BrownianMotion(), n_paths=10, T=5, seed=1).mz.recipe
    >>> recipe["process"]["name"], recipe["seed"]
    ('BrownianMotion', {'entropy': '1'})
    >>> print(recipe)
    Recipe of BrownianMotion
      equation     dX = μ dt + σ dW
      parameters   μ = 0, σ = 1
      x0           the default of the process
      times        5 steps of 1, from 0 to 5
      seed         1
      variables    x (float64)
      sampler      sample(draws, grid, x0), counter-based, whole ranges
      fingerprint  6163cd44d5b86745ecb8a5a1fa4e2e0d
    """

    __slots__ = ("_data",)

    def __init__(self, data: Mapping[str, Any]):
        self._data = dict(data)

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    @property
    def fingerprint(self) -> str:
        """128 bits of SHA-256 over the canonical JSON: equal fingerprints mean equal paths.

        Raises
        ------
        ReplayError, StoreError
            If the recipe refers to a large parameter that cannot be read.
        """
        return fingerprint(self._data)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON."""
        return dict(self._data)

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        name = process_name(self.get("process"))
        if is_of_several(self._data):
            runs = [(f"run {i}", text) for i, text in enumerate(runs_text(self._data))]
            return Card(f"Recipe of {len(runs)} runs of {name}", [*runs, self._fingerprint_row()])
        varied = varied_in(self._data)
        rows = [
            *recipe_process_rows(self._data),
            *varied_rows(self._data),
            ("x0", state_text(self.get("x0"), varied)),
            ("times", grid_text(self.get("grid"), self.get("keep"), varied)),
            *([("until", stop_text(self[UNTIL]))] if UNTIL in self else []),
            ("seed", seed_text(self.get("seed"))),
            ("variables", variables_text(self.get("variables"))),
            ("sampler", sampler_text(self._data)),
        ]
        if "code" in self:
            rows.append(("code", f"yours, with the digest {self['code']}"))
        if "options" in self:
            rows.append(("options", f"yours, with the digest {self['options']}"))
        return Card(f"Recipe of {name}", [*rows, self._fingerprint_row()])

    def _fingerprint_row(self) -> tuple[str, str]:
        try:
            return "fingerprint", self.fingerprint
        except (ReplayError, StoreError):
            return (
                "fingerprint",
                "not known without the large parameters, which lie beside the recipe",
            )
