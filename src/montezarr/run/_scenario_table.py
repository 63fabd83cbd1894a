"""`scenarios`: the parameters of scenarios from a table, for ``simulate(vary=...)``."""

from __future__ import annotations

import io
import os
import re
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from montezarr.core.checks import is_frame, local_path, type_error, value_error
from montezarr.core.regular_files import TooLargeError, read_regular
from montezarr.core.tunables.limits import SCENARIOS_FILE_MAX_BYTES
from montezarr.samplers.schema import PATH, TIME

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A decimal number. `float` would also take 1_0 for 10, and digits of other scripts."""

NO_NUMBERS = ("nan", "inf", "infinity")
"""Texts that mean a number, and no text, to other programs."""

WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def scenarios(table: Any, *, name: str = "scenario") -> dict[str, xr.DataArray]:
    """Return the parameters in a table, one scenario in each row, for ``simulate(vary=...)``.

    Parameters
    ----------
    table : str, path or DataFrame
        A CSV file in UTF-8 with a header, or a table of pandas. Each column is a parameter:
        numbers, or text if no entry is a number.
    name : str
        Name of the dimension. A column of this name, or an index of the DataFrame that has it, or
        that is no range, has the labels of the scenarios.

    Returns
    -------
    dict of str to DataArray
        By parameter, its values along the dimension `name`. Add further entries, such as
        distributions, or arrays on other dimensions, which make a grid.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `table` is no table, cannot be read, or is empty; for a column without a name, a name or
        label that is there twice, and an entry that is missing, infinite, or text among numbers,
        with its column and row. The first row after the header is row 1.

    Examples
    --------
    >>> import montezarr as mz, pandas as pd
    >>> table = pd.DataFrame({"sigma": [0.1, 0.3], "mu": [0.02, 0.05]}, index=["calm", "wild"])
    >>> vary = mz.scenarios(table, name="market")
    >>> ds = mz.simulate(mz.GeometricBrownianMotion(mu=0.0, sigma=0.2), 1000, 12, 100.0, seed=1,
    ...                  vary=vary)
    >>> ds.x.sizes["market"], ds.sigma.sel(market="wild").item()
    (2, 0.3)
    """
    if not isinstance(name, str):
        raise type_error("name", "the name of a dimension", name)
    if not name or name in (PATH, TIME):
        raise value_error("name", f"a name other than {PATH!r} and {TIME!r}", name)
    frame = table if is_frame(table) else _read(table)
    columns = _columns(frame)
    labels = columns.pop(name, None)
    index = getattr(frame, "index", None)
    if labels is None and index is not None:
        is_range = isinstance(index, pd.RangeIndex) and index.name != name
        labels = None if is_range else list(index)
    if not columns or not len(frame):
        raise value_error("table", "a table with one parameter and one row or more", frame.shape)
    coords = {} if labels is None else {name: _labels(name, labels)}
    return {
        column: xr.DataArray(_values(column, entries), dims=name, coords=coords)
        for column, entries in columns.items()
    }


def _read(table: Any) -> pd.DataFrame:
    """Return a CSV file as text."""
    if not isinstance(table, (str, os.PathLike)):
        raise type_error("table", "a CSV file or a DataFrame", table)
    file = local_path("table", os.fsdecode(table))
    expected = f"a CSV file of at most {SCENARIOS_FILE_MAX_BYTES:,} bytes"
    try:
        text = read_regular(file, SCENARIOS_FILE_MAX_BYTES).decode("utf-8-sig")
        # Numbers are read below: pandas would take more texts for missing ones than an empty one.
        rows = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False,
                           skipinitialspace=True)  # fmt: skip
    except TooLargeError as error:
        raise value_error("table", expected, str(file), "It has more.") from error
    except OSError as error:
        problem = f"{file.name}: {error.strerror or error}."
        raise value_error("table", "a CSV file that can be read", str(file), problem) from error
    except UnicodeDecodeError as error:
        raise value_error("table", "a CSV file in UTF-8", str(file)) from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        problem = " ".join(str(error).split())
        raise value_error("table", "a CSV file with a header", str(file), f"{problem}.") from error
    header = [str(cell).strip() for cell in rows.iloc[0]]
    body = rows.iloc[1:].reset_index(drop=True)
    body.columns = pd.Index(header)
    return body


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Return the entries of each column by name."""
    names = list(frame.columns)
    for place, column in enumerate(names, start=1):
        if not isinstance(column, str) or not column:
            got = repr(column) if column != "" else "none"
            raise value_error(
                "table", "text as the name of each column", f"{got} of column {place}"
            )
        if names.count(column) > 1:
            raise value_error("table", "names of columns that differ", column)
    return {column: frame[column].tolist() for column in names}


def _labels(name: str, labels: list[Any]) -> Any:
    """Return the labels of the scenarios: whole numbers, numbers or text."""
    if all(isinstance(label, str) for label in labels):
        stripped = [label.strip() for label in labels]
        labels = [int(x) for x in stripped] if all(map(WHOLE.fullmatch, stripped)) else stripped
    seen: dict[Any, int] = {}
    for row, label in enumerate(labels, start=1):
        if _is_missing(label):
            raise value_error("table", f"a label in each row of {name!r}", f"none in row {row}")
        if label in seen:
            raise value_error(
                "table",
                f"labels in {name!r} that differ",
                f"{label!r} in rows {seen[label]} and {row}",
            )
        seen[label] = row
    array = np.array(labels)
    if array.ndim != 1 or array.dtype.kind not in "iufU":
        raise type_error("table", f"numbers or text as labels in {name!r}", labels[0])
    return array


def _values(column: str, entries: list[Any]) -> Any:
    """Return the numbers of a column, or its text if no entry is a number."""
    texts = [entry.strip() if isinstance(entry, str) else entry for entry in entries]
    if all(isinstance(x, str) and x and not _number(x) for x in texts) and not all(
        x.lower().lstrip("+-") in NO_NUMBERS for x in texts
    ):
        return np.array(texts)
    values = []
    for row, entry in enumerate(texts, start=1):
        where = f"in column {column!r}, row {row}"
        if isinstance(entry, str) and entry and not _number(entry):
            raise type_error("table", f"a number {where}", entry)
        value = _number(entry) if isinstance(entry, str) else [entry]
        if not value or _is_missing(value[0]):
            raise value_error("table", f"a number {where}", "none")
        if not isinstance(value[0], (bool, int, float, np.number, np.bool_)):
            raise type_error("table", f"a number {where}", value[0])
        if not np.isfinite(value[0]):
            raise value_error("table", f"a finite number {where}", value[0])
        values.append(value[0])
    return np.array(values)


def _number(text: str) -> list[int | float]:
    """Return the number that a text is, as a list; an empty one if it is none."""
    if WHOLE.fullmatch(text):
        return [int(text)]
    return [float(text)] if NUMBER.fullmatch(text) else []


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value or value == ""
