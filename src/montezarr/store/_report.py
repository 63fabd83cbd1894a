"""The results of `verify` and `repair`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, final

from montezarr.core.text import Card, count_text, for_terminal

SHOWN_PROBLEMS = 10
"""Problems that are printed."""


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a store.

    Attributes
    ----------
    kind : {"journal", "metadata", "missing", "size", "damaged", "stray", "values"}
        Kind of the problem; "journal" is the commit log, "stray" a file of chunks, states or
        parameters that the store does not have.
    key : str
        Key of the file.
    text : str
        What was expected, and what was found.

    Examples
    --------
    >>> from pathlib import Path
    >>> import montezarr as mz
    >>> stored = mz.write(mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=1), "walks.zarr")
    >>> Path("walks.zarr/x/c/0/0").unlink()
    >>> (problem,) = mz.verify("walks.zarr").problems
    >>> problem.kind, problem.key
    ('missing', 'x/c/0/0')
    """

    kind: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.text}"


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Verification:
    """The result of a check of a store; printable.

    Attributes
    ----------
    path : str
        The location of the store.
    level : int
        Level of the check; see `montezarr.verify`.
    n_paths, target : int
        Numbers of paths that are committed and that are planned.
    files : int
        Number of files in the commit log.
    drawn : int
        Number of chunks that were drawn again.
    problems : tuple of Problem
        The problems.
    environment : str or None
        How this environment differs from that of the store, if paths drawn again differ.
    largest_difference : float or None
        Largest absolute difference of these paths.
    seconds : float
        Duration of the check.
    repaired : tuple of str
        Files that `repair` restored.
    is_complete : bool
        Whether all paths and statistics are written.

    Examples
    --------
    >>> import montezarr as mz
    >>> stored = mz.write(mz.simulate(mz.RandomWalk(), n_paths=5, T=3, seed=1), "walks.zarr")
    >>> found = mz.verify("walks.zarr", level=3)
    >>> found.ok, found.is_complete, found.n_paths, found.drawn, found.problems
    (True, True, 5, 1, ())
    """

    path: str
    level: int
    n_paths: int
    target: int
    files: int
    drawn: int
    problems: tuple[Problem, ...]
    environment: str | None = None
    largest_difference: float | None = None
    seconds: float = 0.0
    repaired: tuple[str, ...] = ()
    is_complete: bool = True

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        return {**asdict(self), "ok": self.ok}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self._state()}", f"  {self._looked_at()}"]
        if self.repaired:
            lines.append(f"  {len(self.repaired):,} files made anew")
        if self.environment is not None:
            lines.append(f"  environment differs {self._differs()}")
        lines += [f"  {problem}" for problem in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            lines.append(f"  and {len(self.problems) - SHOWN_PROBLEMS:,} more")
        return for_terminal("\n".join(lines))

    def _repr_html_(self) -> str:
        rows = [("state", self._state()), ("paths", self._looked_at())]
        if self.repaired:
            rows.append(("repaired", f"{len(self.repaired):,} files made anew"))
        if self.environment is not None:
            rows.append(("environment", f"differs {self._differs()}"))
        rows += [
            ("" if i else "problems", str(p)) for i, p in enumerate(self.problems[:SHOWN_PROBLEMS])
        ]
        if len(self.problems) > SHOWN_PROBLEMS:
            rows.append(("", f"and {len(self.problems) - SHOWN_PROBLEMS:,} more"))
        return Card(f"Verification of {self.path}", rows).html()

    def _state(self) -> str:
        state = "intact" if self.ok else count_text(len(self.problems), "problem")
        if not self.is_complete and self.target:
            state += f", incomplete ({100 * self.n_paths // self.target} %)"
        return state

    def _looked_at(self) -> str:
        drawn = f"; {self.drawn:,} chunks drawn again" if self.drawn else ""
        return (
            f"{self.n_paths:,} of {self.target:,} paths in {self.files:,} files, looked at on"
            f" level {self.level} in {self.seconds:.3g} s{drawn}"
        )

    def _differs(self) -> str:
        largest = f"{self.largest_difference:.3g}"
        return f"({self.environment}): drawn again, paths differ by up to {largest}"
