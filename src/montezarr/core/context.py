"""Base class of context managers."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class ContextManager:
    """A context manager that is given the error of its block, and suppresses none."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_block(error)

    # Not an ABC: that would change the metaclass, which is part of the digest of a public class.
    def _end_block(self, error: BaseException | None) -> None:
        """End the block; `error` is the exception that it raised, or None."""
        raise NotImplementedError
