"""The task of a writer: encode and write the values of some chunks."""

from __future__ import annotations

from typing import Any

from montezarr.samplers import FailureReport
from montezarr.samplers.drawn_range import DrawnRange
from montezarr.store._digest import file_digest
from montezarr.store._values import ChunkTaskItem, ChunkValues
from montezarr.store.format import STATES, ChunkRecord, encode_chunk
from montezarr.store.locations import Location


class ChunkTask:
    """Draw and write chunks; return the small records for the commit log.

    Parameters
    ----------
    values : ChunkValues
        Draws the chunks.
    location : Location
        The location of the store.
    durable : bool
        Whether written files must survive a loss of power.
    """

    def __init__(self, values: ChunkValues, location: Location, durable: bool):
        self.values, self.manifest = values, values.manifest
        self.location, self.durable = location, durable
        self.__name__ = f"write-{values.name}"  # its name on the dashboard

    def __call__(self, item: ChunkTaskItem) -> tuple[list[tuple[int, ChunkRecord]], FailureReport]:
        """Run the task."""
        start, stop, chunks, x0 = item
        out, report = [], FailureReport()
        for i, chunk in enumerate(chunks):
            low = start + i * self.manifest.chunk
            high = min(low + self.manifest.chunk, stop)
            is_range = x0 is None or isinstance(x0, DrawnRange)
            part = x0 if is_range else x0[..., low - start : high - start]
            record, more = self._one(chunk, low, high, part)
            out.append((chunk, record))
            report += more
        return out, report

    def _one(self, chunk: int, start: int, stop: int, x0: Any) -> tuple[ChunkRecord, FailureReport]:
        arrays, state, report = self.values.of(start, stop, x0)
        files = {}
        for array, values in zip(self.manifest.arrays, arrays, strict=True):
            for key, rows in zip(array.keys(chunk), array.cut(values), strict=True):
                pieces, size, found = encode_chunk(
                    array, self.manifest.chunk, self.manifest.storage, rows
                )
                self.location.put(key, pieces, durable=self.durable, number=chunk)
                files[key] = size, found
        checksum = None
        if state is not None:
            self.location.put(f"{STATES}/{chunk}", [state], durable=self.durable, number=chunk)
            checksum = file_digest([state])
        masked = {str(path): reason for path, reason in report.masked}
        return ChunkRecord(n=stop - start, files=files, masked=masked, state=checksum), report
