"""A tidy table: one row for each path and time, one group of rows for each batch of paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from montezarr.core.checks import value_error
from montezarr.core.optional import import_optional
from montezarr.core.tunables.memory import PARQUET_GROUP_ROWS
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._events import has_events, numbers_in
from montezarr.run._events_frame import columns_of
from montezarr.run.execution import OnProgress
from montezarr.samplers.schema import PATH
from montezarr.store.export._part import MASKED, Selected, masked_values, recipe_text_of

Columns = dict[str, NDArray[Any]]


def require() -> None:
    """Raise unless pyarrow is installed."""
    _arrow()


def write(part: Selected, file: Path, on_progress: OnProgress) -> None:
    """Write paths as a table, with at most one row group in memory.

    Raises
    ------
    ArgumentValueError
        If the dimensions of variables differ, so that they do not form one table.
    """
    arrow, parquet = _arrow()
    if has_events(part.ds):
        _write_events(part, file, on_progress)
        return
    dims = common_dims(part.ds)
    schema, masked = _schema(arrow, part.ds, dims), masked_values(part.ds)
    done = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for start, piece in part.pieces():
            for columns in tables(piece, dims, start):
                arrays = [
                    arrow.array(
                        columns[field.name], field.type,
                        mask=columns[field.name] == masked[field.name]
                        if field.name in masked else None,
                    )
                    for field in schema
                ]  # fmt: skip
                writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            done += piece.sizes[PATH]
            on_progress(done, part.n_paths, 0)


def _write_events(part: Selected, file: Path, on_progress: OnProgress) -> None:
    """Write the events of all paths, one row for each, a chunk of paths at a time.

    Raises
    ------
    ArgumentValueError
        If there are events of several dimensions, or variables of others.
    """
    arrow, parquet = _arrow()
    known = numbers_in(part.ds)
    if len(known) > 1:
        raise value_error(
            "variable", "events along one dimension, and their number", list(known),
            "Choose with --variable.",
        )  # fmt: skip
    ((dim, number),) = known.items()
    for name, variable in part.ds.data_vars.items():
        if dim not in variable.dims and variable.dims != number.dims:
            raise value_error(
                "variable", f"variables along {dim!r}, or of paths alone",
                f"{name} {variable.dims}", "Choose with --variable.",
            )  # fmt: skip
    metadata, writer, done = {ATTRIBUTE: recipe_text_of(part.ds)}, None, 0
    try:
        for start, piece in part.pieces():
            table = arrow.table(columns_of(piece, dim, start, beside=True))
            table = table.replace_schema_metadata(metadata)
            writer = writer or parquet.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            done += piece.sizes[PATH]
            on_progress(done, part.n_paths, 0)
    finally:
        if writer is not None:
            writer.close()


def common_dims(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the common dimensions of all variables, that of the paths first.

    Raises
    ------
    ArgumentValueError
        If the dimensions differ.
    """
    found = {str(name): set(map(str, v.dims)) for name, v in ds.data_vars.items()}
    first = next(iter(found.values()))
    for name, dims in found.items():
        if dims != first:
            raise value_error(
                "variable", f"variables of the same dimensions, {sorted(first)}",
                f"{name} {sorted(dims)}", "Choose with --variable.",
            )  # fmt: skip
    order = [str(dim) for dim in next(iter(ds.data_vars.values())).dims if dim != PATH]
    return (PATH, *order)


def tables(piece: xr.Dataset, dims: tuple[str, ...], start: int) -> Iterator[Columns]:
    """Yield the table columns of some paths, at most a row group at a time."""
    width = max(1, int(np.prod([piece.sizes[dim] for dim in dims[1:]])))
    step = max(1, PARQUET_GROUP_ROWS // width)
    for low in range(0, piece.sizes[PATH], step):
        some = piece.isel({PATH: slice(low, low + step)})
        yield _columns(some, dims, start + low)


def _columns(piece: xr.Dataset, dims: tuple[str, ...], start: int) -> Columns:
    shape = tuple(piece.sizes[dim] for dim in dims)
    out = {}
    for i, dim in enumerate(dims):
        values = dimension_labels(piece, dim) if i else start + np.arange(shape[0], dtype=np.int64)
        along = values.reshape([-1 if j == i else 1 for j in range(len(dims))])
        out[dim] = np.broadcast_to(along, shape).reshape(-1)
    for name, variable in piece.data_vars.items():
        out[str(name)] = variable.transpose(*dims).values.reshape(-1)
    return out


def dimension_labels(ds: xr.Dataset, dim: str) -> NDArray[Any]:
    """Return the labels along a dimension: its coordinate, or 0, 1, ..."""
    return ds[dim].values if dim in ds.coords else np.arange(ds.sizes[dim], dtype=np.int64)


def _schema(arrow: Any, ds: xr.Dataset, dims: tuple[str, ...]) -> Any:
    """Return the schema of the table, with attributes of the variables and the recipe."""
    fields = [arrow.field(PATH, arrow.int64())]
    for dim in dims[1:]:
        kind = arrow.from_numpy_dtype(dimension_labels(ds, dim).dtype)
        fields.append(arrow.field(dim, kind, metadata=_metadata(ds[dim].attrs)))
    for name, variable in ds.data_vars.items():
        kind = arrow.from_numpy_dtype(variable.dtype)
        # Masked paths are null.
        attrs = {k: v for k, v in variable.attrs.items() if k != MASKED}
        fields.append(arrow.field(str(name), kind, metadata=_metadata(attrs)))
    return arrow.schema(fields, metadata={ATTRIBUTE: recipe_text_of(ds)})


def _metadata(attributes: Any) -> dict[str, str]:
    out = {}
    for name, value in attributes.items():
        plain = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        out[str(name)] = plain if isinstance(plain, str) else json.dumps(plain)
    return out


def _arrow() -> tuple[Any, Any]:
    purpose = "Parquet"
    parquet = import_optional("pyarrow.parquet", extra="export", purpose=purpose)
    return import_optional("pyarrow", extra="export", purpose=purpose), parquet
