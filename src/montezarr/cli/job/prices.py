"""Prices of a job, from a column of a CSV file whose dates increase."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from montezarr.cli.job.config import Config, plain_number
from montezarr.core.checks import show
from montezarr.core.errors import ConfigError
from montezarr.core.regular_files import opened
from montezarr.core.tunables.limits import (
    PRICES_LINE_MAX_CHARACTERS,
    PRICES_MAX_BYTES,
    PRICES_MAX_FIELDS,
)

DATES = frozenset({"date", "dates", "datetime", "timestamp", "time"})
"""Names of a column of dates, in lower case."""

DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y",
    "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d", "%Y-%m", "%Y/%m",
)  # fmt: skip
FORMATS = [f"{day}{clock}" for day in DAYS for clock in ("", " %H:%M", " %H:%M:%S")]
"""Formats of dates besides ISO 8601; if several fit, one in which the dates increase is taken."""


Row = tuple[int, list[str]]
"""Number of the last line of a row, and its fields."""


def read_prices(config: Config) -> NDArray[np.float64] | None:
    """Return the column of prices that [data] names, or None where there is no [data].

    Prices are in the order of time: if the file has a column of dates, these must increase, or a
    fit would run backwards in time. A file without dates is taken as it is.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no table of numbers, or is in another order.
    """
    file = config.file("data", "file")
    if file is None:
        return None
    column = config.get("data", "column", "close")

    def wrong(problem: str, line: int | None = None, key: str = "file") -> ConfigError:
        where = str(file) if line is None else f"{file}:{line}"
        return config.error("data", key, f"{where}: {problem}")

    names, rows = _table(config, file, wrong)
    if names.count(column) != 1:
        found = "is not in" if column not in names else f"is {names.count(column)} columns of"
        listed = ", ".join(names)
        raise config.error("data", "column", f"{column!r} {found} {file}: {listed}.")
    place = names.index(column)
    values = []
    for line, row in rows:
        value = plain_number(row[place])
        if not math.isfinite(value):
            raise wrong(f"{show(row[place])} is no number.", line)
        values.append(value)
    _check_order(names, rows, place, wrong)
    return np.array(values)


def _table(
    config: Config, file: Path, wrong: Callable[..., ConfigError]
) -> tuple[list[str], list[Row]]:
    """Return the names of the columns and the rows, each with one field per column."""
    try:
        # utf-8-sig drops the byte order mark that spreadsheets write before the first name.
        with TextIOWrapper(
            opened(file, PRICES_MAX_BYTES), encoding="utf-8-sig", newline=""
        ) as handle:
            reader = csv.reader(_lines_of(handle), strict=True)
            try:
                lines = list(_rows_of(reader))
            except (csv.Error, ValueError) as error:
                if isinstance(error, UnicodeDecodeError):
                    raise
                problem = f"no CSV: {error}. A quote may not be closed."
                raise wrong(problem, reader.line_num) from error
    except UnicodeDecodeError as error:
        raise config.error("data", "file", f"{file} is not text in UTF-8.") from error
    except OSError as error:
        reason = error.strerror or error
        raise config.error("data", "file", f"{file} cannot be read: {reason}.") from error
    if not lines:
        raise wrong("empty, expected a header with the names of the columns.")
    names, rows = lines[0][1], lines[1:]
    for line, row in rows:
        if len(row) != len(names):
            raise wrong(f"expected {len(names)} fields, as the header has, got {len(row)}.", line)
    return names, rows


def _lines_of(handle: TextIO) -> Iterator[str]:
    """Yield the lines of a file; raise for one that is too long."""
    while line := handle.readline(PRICES_LINE_MAX_CHARACTERS):
        if len(line) == PRICES_LINE_MAX_CHARACTERS:
            raise ValueError(f"a line of {PRICES_LINE_MAX_CHARACTERS:,} characters or more")
        yield line


def _rows_of(reader: Any) -> Iterator[Row]:
    """Yield the rows that are not empty; raise if there are too many."""
    fields = 0
    for row in reader:
        if row:
            fields += len(row) + 1
            if fields > PRICES_MAX_FIELDS:
                raise ValueError(f"more than {PRICES_MAX_FIELDS:,} fields and rows")
            yield reader.line_num, row


def _check_order(
    names: Sequence[str], rows: Sequence[Row], prices: int, wrong: Callable[..., ConfigError]
) -> None:
    """Raise unless the dates of a file, if it has any, increase from row to row."""
    others = [i for i in range(len(names)) if i != prices]
    called = [i for i in others if names[i].strip().casefold() in DATES]
    for i in called or others:
        texts = [row[i].strip() for _, row in rows]
        readings = list(_readings(texts, with_numbers=bool(called)))
        if len(called) > 1:  # day and time of day in separate columns
            joined = [" ".join(row[j].strip() for j in called) for _, row in rows]
            readings += _readings(joined, with_numbers=False)
        if any(_first_fall(times) is None for times in readings):
            return
        if readings:
            k = _first_fall(readings[-1])
            assert k is not None
            raise wrong(
                f"dates must increase from row to row, got {texts[k + 1]!r} after {texts[k]!r} in"
                f" the column {names[i]!r}. Sort the file, oldest first, each date once.",
                rows[k + 1][0],
            )
        if called:
            raise wrong(
                f"expected dates such as 2024-01-31 in the column {names[i]!r}, all of one form,"
                f" got {show(texts[0])} ... {show(texts[-1])}: their order is not known.",
                rows[0][0],
            )


def _first_fall(times: Sequence[Any]) -> int | None:
    """Return the first position after which times do not increase, or None."""
    return next((k for k, (a, b) in enumerate(pairwise(times)) if not a < b), None)


def _readings(texts: Sequence[str], *, with_numbers: bool) -> Iterator[list[Any]]:
    """Yield the times that texts may mean, once for each format that fits all of them."""
    if with_numbers and all(math.isfinite(plain_number(text)) for text in texts):
        yield [plain_number(text) for text in texts]
        return
    for form in (None, *FORMATS):
        try:
            times = [
                datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
                for text in texts
            ]
        except ValueError:
            continue
        zoned = {time.tzinfo is not None for time in times}
        if len(zoned) == 1:  # times with and without a time zone cannot be compared
            yield [time.astimezone(UTC) if time.tzinfo else time for time in times]
