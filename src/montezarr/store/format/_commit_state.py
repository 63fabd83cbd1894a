"""The commit state: the content of the commit log, and the log of a complete store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from montezarr.core.errors import StoreError
from montezarr.core.json import load_object
from montezarr.core.tunables.limits import GRAPH_CHUNKS_MAX, MAX_EVENTS_MAX
from montezarr.store.format import _commit_log, _parameters
from montezarr.store.format._commit_log import COMMIT_LOG, Record
from montezarr.store.format._layout import PATH
from montezarr.store.format._manifest import MANIFEST, STORE_PATHS_MAX, Manifest
from montezarr.store.locations import ReadableLocation, check_key

STATES = "montezarr/states"

Checksum = tuple[int, str]
"""Size and digest of a file."""


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """The record of a written chunk.

    Attributes
    ----------
    n : int
        Number of paths; less than a chunk at the end of the run.
    files : dict of str to (int, str)
        Size and digest of the file of each variable.
    masked : dict of str to str
        The reason of each masked path.
    environment : int
        Number of the environment in which it was drawn.
    state : (int, str) or None
        Size and digest of the file of its states of statistics, until these are merged.
    """

    n: int
    files: Mapping[str, Checksum]
    masked: Mapping[str, str] = field(default_factory=dict)
    environment: int = 0
    state: Checksum | None = None

    def to_dict(self, chunk: int) -> dict[str, Any]:
        """Return it as a record of the commit log."""
        out: dict[str, Any] = {"chunk": chunk, "n": self.n, "files": _lists(self.files)}
        if self.masked:
            out["masked"] = dict(self.masked)
        if self.environment:
            out["environment"] = self.environment
        if self.state is not None:
            out["state"] = list(self.state)
        return out

    @classmethod
    def from_dict(cls, data: Record) -> ChunkRecord:
        """Restore a record from `to_dict`."""
        state = data.get("state")
        return cls(
            n=int(data["n"]),
            files={str(key): _checksum(checksum) for key, checksum in data["files"].items()},
            masked=dict(data.get("masked", {})),
            environment=int(data.get("environment", 0)),
            state=None if state is None else _checksum(state),
        )


@dataclass
class CommitState:
    """What is committed in a store.

    Attributes
    ----------
    manifest : Manifest
        The manifest of the store.
    target : int
        Target number of paths.
    chunks : dict of int to ChunkRecord
        Records of the written chunks.
    environments : list of dict
        Environments in which chunks were drawn.
    states : (int, int, str) or None
        Number of chunks whose states are merged, and size and digest of that file.
    statistics : dict of str to (int, str), or None
        Files of the results of the statistics.
    complete : int or None
        Number of paths for which the store was complete.
    mending : int or None
        Number of paths for which the store was complete before a repair that has begun.
    bad : int
        Number of damaged lines in the commit log.
    end : int
        Bytes of the commit log up to the end of the last record, where a writer appends.
    lines : int
        Number of records in the commit log.
    torn : bool
        Whether a killed writer left bytes behind the last record.
    knows_target : bool
        Whether the commit log has the target; else it is taken from the chunks.
    committed : int
        Number of committed paths.
    """

    manifest: Manifest
    target: int = 0
    chunks: dict[int, ChunkRecord] = field(default_factory=dict)
    environments: list[Mapping[str, Any]] = field(default_factory=list)
    states: tuple[int, int, str] | None = None
    statistics: dict[str, Checksum] | None = None
    complete: int | None = None
    mending: int | None = None
    bad: int = 0
    end: int = 0
    lines: int = 0
    torn: bool = False
    knows_target: bool = True
    committed: int = field(default=0, init=False)
    _whole: int = field(default=0, init=False)

    @classmethod
    def read(cls, location: ReadableLocation) -> Self | None:
        """Return the commit state of a store, or None if there is none.

        Raises
        ------
        StoreError
            If neither the commit log nor the manifest can be read.
        """
        data, text = location.read_log(COMMIT_LOG), None
        if data is None:
            text = location.get(MANIFEST)
            if text is None:
                return None
            data = location.read_log(COMMIT_LOG)  # a writer may have begun between the two reads
        records, end, bad = _commit_log.read_records(data or b"")
        head = next((r["manifest"] for r in records if "manifest" in r), None)
        if head is None:
            text = location.get(MANIFEST) if text is None else text
            if text is None:
                raise StoreError(
                    f"path: expected a commit log with a manifest, got a damaged one: {location}."
                    " Nothing tells any more what the store holds."
                )
            head = load_object(text, f"{location}/{MANIFEST}")
            bad += 1
        commits = cls(Manifest.from_dict(head, str(location)), bad=bad, end=end)
        _parameters.remember_parameters(location, commits.manifest.references)
        commits.lines = len(records)
        commits.torn = len(data or b"") != end
        commits.environments = [commits.manifest.environment]
        for record in records:
            try:
                commits._take(record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                commits.bad += 1
        commits.knows_target = commits.target > 0
        if not commits.target and commits.chunks:
            last = max(commits.chunks)
            commits.target = last * commits.manifest.chunk + commits.chunks[last].n
        return commits

    def check(self, location: ReadableLocation) -> None:
        """Raise if the commit log does not tell the target number of paths.

        Raises
        ------
        StoreError
            If so.
        """
        if self.target < 1:
            raise StoreError(
                f"path: expected a commit log, got a damaged one: {location}."
                " Call montezarr.repair."
            )

    def _take(self, record: Record) -> None:
        if "chunk" in record:
            chunk, found = int(record["chunk"]), ChunkRecord.from_dict(record)
            good = self._are_files_of(chunk, found.files)
            if chunk < 0 or not 0 < found.n <= self.manifest.chunk or not good:
                raise ValueError(f"chunk {chunk}")
            self.put(chunk, found)
        elif "target" in record:
            target = int(record["target"])
            if (
                not 0 < target <= STORE_PATHS_MAX
                or self.manifest.chunk_count(target) > GRAPH_CHUNKS_MAX
            ):
                raise ValueError(f"target {target}")
            self.target, self.complete, self.mending = target, None, None
        elif "rooms" in record:
            rooms = {str(dim): int(room) for dim, room in record["rooms"].items()}
            known = {dim for array in self.manifest.arrays for dim in array.dims} - {PATH}
            if not known.issuperset(rooms) or max(rooms.values(), default=1) > MAX_EVENTS_MAX:
                raise ValueError(f"rooms {rooms}")
            self.manifest = self.manifest.with_rooms(rooms)
        elif "mending" in record:
            self.mending = int(record["mending"])
        elif "environment" in record:
            self.environments.append(dict(record["environment"]))
        elif "states" in record:
            count, size, digest = record["states"]
            self.states = int(count), int(size), str(digest)
        elif "statistics" in record and record["statistics"] is None:
            self.statistics = None
        elif "statistics" in record:
            files = {check_key(str(k)): _checksum(v) for k, v in record["statistics"].items()}
            if not all(key.startswith("statistics/") for key in files):
                raise ValueError("statistics")
            self.statistics = files
        elif "complete" in record:
            self.complete, self.mending = int(record["complete"]), None

    def _are_files_of(self, chunk: int, files: Mapping[str, Checksum]) -> bool:
        """Return whether these are the files of a chunk; it has fewer pieces from before growth."""
        left = set(files)
        for array in self.manifest.arrays:
            keys = array.keys(chunk)
            there = sum(key in left for key in keys)
            if not there or not left.issuperset(keys[:there]):
                return False
            left.difference_update(keys)
        return not left

    def records(self) -> Iterator[Record]:
        """Yield the records of a complete store: in order, each once."""
        yield {"manifest": self.manifest.to_dict()}
        yield {"target": self.target}
        if self.manifest.rooms:
            yield {"rooms": self.manifest.rooms}
        if self.mending is not None:
            yield {"mending": self.mending}
        for found in self.environments[1:]:
            yield {"environment": found}
        for chunk in sorted(self.chunks):
            yield self.chunks[chunk].to_dict(chunk)
        if self.states is not None:
            yield {"states": list(self.states)}
        if self.statistics is not None:
            yield {"statistics": _lists(self.statistics)}
        if self.complete is not None:
            yield {"complete": self.complete}

    @property
    def n_chunks(self) -> int:
        """Number of chunks of the target."""
        return self.manifest.chunk_count(self.target)

    @property
    def is_complete(self) -> bool:
        """Whether all paths and statistics are written."""
        return self.complete == self.target

    @property
    def was_complete(self) -> bool:
        """Whether the store is complete, or was so before an unfinished repair."""
        return self.target in (self.complete, self.mending)

    @property
    def lacks_results(self) -> bool:
        """Whether results of statistics are missing."""
        return self.manifest.statistics is not None and self.statistics is None

    def in_order(self) -> bool:
        """Drop merged states; return whether the log has all records, in order and once."""
        merged = 0 if self.states is None else self.states[0]
        old = [c for c, r in self.chunks.items() if c < merged and r.state is not None]
        for chunk in old:
            self.chunks[chunk] = replace(self.chunks[chunk], state=None)
        same = self.lines == sum(1 for _ in self.records())
        return same and not (old or self.bad or self.torn)

    @property
    def merged_key(self) -> str:
        """Key of the file of the merged states, with the number of chunks in it.

        So a run that is killed between this file and the commit log still has the file of its log.
        """
        return f"{STATES}/merged-{0 if self.states is None else self.states[0]}"

    def is_done(self, chunk: int) -> bool:
        """Return whether a chunk is written with all of its paths."""
        record = self.chunks.get(chunk)
        return record is not None and record.n == self.manifest.paths_in(chunk, self.target)

    def missing(self) -> list[int]:
        """Return the chunks that are not done."""
        return [chunk for chunk in range(self.n_chunks) if not self.is_done(chunk)]

    def bytes_needed(self) -> int:
        """Return the uncompressed bytes of the missing chunks."""
        manifest = self.manifest
        chunk = 0
        for array in manifest.arrays:
            size = manifest.chunk_file_bytes(array)
            plain = array.chunk_bytes(manifest.chunk, manifest.storage)
            chunk += array.pieces * (plain if size is None else size)
        return len(self.missing()) * chunk

    def put(self, chunk: int, record: ChunkRecord) -> None:
        """Add the record of a chunk."""
        before = self.chunks.get(chunk)
        self.committed += record.n - (0 if before is None else before.n)
        self.chunks[chunk] = record

    def drop(self, chunk: int) -> None:
        """Remove the record of a chunk."""
        record = self.chunks.pop(chunk, None)
        if record is not None:
            self.committed -= record.n
            self._whole = min(self._whole, chunk)

    @property
    def shown(self) -> int:
        """Number of paths up to the first missing one."""
        size = self.manifest.chunk
        while (record := self.chunks.get(self._whole)) is not None and record.n == size:
            self._whole += 1
        return self._whole * size + (0 if record is None else record.n)

    def left_out(self, chunks: Iterable[int]) -> Iterator[str]:
        """Yield the keys of pieces that chunks have not, written before the room for events grew.

        They are padding: a reader has the fill value there.
        """
        if not self.manifest.rooms:
            return
        for chunk in chunks:
            known = self.chunks[chunk].files
            for array in self.manifest.arrays:
                yield from (key for key in array.keys(chunk) if key not in known)

    def files(self) -> dict[str, Checksum]:
        """Return size and digest of all files that must agree with the commit log.

        A last chunk that will get more paths is left out: it may have been drawn again.
        """
        out: dict[str, Checksum] = {}
        for chunk, record in self.chunks.items():
            if self.is_done(chunk):
                out |= record.files
                if record.state is not None:
                    out[f"{STATES}/{chunk}"] = record.state
        if self.states is not None:
            out[self.merged_key] = self.states[1:]
        return out | (self.statistics or {})


def _checksum(data: Any) -> Checksum:
    size, digest = data
    return int(size), str(digest)


def _lists(files: Mapping[str, Checksum]) -> dict[str, list[Any]]:
    return {key: list(checksum) for key, checksum in sorted(files.items())}
