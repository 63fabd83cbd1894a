"""`info`: the description of a store from its metadata; runs and imports nothing, reads no path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

import xarray as xr

from montezarr.core.checks import show
from montezarr.core.text import for_terminal, show_bytes
from montezarr.run._attributes import ATTRIBUTE
from montezarr.run._recipe import format_note
from montezarr.run._several import runs_text
from montezarr.run._texts import process_text, seed_text, state_text, value_text
from montezarr.run._varied_texts import varied_in
from montezarr.store._committed import commit_state_of
from montezarr.store._open import open_store
from montezarr.store._where import COMPLETE, INCOMPLETE, location_of
from montezarr.store.format import PATH, STATUS_ATTRIBUTE, CommitState, Manifest, _parameters
from montezarr.store.locations import LocalLocation, ReadableLocation

PRINTED_CHARACTERS_MAX = 200
"""Characters of a process, or of a value of a recipe, that are printed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Info:
    """The description of a store; printable.

    Attributes
    ----------
    path : str
        The location of the store.
    status : {"complete", "incomplete"}
        Whether all paths and statistics are written.
    process, seed, x0 : object
        As in the recipe: large parameters by dtype, shape and digest.
    sampler : str
        Kind of the sampler; see `montezarr.samplers`.
    own_code : bool
        Whether the process is user code, which no store holds.
    derived : bool
        Whether the variables were computed from paths by an expression, which no store holds.
    committed, target, readable : int
        Numbers of paths that are committed, that are planned, and that can be read: up to the
        first gap.
    first_path : int
        Index of the first path in the run.
    times : (int, first, last) or None
        Number of times, the first and the last one; None without times.
    variables : list of dict
        ``name``, ``dtype``, ``dims`` and ``shape``, with the paths that can be read.
    chunk : int or None
        Paths per chunk.
    storage : dict or None
        Fields of `montezarr.Storage`.
    statistics : list of str
        Names of the statistics that are taken with the paths.
    bytes, files : int or None
        Size and number of files on disk.
    environments : list of dict
        Environments in which paths were drawn.
    masked : int
        Paths that failed and were masked.
    damaged : int
        Number of lines of the commit log that cannot be read.
    scenarios_alone : bool
        Whether each scenario of a chunk can be read without the others.
    varied : dict of str to str
        By name of a parameter that varies, how: by scenario or by path, and its values.
    runs : tuple of str
        For an expression of several runs, process, parameters, initial state and seed of each.
    """

    path: str
    status: str
    process: Any
    seed: Any
    x0: Any
    sampler: str
    own_code: bool
    derived: bool
    committed: int
    target: int
    readable: int
    first_path: int
    times: tuple[int, Any, Any] | None
    variables: list[dict[str, Any]]
    chunk: int | None = None
    storage: dict[str, Any] | None = None
    statistics: tuple[str, ...] = ()
    bytes: int | None = None
    files: int | None = None
    environments: tuple[Mapping[str, Any], ...] = ()
    masked: int = 0
    damaged: int = 0
    scenarios_alone: bool = False
    varied: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether all paths, and all statistics of them, are committed."""
        return self.status == COMPLETE

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON."""
        fields = asdict(self).items()
        told = {name: value for name, value in fields if value or name not in ("varied", "runs")}
        return {**told, "percent": self._percent()}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        state = self.status if self.is_complete else f"{self.status}, {self._percent()} %"
        lines = [f"{self.path}: {state}", *(f"  {name:<11} {v}" for name, v in self._lines())]
        # A name in a store may contain line feeds, which must not start a new line here.
        return for_terminal("\n".join(line.replace("\n", "\\n") for line in lines))

    def _percent(self) -> int:
        return 100 if self.is_complete else 100 * self.committed // max(self.target, 1)

    def _run_lines(self) -> Iterator[tuple[str, str]]:
        process = _cut(process_text(self.process, self.varied))
        yield "process", process + (" (own code)" if self.own_code else "")
        for i, (name, how) in enumerate(self.varied.items()):
            yield "" if i else "varies", _cut(f"{name} {how}")
        x0 = _cut(state_text(self.x0, self.varied))
        yield "run", f"seed {_cut(seed_text(self.seed))}, x0 {x0}, {self.sampler}"

    def _lines(self) -> Iterator[tuple[str, str]]:
        for i, run in enumerate(self.runs):
            yield f"run {i}", _cut(run)
        if not self.runs:
            yield from self._run_lines()
        start = f", from path {self.first_path:,} on" if self.first_path else ""
        less = f"; {self.readable:,} can be read" if self.readable < self.committed else ""
        yield "paths", f"{self.committed:,} of {self.target:,}{start}{less}"
        if self.times is not None:
            count, first, last = self.times
            yield "times", f"{count:,}, from {value_text(first)} to {value_text(last)}"
        for variable in self.variables:
            sizes = ", ".join(
                f"{dim}: {size:,}"
                for dim, size in zip(variable["dims"], variable["shape"], strict=True)
            )
            yield "variable", f"{variable['name']} ({sizes}) {variable['dtype']}"
        if self.derived:
            yield "", "made of paths by an expression, which the store does not hold"
        if self.chunk is not None and self.storage is not None:
            alone = ", each scenario alone" if self.scenarios_alone else ""
            yield "chunk", f"{self.chunk:,} paths{alone}"
            yield "storage", _storage(self.storage)
        if self.statistics:
            yield "statistics", ", ".join(self.statistics)
        if self.bytes is not None:
            yield "on disk", f"{show_bytes(self.bytes)} in {self.files:,} files"
        for environment in self.environments:
            yield "drawn by", _environment(environment)
        if self.masked:
            yield "masked", f"{self.masked:,} paths"
        if self.damaged:
            yield "damaged", f"{self.damaged:,} lines of the commit log: see montezarr verify"


def info(path: Any, *, storage_options: Mapping[str, Any] | None = None) -> Info:
    """Return the description of a store, also while it is written.

    Nothing that the store names is imported or run, and no path is read.

    Parameters
    ----------
    path : str, path or Zarr store
        Location of the store; or the JSON file of a `VirtualStore`.
    storage_options : dict, optional
        For a URL, what fsspec takes.

    Returns
    -------
    Info
        Printable, and as JSON by `to_dict`.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `path` is not a location.
    StoreNotFoundError, StoreExistsError
        If there is no store, or something else.
    StoreError
        If neither commit log nor manifest can be read.
    """
    location = location_of(path, storage_options)
    if isinstance(location, LocalLocation) and location.path.is_file():
        return _of_dataset(str(location), open_store(path))
    return _of_commit_state(location, commit_state_of(location))


def _of_commit_state(location: ReadableLocation, commits: CommitState) -> Info:
    manifest = commits.manifest
    recipe = manifest.recipe_dict
    # For a remote store the commit log tells what is on disk: a listing may take long.
    objects = location.sizes(location.objects()) if location.is_local else None
    files = {k: v[0] for k, v in commits.files().items()} if objects is None else objects
    if objects is None:
        files |= {_parameters.key_of(r): r.nbytes for r in manifest.references}
    times = next((c.values for c in manifest.constants if c.name == "time"), None)
    readable = commits.shown
    return Info(
        path=str(location),
        status=COMPLETE if commits.is_complete else INCOMPLETE,
        process=recipe["process"],
        seed=recipe["seed"],
        x0=recipe["x0"],
        sampler=str(recipe["sampler"]) + format_note(recipe),
        own_code="code" in recipe,
        derived=manifest.values is not None,
        committed=commits.committed,
        target=commits.target,
        readable=readable,
        first_path=manifest.first_path,
        times=_times(times),
        variables=[_variable(a.name, a.dtype, a.dims, a.whole(readable)) for a in manifest.arrays],
        chunk=manifest.chunk,
        storage=manifest.storage.to_dict(),
        statistics=tuple(_statistics(manifest)),
        bytes=sum(files.values()),
        files=len(files),
        environments=tuple(dict(e) for e in commits.environments),
        masked=sum(len(record.masked) for record in commits.chunks.values()),
        damaged=commits.bad,
        scenarios_alone=any(array.scenarios for array in manifest.arrays),
        varied=varied_in(recipe),
        runs=tuple(runs_text(recipe)),
    )


def _of_dataset(path: str, ds: xr.Dataset) -> Info:
    """Return the description of any other Dataset that opens, such as a virtual store."""
    recipe = json.loads(ds.attrs[ATTRIBUTE])
    n_paths = ds.sizes.get(PATH, 0)
    times = ds["time"].values if "time" in ds.coords else None
    return Info(
        path=path,
        status=INCOMPLETE if STATUS_ATTRIBUTE in ds.attrs else COMPLETE,
        process=recipe["process"],
        seed=recipe["seed"],
        x0=recipe["x0"],
        sampler=str(recipe["sampler"]) + format_note(recipe),
        own_code="code" in recipe,
        derived=False,
        committed=n_paths,
        target=n_paths,
        readable=n_paths,
        first_path=int(ds.attrs.get("montezarr_first_path", 0)),
        times=_times(times),
        variables=[
            _variable(str(name), str(v.dtype), map(str, v.dims), v.shape)
            for name, v in ds.data_vars.items()
        ],
        varied=varied_in(recipe),
    )


def _variable(name: str, dtype: str, dims: Any, shape: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "dims": list(dims), "shape": list(shape)}


def _times(values: Any) -> tuple[int, Any, Any] | None:
    if values is None or values.ndim != 1 or not values.size:
        return None
    first, last = (x.item() if x.dtype.kind in "iufb" else str(x) for x in (values[0], values[-1]))
    return int(values.size), first, last


def _statistics(manifest: Manifest) -> Iterator[str]:
    """Yield the names of the statistics, with variables where statistics differ by variable."""
    told = (manifest.statistics or {}).get("of", [])
    for variable, entries in told.items() if isinstance(told, Mapping) else [(None, told)]:
        for entry in entries if isinstance(entries, list) else []:
            name = str(entry.get("name")) if isinstance(entry, Mapping) else show(entry)
            yield name if variable is None else f"{name} of {variable}"


def _cut(text: str) -> str:
    """Shorten a text, which comes from the store and may be of any length."""
    return (
        text if len(text) <= PRINTED_CHARACTERS_MAX else text[: PRINTED_CHARACTERS_MAX - 3] + "..."
    )


def _storage(storage: Mapping[str, Any]) -> str:
    """Return the fields that are not the default, as text."""
    chosen = {name: value for name, value in storage.items() if value is not None}
    said = ", ".join(f"{name} {value}" for name, value in chosen.items())
    exact = {"dtype", "keep_bits"}.isdisjoint(chosen)
    plain = "uncompressed" if "compression" not in chosen else ""
    return ", ".join(part for part in ("exact" if exact else "", said, plain) if part)


def _environment(environment: Mapping[str, Any]) -> str:
    names = {"python": "Python", "numpy": "NumPy", "numba": "Numba"}
    known = [f"{title} {environment.get(name)}" for name, title in names.items()]
    return f"{', '.join(known)} on {environment.get('system')} {environment.get('machine')}"
