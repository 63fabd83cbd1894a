"""`export`: paths of a store as a file of another format."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from montezarr.core.checks import check_bool, check_choice, value_error
from montezarr.core.errors import MontezarrError, StoreError
from montezarr.core.text import show_bytes
from montezarr.run.execution import OnProgress
from montezarr.store._info import info
from montezarr.store._open import open_store
from montezarr.store.export import _netcdf, _parquet
from montezarr.store.export._file import check_file_room, check_free, file_of, written_anew
from montezarr.store.export._part import Selected, export_range

FORMATS = ("netcdf", "parquet")
SUFFIXES = {".nc": "netcdf", ".parquet": "parquet"}
WRITERS = {"netcdf": _netcdf, "parquet": _parquet}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was exported; printable.

    Attributes
    ----------
    file, format : str
        The file, and what it is.
    paths, first_path : int
        How many paths it has, and the index of the first one in the run.
    left_out : int
        How many were asked for, and are not committed yet.
    variables : list of str
        Their names.
    bytes : int
        Size of the file.
    seconds : float
        How long it took.
    """

    file: str
    format: str
    paths: int
    first_path: int
    left_out: int
    variables: list[str]
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        names = ", ".join(self.variables)
        size = show_bytes(self.bytes)
        return f"{self.paths:,} paths of {names} in {self.file}: {self.format}, {size}"


def export(
    path: Any,
    out: Any,
    *,
    start: int | None = None,
    stop: int | None = None,
    every: int = 1,
    variables: Sequence[str] | None = None,
    kind: str | None = None,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Export:
    """Write paths of a store to a file, a chunk at a time.

    The file is written beside its place and renamed, so that it is there whole or not at all.

    Parameters
    ----------
    path : str, path or Zarr store
        Where the store is.
    out : str or path
        The file.
    start, stop : int, optional
        First path, and the one after the last, by their index in the run; all by default. Of a
        store that is not complete, what is committed.
    every : int
        Keep the first time and every so many after it.
    variables : sequence of str, optional
        These alone.
    kind : {"netcdf", "parquet"}, optional
        By default what the suffix says, ``.nc`` or ``.parquet``.
    overwrite : bool
        Whether to put it in the place of a file that is there.
    storage_options : dict, optional
        For a URL, what fsspec takes.
    on_progress : function (paths done, paths in all, paths that failed), optional
        Called after each chunk.

    Returns
    -------
    Export
        What was written.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are no such paths, times or variables, or `out` can be no file.
    MissingDependencyError
        If h5netcdf or pyarrow is not there.
    StoreExistsError
        If there is a file already.
    StoreError
        If the disk has too little room, or the store is damaged.
    """
    began = time.perf_counter()
    file = file_of(out)
    check_bool("overwrite", overwrite)
    name = _kind(file, kind)
    writer = WRITERS[name]
    writer.require()
    found = info(path, storage_options=storage_options)
    check_free(file, found.path if os.path.lexists(found.path) else None, overwrite)
    ds = open_store(path, storage_options=storage_options)
    part = export_range(ds, found, start, stop, every, variables)
    check_file_room(file, _bytes_of(part, name))
    with written_anew(file, overwrite) as temporary, _named(found.path, file):
        writer.write(part, temporary, on_progress or _nothing)
    return Export(
        file=str(file),
        format=name,
        paths=part.n_paths,
        first_path=part.start,
        left_out=part.left_out,
        variables=[str(name) for name in part.ds.data_vars],
        bytes=file.stat().st_size,
        seconds=time.perf_counter() - began,
    )


def _kind(file: Path, kind: str | None) -> str:
    if kind is not None:
        return check_choice("format", kind, FORMATS)
    if file.suffix not in SUFFIXES:
        raise value_error(
            "out", f"a name that ends in {' or '.join(SUFFIXES)}", file.name,
            "Or choose with --format.",
        )  # fmt: skip
    return SUFFIXES[file.suffix]


def _bytes_of(part: Selected, kind: str) -> int:
    """Return the bytes that a file will have at least: random reals are as large in any format."""
    arrays = part.ds.data_vars.values()
    return sum(a.nbytes for a in arrays if kind == "netcdf" or a.dtype.kind == "f")


@contextlib.contextmanager
def _named(path: str, file: Path) -> Iterator[None]:
    """Say which file it was: other libraries do not."""
    try:
        yield
    except MontezarrError:
        raise
    except ValueError as error:  # from Zarr, of what it reads
        raise StoreError(
            f"path: expected an intact store, got {error}: {path}. See montezarr verify."
        ) from error
    except RuntimeError as error:  # from HDF5, such as of a full disk
        raise StoreError(f"out: expected to write a file, got {error}: {file}.") from error


def _nothing(done: int, total: int, failed: int) -> None:
    pass
