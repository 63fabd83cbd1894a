"""The commit log: what is committed, line by line, written only by the driver.

A line is the CRC-32C of a record in hexadecimal digits, a blank, the record as JSON, and a line
feed. An incomplete or damaged record does not count. The first record is the manifest; then

``{"target": n}``
    The target number of paths.
``{"mending": n}``
    `repair` has begun on a store that had all n paths.
``{"environment": {...}}``
    Another environment in which chunks were drawn; that of the manifest is number 0.
``{"chunk": i, "n": paths, "files": {key: [bytes, digest]}}``
    Chunk i is written; the last record of a chunk counts. Further entries: ``"masked"``, its
    masked paths; ``"environment"``, its number; ``"state"``, its states of statistics.
``{"states": [chunks, digest]}``
    The merged states of the statistics of a number of chunks, in one file.
``{"statistics": {key: [bytes, digest]}}``
    The files of the results.
``{"complete": n}``
    All n paths, and their statistics, are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import google_crc32c

from montezarr.core.json import parse_json

COMMIT_LOG = "montezarr/journal"

Record = Mapping[str, Any]


def record_line(record: Record) -> bytes:
    """Return a record as a line."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (google_crc32c.value(text), text)


def lines_of(records: Iterable[Record]) -> bytes:
    """Return records as lines."""
    return b"".join(record_line(record) for record in records)


def read_records(data: bytes) -> tuple[list[dict[str, Any]], int, int]:
    """Return the records, the bytes up to the end of the last one, and the number of bad lines.

    Bad lines at the end were left by a writer that was killed, or whose disk was full; they are not
    counted, since their content was never committed.
    """
    records, end, bad, waiting, location = [], 0, 0, 0, 0
    for line in _lines(data):
        location += len(line)
        record = _parse(line)
        if record is None:
            waiting += 1
            continue
        bad, waiting = bad + waiting, 0
        records.append(record)
        end = location
    return records, end, bad


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        yield data[start:stop]
        start = stop


def _parse(line: bytes) -> dict[str, Any] | None:
    if len(line) < 12 or not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    if line[:8] != b"%08x" % google_crc32c.value(text):
        return None
    try:
        record = parse_json(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
