"""A writer at work: it alone commits and publishes, and it is the only one, by the lock."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from montezarr._html import show_bytes
from montezarr._notices import say
from montezarr.backends import Backend, windowed
from montezarr.cost import expected
from montezarr.errors import MontezarrError, StoreError
from montezarr.parameters import array_of
from montezarr.reduce import Layout
from montezarr.run._run import Run
from montezarr.runs import Tally
from montezarr.store import _faults
from montezarr.store._host import host
from montezarr.store._put_results import merge_states, put_results
from montezarr.store._source import Source
from montezarr.store._stop import LeaveAtOnce, Stop
from montezarr.store._task import ChunkTask
from montezarr.store._values import items, span
from montezarr.store.format import (
    JOURNAL,
    STATES,
    ChunkRecord,
    Ledger,
    _journal,
    _parameters,
    environment,
)
from montezarr.store.places import Place
from montezarr.watch import Watch

EVERY = 0.2
"""Seconds between two times that readers are told; what is committed is so before."""

LITTLE = 2**16
"""Bytes that metadata and the journal may need when all chunks are there."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Session:
    """Writes one store; its place is locked.

    Parameters
    ----------
    place : Place
        Where.
    ledger : Ledger
        What is committed.
    durable : bool
        Whether what is committed outlives a loss of power.
    call : str
        The line that goes on, where this one is stopped.
    """

    def __init__(self, place: Place, ledger: Ledger, durable: bool, call: str):
        self.place, self.ledger, self.durable, self.call = place, ledger, durable, call
        self._written: dict[str, bytes] = {}
        self._number = 0
        self._published, self._publications = 0.0, 0

    @property
    def manifest(self) -> Any:
        """What the store holds."""
        return self.ledger.manifest

    def begin(self) -> None:
        """Make a new store: parameters, the journal, which says what it is, and last the root.

        Raises
        ------
        ArgumentValueError
            If a file of it would have a name that is too long for the system.
        """
        last = self.manifest.chunk_count(self.ledger.target)
        for array in self.manifest.arrays:
            self.place.check_key_fits(array.key(last))
        with self._tidy():
            _faults.reach("create.before")
            for key in [key for key in self.place.objects() if _parameters.is_key(key)]:
                self.place.delete(key)  # of a writer of another recipe, killed at this point
            self._put_parameters(self.manifest.references)
            _faults.reach("create.parameters")
            self.rewrite()
            _faults.reach("create.journal")
            self.publish()
            _faults.reach("create.after")

    def resume(self, *, parameters: bool = True) -> None:
        """Take up a store: nothing half done is left, and the metadata say what is committed.

        Parameters
        ----------
        parameters : bool
            Whether lost parameters are written again, or the caller has seen to them.
        """
        with self._tidy():
            self.place.clean()
            if parameters:
                self._mend_parameters()
            self._mend_journal()
            self._drop_strays()
            self._note_environment()
            self.publish()

    def mend_parameters(self, damaged: Iterable[Any]) -> None:
        """Write parameters again that are damaged.

        Raises
        ------
        ReplayError, StoreError
            If one of them is nowhere to be had.
        """
        with self._tidy():
            self._put_parameters(damaged)

    def _mend_parameters(self) -> None:
        """Write parameters again that are lost, where they are at hand."""
        lost = _parameters.lost(self.place, self.manifest.references)
        self._put_parameters(reference for reference, _ in lost)

    def _put_parameters(self, references: Iterable[Any]) -> None:
        """Write parameters, which must be there before anything refers to them."""
        own = self.manifest.parameters
        for reference in references:
            values = array_of(reference, own)
            key = _parameters.key_of(reference)
            self.place.put(key, [values], durable=self.durable, number=-1)

    def _mend_journal(self) -> None:
        """Have nothing torn at the end, behind which a record would be lost."""
        if self.ledger.bad or self.ledger.torn:
            self.rewrite()

    def settle(self) -> None:
        """Set right what may be left of a store that is complete: its last writer may be dead."""
        with self._tidy():
            self._mend_parameters()
            if not self.ledger.in_order():
                self.rewrite()
            self._drop_strays()
            self.publish()

    def mend(self) -> None:
        """Note that a store that was complete is not, until `finish`; what is lost is not there."""
        with self._tidy():
            self.ledger.mending, self.ledger.complete = self.ledger.target, None
            self.rewrite()

    def rewrite(self) -> None:
        """Write the journal anew, without what is torn or said twice."""
        data = _journal.lines_of(self.ledger.records())
        self.place.put_log(JOURNAL, data, durable=self.durable)
        self.ledger.end, self.ledger.bad, self.ledger.torn = len(data), 0, False

    def aim(self, target: int) -> None:
        """Say how many paths there are to be, of a store whose parameters are all there.

        Raises
        ------
        ReplayError, StoreError
            If one of them is nowhere to be had: then the store stays as it is.
        """
        with self._tidy():
            self._mend_parameters()
            self._mend_journal()
            self.ledger.target, self.ledger.complete, self.ledger.mending = target, None, None
            self._append({"target": target})

    def run(
        self,
        source: Source,
        backend: Backend,
        chunks: Iterable[int],
        watch: Watch,
        stop: Stop,
        per_task: int = 1,
    ) -> Tally:
        """Draw and write chunks, and commit each when it is there.

        Raises
        ------
        StoreError
            If the disk is full; with the bytes that are needed.
        """
        ledger, manifest, tally = self.ledger, self.manifest, Tally()
        for record in ledger.chunks.values():
            tally.masked.update({int(path): reason for path, reason in record.masked.items()})
        light = replace(manifest, parameters={})  # no task needs them
        task = ChunkTask(source.chunk_values(light), self.place, self.durable)
        tasks = items(source.run, manifest, ledger.target, list(chunks), per_task)
        watch(ledger.committed, ledger.target, len(tally.masked))
        watch.process = source.run.sampler.name
        watch.planned = partial(_planned, source.run, ledger, backend)
        with self._tidy(watch):
            try:
                with backend.running(), _killed_when_left(backend):
                    results = windowed(backend, task, tasks, span, stopping=stop, watch=watch)
                    with _closed(results):
                        for _, (records, report) in results:
                            tally.add(report)
                            for chunk, record in records:
                                self.commit(chunk, record)
                                watch.bytes_written += sum(
                                    size for size, *_ in record.files.values()
                                )
                            watch(ledger.committed, ledger.target, len(tally.masked))
            finally:
                with contextlib.suppress(OSError):  # it may be that of a full disk
                    self.publish()
        return tally

    def commit(self, chunk: int, record: ChunkRecord, environment: int | None = None) -> None:
        """Say that a chunk is there. From here on it is never lost, and never said otherwise."""
        _faults.reach("commit.before", chunk)
        number = self._number if environment is None else environment
        record = replace(record, environment=number)
        self._append(record.to_dict(chunk))
        self.ledger.put(chunk, record)
        _faults.reach("commit.after", chunk)
        if time.monotonic() - self._published > EVERY:
            self.publish()

    def publish(self) -> None:
        """Let readers see what is committed: the arrays first, the root last."""
        ledger = self.ledger
        # Of a store that was complete, chunks may be gone.
        complete = ledger.is_complete and ledger.shown == ledger.target
        files = self.manifest.files(ledger.shown, ledger.target, ledger.committed, complete)
        self._published = time.monotonic()
        number, self._publications = self._publications, self._publications + 1
        _faults.reach("publish.before", number)
        for key, data in files.items():
            if key == "zarr.json":
                _faults.reach("publish.arrays", number)
            if key not in self._written:
                self._written[key] = self.place.get(key) or b""
            if self._written[key] != data:
                self.place.put(key, [data], durable=self.durable, number=-1)
                self._written[key] = data
        _faults.reach("publish.after", number)

    def finish(self, source: Source | None) -> None:
        """When all chunks are there: the statistics, the journal in order, and the root."""
        ledger = self.ledger
        with self._tidy():
            _faults.reach("finish.before")
            if source is not None and source.layout is not None:
                self._finish_statistics(source.layout)
            _faults.reach("finish.statistics")
            if not ledger.is_complete:  # it may have been, with fewer paths
                ledger.complete = None
            self.rewrite()
            _faults.reach("finish.journal")
            self._drop_strays()
            known, ledger.complete = ledger.complete, ledger.target
            self.publish()
            self.place.clean()
            # Last, since nothing is done any more to a store of which the journal says this.
            if ledger.mending is not None:
                ledger.mending = None
                self.rewrite()
            elif known != ledger.target:
                self._append({"complete": ledger.target})
            _faults.reach("finish.after")

    def _finish_statistics(self, layout: Layout) -> None:
        """Merge the states, and write the results; those of fewer paths hold no longer."""
        before = self.ledger.states
        results = merge_states(self.place, self.ledger, layout, self.durable)
        if self.ledger.statistics is not None:
            self.ledger.statistics = None
            self._append({"statistics": None})
        files = put_results(self.place, results, self.durable)
        if self.ledger.states != before and self.ledger.states is not None:
            self._append({"states": list(self.ledger.states)})
        self.ledger.statistics = files

    @contextlib.contextmanager
    def _tidy(self, watch: Watch | None = None) -> Iterator[None]:
        """Leave nothing half done, and say of a full disk what it has to have."""
        try:
            yield
        except OSError as error:
            is_of_display = watch is not None and error is watch.display_error
            if error.errno is None or is_of_display or isinstance(error, MontezarrError):
                raise
            if error.errno in NO_ROOM:
                raise self._no_room(error) from error
            raise self._refused(error) from error
        finally:
            self.place.clean()

    def _append(self, record: Any) -> None:
        line = _journal.line_of(record)
        self.place.append(JOURNAL, line, durable=self.durable)
        self.ledger.end += len(line)

    def _note_environment(self) -> None:
        """Have the number of the environment of this process, a new one if need be."""
        known, mine = self.ledger.environments, environment()
        if mine not in known:
            known.append(mine)
            self._append({"environment": mine})
        self._number = known.index(mine)

    def _drop_strays(self) -> None:
        """Take away states of statistics that are merged, or were never committed."""
        if self.manifest.statistics is None:
            return
        known = self.ledger.files()
        for key in [key for key in self.place.objects() if key.startswith(f"{STATES}/")]:
            if key not in known:
                self.place.delete(key)

    def _no_room(self, error: OSError) -> StoreError:
        ledger = self.ledger
        needed = max(ledger.bytes_needed(), LITTLE)
        free = self.place.free_bytes()
        room = "" if free is None else f", {show_bytes(free)} are free"
        return StoreError(
            f"path: expected room for {show_bytes(needed)} more, got {error.strerror}:"
            f" {self.place}{room}. {ledger.committed:,} of {ledger.target:,} paths are committed,"
            f" and can be read. Make room, and call it again: {self.call} goes on."
        )

    def _refused(self, error: OSError) -> StoreError:
        """Return what to say of what the system refuses: descriptors, rights, the disk itself."""
        ledger = self.ledger
        where = f" at {error.filename}" if isinstance(error.filename, str) else ""
        return StoreError(
            f"path: expected to go on writing, got {error.strerror}{where}: {self.place}."
            f" {ledger.committed:,} of {ledger.target:,} paths are committed. When the cause is"
            f" gone, call it again: {self.call} goes on."
        )

    def say_resume(self) -> None:
        """Print the line that goes on, where anything is left to do."""
        ledger = self.ledger
        if ledger.is_complete:
            return
        say(
            f"montezarr: stopped; {ledger.committed:,} of {ledger.target:,} paths are committed."
            f" To go on: {host.get().resume(self.call)}"
        )


def _planned(run: Run, ledger: Ledger, backend: Backend) -> dict[str, float | None]:
    """Return what is known of the rest of a store before it is written."""
    return {
        "paths": ledger.target,
        "seconds": expected(run, backend, ledger.target - ledger.committed),
        "memory": run.working_bytes * min(backend.workers, run.n_chunks),
        "store": ledger.bytes_needed(),
    }


@contextlib.contextmanager
def _closed(results: Any) -> Iterator[None]:
    """Wait for what runs after an error here; not when a second signal says to leave at once."""
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
        backend.kill()  # threads cannot be killed, but with the session ends their way to the store
        raise
