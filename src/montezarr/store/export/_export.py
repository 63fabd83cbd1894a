"""`export`: write paths of a store to a file of another format."""

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
    """The result of an export; printable.

    Attributes
    ----------
    file, format : str
        The file, and its format.
    paths, first_path : int
        Number of paths in the file, and the index of the first one in the run.
    left_out : int
        Number of requested paths that are not committed yet.
    variables : list of str
        Names of the exported variables.
    bytes : int
        Size of the file.
    seconds : float
        Duration of the export.
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
        """Return the fields as JSON."""
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

    The file is written under a temporary name and renamed, so that it appears whole or not at all.

    Parameters
    ----------
    path : str, path or Zarr store
        Location of the store.
    out : str or path
        The file.
    start, stop : int, optional
        Range of paths, by their index in the run; all by default. For an incomplete store, the
        committed ones.
    every : int
        Keep every `every`-th time, from the first one on.
    variables : sequence of str, optional
        Export only these.
    kind : {"netcdf", "parquet"}, optional
        By default according to the suffix, ``.nc`` or ``.parquet``.
    overwrite : bool
        Whether to replace an existing file.
    storage_options : dict, optional
        For a URL, options of fsspec.
    on_progress : function (paths done, paths in all, paths that failed), optional
        Called after each chunk.

    Returns
    -------
    Export
        Description of what was written.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If there are no such paths, times or variables, or `out` cannot be a file.
    MissingDependencyError
        If h5netcdf or pyarrow is not installed.
    StoreExistsError
        If the file exists.
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
    """Return a lower bound of the bytes of a file: random reals do not compress in any format."""
    arrays = part.ds.data_vars.values()
    return sum(a.nbytes for a in arrays if kind == "netcdf" or a.dtype.kind == "f")


@contextlib.contextmanager
def _named(path: str, file: Path) -> Iterator[None]:
    """Add the file to errors of other libraries."""
    try:
        yield
    except MontezarrError:
        raise
    except ValueError as error:  # from Zarr, about the store
        raise StoreError(
            f"path: expected an intact store, got {error}: {path}. See montezarr verify."
        ) from error
    except RuntimeError as error:  # from HDF5, for example of a full disk
        raise StoreError(f"out: expected to write a file, got {error}: {file}.") from error


def _nothing(done: int, total: int, failed: int) -> None:
    pass
