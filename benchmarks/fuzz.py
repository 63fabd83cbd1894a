"""Fuzzers of all that reads what strangers wrote: zip, JSON, npz, TOML, CSV and packed chunks.

``python -m benchmarks.fuzz 10`` mutates good files for ten minutes each, in a process of its own,
and prints for each reader how often it ran, what it refused and how, the slowest run and the peak
of memory. A crash is a process that dies, or an error that is no documented one; a hang is a run of
more than `SLOW` seconds of work. Mutations come from a seed, so that each can be had again: by
``python -m benchmarks.fuzz 10 --reader npz --seed 3``. With ``--atheris`` inputs are chosen by the
coverage that they reach (libFuzzer), where that package is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

import montezarr as mz
from montezarr.cli import job
from montezarr.store._info import info

SLOW, PATIENCE = 5.0, 60.0
"""Seconds of work, and of the clock, from which a run counts as a hang."""

WORDS = (
    b"0", b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'""', b"9" * 30, b"9" * 5000, b"true",
    b"[" * 500, b'{"a":' * 500, b"\x00", b"\xff\xfe", b"..", b"/", b"\n", b",", b'"', b"'", b"=",
    b"[[", b"]]", b".a" * 40, b"2" * 19, b"0x" + b"f" * 300, b"\\u0000", b"\xef\xbb\xbf",
)  # fmt: skip
"""What readers stumble over."""

SIZES = (0, 1, 255, 2**16 - 1, 2**31 - 1, 2**32 - 1)

TOML = """
[data]
file = "prices.csv"
column = "close"
[process]
name = "GeometricBrownianMotion"
mu = 0.05
sigma = 0.2
[run]
n_paths = 5
T = 3
dt = "1/252"
seed = 1
x0 = 100.0
[output]
store = "out.zarr"
title = 'a "title"'
"""

DAYS = "".join(f"2024-01-{day:02},{day + 0.5},{100 + day % 7}\n" for day in range(1, 29))
CSV = f"date,open,close\n{DAYS}"

KNOWN = (mz.MontezarrError,)


@dataclass
class Reader:
    """One reader, and good files for it.

    Attributes
    ----------
    run : function of a folder and bytes
        Reads; errors of `KNOWN` are what it should raise.
    seeds : list of bytes
        Good files.
    mend : function of bytes, optional
        Makes checksums right again, so that what is behind them is reached.
    """

    run: Callable[[Path, bytes], Any]
    seeds: list[bytes]
    mend: Callable[[bytes], bytes] | None = None


def mutated(random_: random.Random, data: bytes) -> bytes:
    """Return some bytes changed in one to four ways."""
    out = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(out) + 1)
        way = random_.randrange(7)
        if way == 0 and out:
            out[at % len(out)] ^= 1 << random_.randrange(8)
        elif way == 1:
            out[at:at] = random_.choice(WORDS)
        elif way == 2:
            del out[at : at + random_.choice((1, 2, 16, len(out)))]
        elif way == 3:  # a part again, elsewhere
            low = random_.randrange(len(out) + 1)
            out[at:at] = out[low : low + random_.choice((1, 8, 64, 512))]
        elif way == 4:
            word = struct.pack(random_.choice(("<I", "<Q", ">I")), random_.choice(SIZES))
            out[at : at + len(word)] = word
        elif way == 5:  # another number
            digits = [i for i in range(len(out)) if 48 <= out[i] < 58] or [0]
            place = random_.choice(digits)
            out[place : place + 1] = random_.choice((b"0", b"9", b"-1", b"1e400", b"9" * 19, b"."))
        else:
            word = random_.choice(WORDS)
            out[at : at + len(word)] = word
    return bytes(out)


# --- readers ---------------------------------------------------------------------------------


def _written(folder: Path, **options: Any) -> Path:
    path = folder / "seed.zarr"
    ds = mz.simulate(mz.RandomWalk(), n_paths=1500, T=3, seed=1, chunks=1024)
    mz.write(ds, path, **options)
    return path


def _all_of(path: Any) -> None:
    for action in (
        lambda: mz.open(path).x[:3].compute(scheduler="synchronous"),
        lambda: mz.open(path, "statistics"),
        lambda: str(info(path)),
        lambda: mz.verify(path),
    ):
        with contextlib.suppress(*KNOWN):
            action()


def json_reader(folder: Path) -> Reader:
    """Return the reader of roots, manifests, journals and metadata of a store."""
    path = _written(folder, statistics=["mean", "median"])
    names = ["zarr.json", "x/zarr.json", "montezarr/journal", "montezarr/manifest.json",
             "statistics/zarr.json", "statistics/x_mean/zarr.json"]  # fmt: skip
    good = {name: (path / name).read_bytes() for name in names}

    def run(_: Path, data: bytes) -> None:
        name = names[data[0] % len(names)] if data else names[0]
        (path / name).write_bytes(data[1:])
        try:
            if name == "montezarr/manifest.json":  # which is read where the commit log is lost
                (path / "montezarr/journal").unlink()
            _all_of(path)
        finally:
            for other in (name, "montezarr/journal"):
                (path / other).write_bytes(good[other])

    def mend(data: bytes) -> bytes:
        if not data or names[data[0] % len(names)] != "montezarr/journal":
            return data
        texts = [line[9:] for line in data[1:].split(b"\n")[:-1]]
        lines = (b"%08x %s\n" % (google_crc32c.value(text), text) for text in texts)
        return data[:1] + b"".join(lines)

    return Reader(run, [bytes([i]) + good[name] for i, name in enumerate(names)], mend)


def virtual_reader(folder: Path) -> Reader:
    """Return the reader of the file of a VirtualStore, which is JSON, too."""
    seeds = []
    for process in (mz.RandomWalk(), mz.GeometricBrownianMotion(mu=0.1, sigma=0.2)):
        ds = mz.simulate(process, n_paths=1500, T=3, seed=1)
        mz.VirtualStore(ds).save(folder / "v.json")
        seeds.append((folder / "v.json").read_bytes())

    def run(where: Path, data: bytes) -> None:
        file = where / "virtual.json"
        file.write_bytes(data)
        mz.open(file)

    return Reader(run, seeds)


def npz_reader(folder: Path) -> Reader:
    """Return the reader of snapshots."""
    file = folder / "s.npz"
    ds = mz.simulate(mz.RandomWalk(), n_paths=None, T=3, seed=1)

    def stream(path: Any) -> Any:
        statistics = ["mean", "median", "max", mz.ExpectedShortfall(0.9)]
        return mz.stream(ds, statistics, until=mz.PathCount(2048), resume_from=path)

    with mz.backend("synchronous"):
        for found in stream(None):
            if found.paths == 1024:
                found.save(file)
    seed = file.read_bytes()

    def run(where: Path, data: bytes) -> None:
        (where / "state.npz").write_bytes(data)
        with mz.backend("synchronous"):
            for _ in stream(where / "state.npz"):
                pass

    return Reader(run, [seed], _zip_mended)


def _zip_mended(data: bytes) -> bytes:
    """Return a zip whose members have right checksums, as far as it is one."""
    try:
        out, names = BytesIO(), set()
        with zipfile.ZipFile(BytesIO(data)) as file, zipfile.ZipFile(out, "w") as other:
            for member in file.infolist():
                if member.filename in names:
                    continue
                names.add(member.filename)
                at = member.header_offset + 30 + len(member.filename.encode())
                length = struct.unpack("<H", data[member.header_offset + 28 :][:2])[0]
                other.writestr(member.filename, data[at + length :][: member.file_size])
        return out.getvalue()
    except Exception:  # no zip any more
        return data


def zip_reader(folder: Path) -> Reader:
    """Return the reader of a store in a zip, by the ZipStore of Zarr."""
    from zarr.storage import ZipStore

    path = _written(folder, storage=mz.Storage(compression="zstd"))
    seeds = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = BytesIO()
        with zipfile.ZipFile(out, "w", kind) as file:
            for member in sorted(path.rglob("*")):
                if member.is_file():
                    file.write(member, str(member.relative_to(path)))
        seeds.append(out.getvalue())

    def run(where: Path, data: bytes) -> None:
        (where / "a.zip").write_bytes(data)
        store = ZipStore(where / "a.zip", mode="r")
        try:
            _all_of(store)
        finally:
            if store._is_open:
                store.close()

    return Reader(run, seeds)


def chunk_reader(folder: Path) -> Reader:
    """Return the reader of chunks, by all codecs, with right checksums of what is packed."""
    paths, seeds = [], []
    for i, codec in enumerate(("zstd", "gzip", "blosc", None)):
        for inner in (None, 1024):
            (folder / f"{i}{inner}").mkdir()
            storage = mz.Storage(compression=codec, inner_chunk=inner)
            path = folder / f"{i}{inner}/seed.zarr"
            ds = mz.simulate(mz.RandomWalk(), n_paths=1500, T=3, seed=1, chunks=2048)
            mz.write(ds, path, storage=storage)
            seeds.append(bytes([len(paths)]) + (path / "x/c/0/0").read_bytes())
            paths.append(path)

    def run(_: Path, data: bytes) -> None:
        path = paths[data[0] % len(paths)] if data else paths[0]
        (path / "x/c/0/0").write_bytes(data[1:])
        for action in (
            lambda: mz.open(path).x[:3].compute(scheduler="synchronous"),
            lambda: mz.verify(path),
        ):
            try:
                action()
            except (*KNOWN, ValueError, RuntimeError, zlib.error):  # of a codec, of one chunk
                pass

    def mend(data: bytes) -> bytes:
        body = data[1:-4]
        return data[:1] + body + int(google_crc32c.value(body)).to_bytes(4, "little")

    return Reader(run, seeds, mend)


def toml_reader(folder: Path) -> Reader:
    """Return the reader of jobs."""

    def run(where: Path, data: bytes) -> None:
        (where / "job.toml").write_bytes(data)
        job.load(where / "job.toml")

    return Reader(run, [TOML.encode()])


def csv_reader(folder: Path) -> Reader:
    """Return the reader of prices."""

    def run(where: Path, data: bytes) -> None:
        (where / "job.toml").write_text(TOML)
        (where / "prices.csv").write_bytes(data)
        job.prepare(job.load(where / "job.toml"))

    return Reader(run, [CSV.encode(), "\ufeff1;2\n3;4\n".encode(), b"close\n1\n2\n"])


READERS: dict[str, Callable[[Path], Reader]] = {
    "zip": zip_reader,
    "json": json_reader,
    "virtual": virtual_reader,
    "npz": npz_reader,
    "chunk": chunk_reader,
    "toml": toml_reader,
    "csv": csv_reader,
}


# --- running ---------------------------------------------------------------------------------


def fuzz(name: str, seconds: float, seed: int = 0, runs: int | None = None) -> dict[str, Any]:
    """Run one reader on mutated files; return what happened.

    Parameters
    ----------
    name : str
        Which of `READERS`.
    seconds : float
        For how long at most.
    seed : int
        Of the mutations.
    runs : int, optional
        How many at most.
    """
    random_ = random.Random(f"{name}-{seed}")
    found: Counter[str] = Counter()
    crashes: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        reader = READERS[name](folder)
        for data in reader.seeds:
            with contextlib.suppress(*KNOWN):
                reader.run(folder, data)
        before = _peak()
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end and (runs is None or count < runs):
            data = mutated(random_, random_.choice(reader.seeds))
            if reader.mend is not None and random_.random() < 0.7:
                data = reader.mend(data)
            started, worked = time.monotonic(), time.process_time()
            try:
                with np.errstate(all="ignore"):  # of numbers that are none
                    reader.run(folder, data)
                found["read"] += 1
            except KNOWN:
                found["refused"] += 1
            except Exception as error:  # what is looked for
                crashes.append(f"{count}: {type(error).__name__}: {str(error)[:200]}")
            # Time of the processor: others may have it most of the time.
            taken = time.process_time() - worked
            slowest = max(slowest, taken)
            found["hangs"] += taken > SLOW or time.monotonic() - started > PATIENCE
            count += 1
    return {
        "reader": name, "runs": count, "read": found["read"], "refused": found["refused"],
        "crashes": len(crashes), "hangs": found["hangs"], "slowest": slowest,
        "memory": (_peak() - before) / 2**20, "peak": _peak() / 2**20, "errors": crashes[:10],
    }  # fmt: skip


def guided(name: str, seconds: float) -> None:
    """Run one reader on files that atheris chooses by the code that they reach."""
    import atheris

    with atheris.instrument_imports(include=["montezarr", "tomllib", "csv", "zipfile", "json"]):
        import importlib

        for module in ("tomllib._parser", "zipfile", "json.decoder"):
            importlib.reload(importlib.import_module(module))
    folder = Path(tempfile.mkdtemp())
    reader = READERS[name](folder)
    corpus = folder / "corpus"
    corpus.mkdir()
    for i, data in enumerate(reader.seeds):
        (corpus / str(i)).write_bytes(data)

    def one(data: bytes) -> None:
        if reader.mend is not None and len(data) % 2:
            data = reader.mend(data)
        with contextlib.suppress(*KNOWN):
            reader.run(folder, data)

    options = [f"-max_total_time={int(seconds)}", "-timeout=20", "-rss_limit_mb=2048"]
    atheris.Setup(["fuzz", *options, "-max_len=65536", "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _apart(name: str, seconds: float, seed: int) -> dict[str, Any]:
    """Run one reader in a process of its own, whose end is seen."""
    line = [sys.executable, "-m", "benchmarks.fuzz", str(seconds / 60), "--reader", name]
    done = subprocess.run(
        [*line, "--seed", str(seed), "--json"], stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONFAULTHANDLER": "1"},
    )  # fmt: skip
    if done.returncode:
        return {"reader": name, "crashes": 1, "errors": [f"the process ended: {done.returncode}"]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--atheris", action="store_true")
    chosen = parser.parse_args()
    if chosen.atheris:
        guided(chosen.reader or "toml", 60 * chosen.minutes)
        return
    if chosen.json:
        print(json.dumps(fuzz(chosen.reader, 60 * chosen.minutes, chosen.seed)))
        return
    names = READERS if chosen.reader is None else [chosen.reader]
    print(f"{'reader':<9}{'runs':>9}{'read':>9}{'refused':>9}{'crashes':>9}{'hangs':>7}"
          f"{'slowest':>10}{'memory more, peak':>20}")  # fmt: skip
    for name in names:
        row = _apart(name, 60 * chosen.minutes, chosen.seed)
        numbers = "".join(
            f"{row.get(key, 0):>9,}" for key in ("runs", "read", "refused", "crashes")
        )
        print(f"{name:<9}{numbers}{row.get('hangs', 0):>7}{row.get('slowest', 0):>8.2f} s"
              f"{row.get('memory', 0):>8.0f} {row.get('peak', 0):>7.0f} MiB",
              flush=True)  # fmt: skip
        for error in row["errors"]:
            print(f"    {error}")


if __name__ == "__main__":
    main()
