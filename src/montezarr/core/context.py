"""The base of objects that are used in a ``with`` statement."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class ContextManager:
    """A context manager whose block ends with an error, or without one; it hides no error."""

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

    # Not abstract: that would be another metaclass, which the digest of a public class counts.
    def _end_block(self, error: BaseException | None) -> None:
        """End the block, with the error on its way or None."""
        raise NotImplementedError
