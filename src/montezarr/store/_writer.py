"""The writer of a store: only it commits and publishes, and the lock keeps it the only one."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from montezarr.core.errors import MontezarrError, StoreError
from montezarr.core.notices import print_notice
from montezarr.core.parameters import array_of
from montezarr.core.text import show_bytes
from montezarr.core.tunables.stores import METADATA_ROOM_BYTES
from montezarr.core.tunables.waiting import PUBLISH_SECONDS
from montezarr.execute import Backend
from montezarr.execute.run_monitor import RunMonitor
from montezarr.reduction.passes import Layout
from montezarr.run._run import Run
from montezarr.run.cost import expected
from montezarr.run.execution import FailureLog
from montezarr.run.in_parts import part_of_block, results_of
from montezarr.store import _faults
from montezarr.store._interrupt_handler import InterruptHandler, LeaveAtOnce
from montezarr.store._interrupt_listener import interrupt_listener
from montezarr.store._put_results import merge_states, put_results
from montezarr.store._source import ChunkSource
from montezarr.store._task import ChunkTask
from montezarr.store._values import items
from montezarr.store.format import (
    COMMIT_LOG,
    STATES,
    ChunkRecord,
    CommitState,
    _commit_log,
    _parameters,
    environment,
)
from montezarr.store.locations import Location

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Writer:
    """Writes one store, whose location is locked.

    Parameters
    ----------
    location : Location
        The location of the store.
    commits : CommitState
        The commit state of the store.
    durable : bool
        Whether committed chunks survive a loss of power.
    call : str
        The call that resumes, if this one is stopped.
    """

    def __init__(self, location: Location, commits: CommitState, durable: bool, call: str):
        self.location, self.commits, self.durable, self.call = location, commits, durable, call
        self._written: dict[str, bytes] = {}
        self._number = 0
        self._published, self._publications = 0.0, 0

    @property
    def manifest(self) -> Any:
        """The manifest of the store."""
        return self.commits.manifest

    def begin(self) -> None:
        """Create a store: first parameters, then the commit log with the manifest, last the root.

        Raises
        ------
        ArgumentValueError
            If a file would have a name that is too long for the system.
        """
        last = self.manifest.chunk_count(self.commits.target)
        for array in self.manifest.arrays:
            self.location.check_key_fits(array.key(last))
        with self._tidy():
            _faults.reach("create.before")
            for key in [key for key in self.location.objects() if _parameters.is_key(key)]:
                self.location.delete(key)  # left by a writer of another recipe that was killed here
            self._put_parameters(self.manifest.references)
            _faults.reach("create.parameters")
            self.rewrite()
            _faults.reach("create.journal")
            self.publish()
            _faults.reach("create.after")

    def resume(self, *, parameters: bool = True) -> None:
        """Resume a store: remove temporary files, and publish what is committed.

        Parameters
        ----------
        parameters : bool
            Whether to write lost parameters again; False if the caller has done so.
        """
        with self._tidy():
            self.location.clean()
            if parameters:
                self._restore_lost_parameters()
            self._mend_commit_log()
            self._drop_strays()
            self._note_environment()
            self.publish()

    def write_parameters(self, damaged: Iterable[Any]) -> None:
        """Write damaged parameters again.

        Raises
        ------
        ReplayError, StoreError
            If one of them is not at hand.
        """
        with self._tidy():
            self._put_parameters(damaged)

    def _restore_lost_parameters(self) -> None:
        """Write lost parameters again, if they are at hand."""
        lost = _parameters.lost(self.location, self.manifest.references)
        self._put_parameters(reference for reference, _ in lost)

    def _put_parameters(self, references: Iterable[Any]) -> None:
        """Write parameters, which must exist before anything refers to them."""
        own = self.manifest.parameters
        for reference in references:
            values = array_of(reference, own)
            key = _parameters.key_of(reference)
            self.location.put(key, [values], durable=self.durable, number=-1)

    def _mend_commit_log(self) -> None:
        """Remove a torn line at the end of the commit log, behind which a record would be lost."""
        if self.commits.bad or self.commits.torn:
            self.rewrite()

    def settle(self) -> None:
        """Clean up a complete store whose last writer may have died before its end."""
        with self._tidy():
            self._restore_lost_parameters()
            if not self.commits.in_order():
                self.rewrite()
            self._drop_strays()
            self.publish()

    def mend(self) -> None:
        """Record that a store is under repair until `finish`; drop lost chunks."""
        with self._tidy():
            self.commits.mending, self.commits.complete = self.commits.target, None
            self.rewrite()

    def rewrite(self) -> None:
        """Rewrite the commit log, without torn lines and superseded records."""
        data = _commit_log.lines_of(self.commits.records())
        self.location.put_log(COMMIT_LOG, data, durable=self.durable)
        self.commits.end, self.commits.bad, self.commits.torn = len(data), 0, False

    def aim(self, target: int) -> None:
        """Set the target number of paths of a store, once all of its parameters exist.

        Raises
        ------
        ReplayError, StoreError
            If one of them is not at hand; the store is then unchanged.
        """
        with self._tidy():
            self._restore_lost_parameters()
            self._mend_commit_log()
            self.commits.target, self.commits.complete, self.commits.mending = target, None, None
            self._append({"target": target})

    def enlarge(self, rooms: Mapping[str, int]) -> None:
        """Make more room for events, by dimension; committed chunks stay as they are."""
        larger = self.manifest.with_rooms(rooms)
        if self.commits.end == 0 or larger.rooms == self.manifest.rooms:
            return
        with self._tidy():
            self._mend_commit_log()
            self.commits.manifest = larger
            self._append({"rooms": larger.rooms})

    def run(
        self,
        source: ChunkSource,
        backend: Backend,
        chunks: Iterable[int],
        monitor: RunMonitor,
        stop: InterruptHandler,
        per_task: int = 1,
    ) -> FailureLog:
        """Draw and write chunks, and commit each of them.

        Raises
        ------
        StoreError
            If the disk is full; with the bytes needed.
        """
        commits, manifest, failure_log = self.commits, self.manifest, FailureLog()
        for record in commits.chunks.values():
            failure_log.masked.update({int(path): reason for path, reason in record.masked.items()})
        light = replace(manifest, parameters={})  # tasks do not need them
        task = ChunkTask(source.chunk_values(light), self.location, self.durable)
        tasks = items(source.run, manifest, commits.target, list(chunks), per_task)
        monitor(commits.committed, commits.target, len(failure_log.masked))
        monitor.process = source.run.sampler.title
        monitor.planned = partial(_planned, source.run, commits, backend)
        with self._tidy(monitor):
            try:
                with backend.running(), _killed_when_left(backend):
                    part = part_of_block(source.run, backend)
                    results = results_of(
                        backend, source.run.sampler, part, task, tasks, monitor, stopping=stop
                    )
                    with _closed(results):
                        for _, _, result in results:
                            if result is None:
                                continue  # some paths of the chunk are missing
                            records, report = result
                            failure_log.add(report)
                            for chunk, record in records:
                                self.commit(chunk, record)
                                monitor.bytes_written += sum(
                                    size for size, *_ in record.files.values()
                                )
                            monitor(commits.committed, commits.target, len(failure_log.masked))
            finally:
                with contextlib.suppress(OSError):  # the disk may be full
                    self.publish()
        return failure_log

    def commit(self, chunk: int, record: ChunkRecord, environment: int | None = None) -> None:
        """Record a written chunk in the commit log: from here on it is never lost."""
        _faults.reach("commit.before", chunk)
        number = self._number if environment is None else environment
        record = replace(record, environment=number)
        self._append(record.to_dict(chunk))
        self.commits.put(chunk, record)
        _faults.reach("commit.after", chunk)
        if time.monotonic() - self._published > PUBLISH_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Publish what is committed: the arrays first, the root last."""
        commits = self.commits
        # Chunks of a store that was complete may be lost.
        complete = commits.is_complete and commits.shown == commits.target
        files = self.manifest.files(commits.shown, commits.target, commits.committed, complete)
        self._published = time.monotonic()
        number, self._publications = self._publications, self._publications + 1
        _faults.reach("publish.before", number)
        for key, data in files.items():
            if key == "zarr.json":
                _faults.reach("publish.arrays", number)
            if key not in self._written:
                self._written[key] = self.location.get(key) or b""
            if self._written[key] != data:
                self.location.put(key, [data], durable=self.durable, number=-1)
                self._written[key] = data
        _faults.reach("publish.after", number)

    def finish(self, source: ChunkSource | None) -> None:
        """If no chunk is missing, write the statistics, the ordered commit log, and the root."""
        commits = self.commits
        with self._tidy():
            _faults.reach("finish.before")
            if source is not None and source.layout is not None:
                self._finish_statistics(source.layout)
            _faults.reach("finish.statistics")
            if not commits.is_complete:  # it may be complete already, or was so with fewer paths
                commits.complete = None
            self.rewrite()
            _faults.reach("finish.journal")
            self._drop_strays()
            known, commits.complete = commits.complete, commits.target
            self.publish()
            self.location.clean()
            # Last, since a store is not touched any more once the commit log says this.
            if commits.mending is not None:
                commits.mending = None
                self.rewrite()
            elif known != commits.target:
                self._append({"complete": commits.target})
            _faults.reach("finish.after")

    def _finish_statistics(self, layout: Layout) -> None:
        """Merge the states, and write the results, which replace those of fewer paths."""
        before = self.commits.states
        results = merge_states(self.location, self.commits, layout, self.durable)
        if self.commits.statistics is not None:
            self.commits.statistics = None
            self._append({"statistics": None})
        files = put_results(self.location, results, self.durable)
        if self.commits.states != before and self.commits.states is not None:
            self._append({"states": list(self.commits.states)})
        self.commits.statistics = files

    @contextlib.contextmanager
    def _tidy(self, monitor: RunMonitor | None = None) -> Iterator[None]:
        """Remove temporary files at the end, and turn disk errors into messages with the remedy."""
        try:
            yield
        except OSError as error:
            is_of_display = monitor is not None and error is monitor.display_error
            if error.errno is None or is_of_display or isinstance(error, MontezarrError):
                raise
            if error.errno in NO_ROOM:
                raise self._no_room(error) from error
            raise self._refused(error) from error
        finally:
            self.location.clean()

    def _append(self, record: Any) -> None:
        line = _commit_log.record_line(record)
        self.location.append(COMMIT_LOG, line, durable=self.durable)
        self.commits.end += len(line)

    def _note_environment(self) -> None:
        """Set the number of the environment of this process, recording a new one if necessary."""
        known, mine = self.commits.environments, environment()
        if mine not in known:
            known.append(mine)
            self._append({"environment": mine})
        self._number = known.index(mine)

    def _drop_strays(self) -> None:
        """Delete states of statistics that are merged, or were never committed."""
        if self.manifest.statistics is None:
            return
        known = self.commits.files()
        for key in [key for key in self.location.objects() if key.startswith(f"{STATES}/")]:
            if key not in known:
                self.location.delete(key)

    def _no_room(self, error: OSError) -> StoreError:
        commits = self.commits
        needed = max(commits.bytes_needed(), METADATA_ROOM_BYTES)
        free = self.location.free_bytes()
        room = "" if free is None else f", {show_bytes(free)} are free"
        return StoreError(
            f"path: expected room for {show_bytes(needed)} more, got {error.strerror}:"
            f" {self.location}{room}. {commits.committed:,} of {commits.target:,} paths are"
            f" committed, and can be read. Make room, and call it again: {self.call} goes on."
        )

    def _refused(self, error: OSError) -> StoreError:
        """Return the error of an operation refused by the system: descriptors, rights, disk."""
        commits = self.commits
        where = f" at {error.filename}" if isinstance(error.filename, str) else ""
        return StoreError(
            f"path: expected to go on writing, got {error.strerror}{where}: {self.location}."
            f" {commits.committed:,} of {commits.target:,} paths are committed. When the cause is"
            f" gone, call it again: {self.call} goes on."
        )

    def say_resume(self) -> None:
        """Print the call that resumes, if anything is left to do."""
        commits = self.commits
        if commits.is_complete:
            return
        print_notice(
            f"montezarr: stopped; {commits.committed:,} of {commits.target:,} paths are committed."
            f" To go on: {interrupt_listener.get().resume(self.call)}"
        )


def _planned(run: Run, commits: CommitState, backend: Backend) -> dict[str, float | None]:
    """Return the estimates of the rest of a store before it is written, for the run monitor."""
    return {
        "paths": commits.target,
        "seconds": expected(run, backend, commits.target - commits.committed),
        "memory": run.working_bytes * min(backend.workers, run.n_chunks),
        "store": commits.bytes_needed(),
    }


@contextlib.contextmanager
def _closed(results: Any) -> Iterator[None]:
    """Wait for running tasks after an error; not after a second signal, which leaves at once."""
    try:
        yield
    except Exception:
        results.close()
        raise


@contextlib.contextmanager
def _killed_when_left(backend: Backend) -> Iterator[None]:
    try:
        yield
    except LeaveAtOnce:
        backend.kill()  # threads cannot be killed, but without staging directory they cannot write
        raise
