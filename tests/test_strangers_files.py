"""Files that a stranger made: pipes, devices, holes and bombs are refused, soon and in one way."""

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress

import google_crc32c
import numcodecs
import numpy as np
import pytest
import xarray as xr
import zarr
from stores import as_directory, as_pipe, files, gbm_paths

import montezarr as mz
from montezarr.cli import job
from montezarr.core.json import parse_json
from montezarr.core.regular_files import NotRegularError, TooLargeError, read_regular, read_written
from montezarr.reduction.accumulate import parse_states
from montezarr.store._info import info
from montezarr.store.format import _commit_log
from montezarr.store.locations import LocalLocation

GIB = 2**30

ACTIONS = {
    "open": lambda path: mz.open(path).x[-5:].compute(),
    "statistics": lambda path: mz.open(path, "statistics"),
    "info": lambda path: info(path),
    "verify": lambda path: mz.verify(path),
    "verify 2": lambda path: mz.verify(path, 2),
    "extend": lambda path: mz.extend(path, 9000),
    "write": lambda path: mz.write(gbm_paths(), path, statistics="mean"),
    "merge": lambda path: mz.merge([path], f"{path}.merged"),
}

FILES = (
    "zarr.json", "x/zarr.json", "x/c/1/0", "montezarr/journal", "montezarr/manifest.json",
    "statistics/zarr.json", "time/c/0",
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    mz.write(gbm_paths(), tmp_path / "a.zarr", statistics="mean")
    return tmp_path / "a.zarr"


@pytest.fixture
def watched():
    """Fail a test that waits for a pipe: an alarm ends what would wait for ever."""
    import signal

    def ring(*_):
        raise TimeoutError("waited for a file that never comes")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def as_hole(file):
    file.unlink()
    with file.open("wb") as handle:
        handle.truncate(2**42)


@pytest.mark.parametrize("change", [as_pipe, as_directory, as_hole])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_never_holds_up_a_reader(store, name, change, watched):
    change(store / name)
    assert not mz.verify(store).ok
    for action in ACTIONS.values():
        with suppress(mz.MontezarrError):
            action(store)


@pytest.mark.parametrize("name", ["x/c/1/0", "zarr.json", "montezarr/journal", "x/zarr.json"])
@pytest.mark.parametrize("change", [as_pipe, as_hole])
def test_repair_puts_a_file_in_the_place_of_what_is_none(store, name, change, watched):
    before = files(store)
    change(store / name)
    assert not mz.verify(store).ok
    assert mz.repair(store).ok
    assert files(store) == before


def test_a_pipe_as_the_lock_is_refused(store, watched):
    os.mkfifo(store / "montezarr/lock")
    with pytest.raises(mz.StoreError, match="a pipe"):
        mz.extend(store, 9000)


def test_a_device_is_not_opened(tmp_path):
    with pytest.raises(NotRegularError, match="a device"):
        read_regular("/dev/zero", 10)
    with pytest.raises(NotRegularError, match="a directory"):
        read_regular(tmp_path, 10)


def test_what_was_never_written_of_a_log_takes_no_time(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"one\n")
    os.truncate(file, 2**43)
    with file.open("r+b") as handle:
        handle.seek(2**42)
        handle.write(b"two\n")
    found = read_written(file, 2**20, b"?\n")
    assert found.startswith(b"one\n")
    assert b"?\n" in found
    assert found.replace(b"\0", b"").endswith(b"two\n?\n")
    with pytest.raises(TooLargeError):
        read_written(file, 7, b"?\n")
    with pytest.raises(TooLargeError):
        read_regular(file, 2**20)


def test_holes_in_a_journal_lose_no_record(store):
    journal = store / "montezarr/journal"
    good = files(store)
    with journal.open("r+b") as handle:
        handle.truncate(2**42)
    assert mz.open(store).sizes["path"] == gbm_paths().sizes["path"]
    assert not mz.verify(store).ok
    assert mz.repair(store).ok
    assert files(store) == good


def test_zarr_store_objects_are_read_with_the_same_care(store, watched):
    as_pipe(store / "x/c/1/0")
    place = zarr.storage.LocalStore(store, read_only=True)
    with pytest.raises(mz.StoreError):
        mz.open(place).x.compute()


# --- bombs -----------------------------------------------------------------------------------


def bomb_of(kind, size):
    """Return a small file that unpacks to so many zeros."""
    piece = bytes(2**20)
    if kind == "gzip":
        packer = zlib.compressobj(9, wbits=31)
        return b"".join([*(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])
    if kind == "zstd":
        return numcodecs.Zstd(3).encode(bytes(size))
    if kind == "frames":  # behind one that says its size, one that says more
        first = numcodecs.Zstd(3).encode(bytes(2048 * 21 * 8))
        return first + numcodecs.Zstd(3).encode(bytes(size))
    return numcodecs.Blosc("zstd", 5).encode(np.zeros(size, np.uint8))


@pytest.mark.parametrize("inner", [None, 1024])
@pytest.mark.parametrize("kind", ["zstd", "frames", "gzip", "blosc"])
def test_a_chunk_unpacks_to_no_more_than_it_can_be(tmp_path, kind, inner):
    name = "zstd" if kind == "frames" else kind
    storage = mz.Storage(compression=name, inner_chunk=inner)
    path = tmp_path / "a.zarr"
    mz.write(gbm_paths(chunks=2048), path, storage=storage)
    bomb = bomb_of(kind, 2**28)
    bomb += int(google_crc32c.value(bomb)).to_bytes(4, "little")
    file = path / "x/c/0/0"
    if inner is not None:  # a shard: the bomb, and an index that has all chunks there
        count = 2048 // inner
        index = np.array([[0, len(bomb)]] * count, "<u8").tobytes()
        bomb += index + int(google_crc32c.value(index)).to_bytes(4, "little")
    assert len(bomb) < 400_000
    file.write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(mz.StoreError, match=r"at most|of one part"):
        mz.open(path).x[:5].compute()
    assert not mz.verify(path).ok
    (path / "montezarr/journal").unlink()
    (path / "montezarr/manifest.json").unlink()
    assert mz.repair(path).ok  # which reads the chunk by the root alone, and draws it anew
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024  # KiB


def test_results_of_a_huge_shape_are_refused(store):
    journal = store / "montezarr/journal"
    records, _, _ = _commit_log.read_records(journal.read_bytes())
    file = store / "statistics/x_mean/zarr.json"
    node = json.loads(file.read_text())
    node["shape"] = [2**29]
    node["chunk_grid"]["configuration"]["chunk_shape"] = [2**29]
    (store / "statistics/x_mean/c/0").unlink()
    file.write_text(json.dumps(node))
    from montezarr.store._digest import file_digest

    for record in records:
        if record.get("statistics"):
            record["statistics"]["statistics/x_mean/zarr.json"] = file_digest([file.read_bytes()])
            record["statistics"].pop("statistics/x_mean/c/0")
    journal.write_bytes(_commit_log.lines_of(records))
    with pytest.raises(mz.StoreError, match="at most"):
        mz.open(store, "statistics")


def test_json_of_many_small_values_is_refused_before_it_is_parsed():
    with pytest.raises(ValueError, match="more values than fit"):
        parse_json(b"[" + b"[]," * 10_000_000 + b"[]]")
    assert len(parse_json(b"[" + b"0.5," * 1_000_000 + b"1]")) == 1_000_001
    for text in (b"[" * 100_000, b'{"a":' * 100_000, "9" * 5000, b"\xff", b""):
        with pytest.raises(ValueError):
            parse_json(text)


def test_a_seed_with_a_huge_pool_is_refused():
    seed = {"entropy": "1", "pool_size": 10**9}
    with pytest.raises(ValueError, match="seed"):
        mz.simulate(mz.BrownianMotion(), n_paths=5, T=1, seed=seed)


def test_a_recipe_with_a_huge_pool_is_refused(store, tmp_path):
    virtual = mz.VirtualStore(gbm_paths())
    virtual.save(tmp_path / "v.json")
    document = json.loads((tmp_path / "v.json").read_text())
    document["recipe"]["seed"]["pool_size"] = 10**9
    (tmp_path / "v.json").write_text(json.dumps(document))
    with pytest.raises(mz.StoreError):
        mz.open(tmp_path / "v.json")


# --- snapshots -------------------------------------------------------------------------------


def a_stream(path=None):
    ds = mz.simulate(mz.BrownianMotion(), n_paths=None, T=4, seed=3)
    statistics = ["mean", "var", "median", mz.ExpectedShortfall(0.9), "min", "max", mz.Covariance()]
    return mz.stream(ds, statistics, until=mz.PathCount(4096), resume_from=path)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    path = tmp_path_factory.mktemp("snapshot") / "state.npz"
    for found in a_stream():
        if found.paths == 2048:
            found.save(path)
    return path.read_bytes()


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(members, **options):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def refused(data, path):
    path.write_bytes(data)
    with pytest.raises(mz.ArgumentValueError, match=r"^resume_from: "):
        a_stream(path)


def test_a_snapshot_goes_on(snapshot, tmp_path):
    (tmp_path / "s.npz").write_bytes(snapshot)
    *_, last = a_stream(tmp_path / "s.npz")
    *_, whole = a_stream()
    xr.testing.assert_identical(last.dataset, whole.dataset)


def test_a_snapshot_unpacks_to_no_more_than_it_is(snapshot, tmp_path):
    members = members_of(snapshot)
    refused(packed(members, compression=zipfile.ZIP_DEFLATED), tmp_path / "s.npz")
    noise = np.random.default_rng(1).bytes(2**16)
    with pytest.raises(ValueError, match="packed"):
        parse_states(packed({"header.npy": noise}, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match="larger than the file"):
        parse_states(packed({"header.npy": bytes(2**24)}, compression=zipfile.ZIP_DEFLATED))


def test_an_array_has_the_bytes_of_its_shape(snapshot, tmp_path):
    members = members_of(snapshot)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
    )
    refused(packed({**members, "a0.npy": head.getvalue()}), tmp_path / "s.npz")
    pickled = io.BytesIO()
    np.lib.format.write_array(pickled, np.array([{}], object))
    refused(packed({**members, "a0.npy": pickled.getvalue()}), tmp_path / "s.npz")


@pytest.mark.filterwarnings("ignore")  # of numbers that are none
def test_states_that_do_not_hold_together_are_one_error(snapshot, tmp_path):
    """Compiled loops go by the offsets of states: each array is changed, with a right checksum."""
    members, rng = members_of(snapshot), np.random.default_rng(5)
    path = tmp_path / "s.npz"
    for name, data in members.items():
        if name == "header.npy":  # text; see below
            continue
        array = np.load(io.BytesIO(data))
        for changed in (array[..., :-1], array.astype("f4"), array[None]):
            if changed.shape == array.shape and changed.dtype == array.dtype:
                continue
            out = io.BytesIO()
            np.save(out, changed)
            refused(packed({**members, name: out.getvalue()}), path)
        if array.dtype.kind == "i" and array.size > 1:
            out = io.BytesIO()
            np.save(out, rng.integers(-(2**62), 2**62, array.shape))
            path.write_bytes(packed({**members, name: out.getvalue()}))
            with suppress(mz.MontezarrError):
                list(a_stream(path))


def changed_header(snapshot, change):
    members = members_of(snapshot)
    header = json.loads(np.load(io.BytesIO(members["header.npy"])).tobytes())
    change(header)
    out = io.BytesIO()
    np.save(out, np.frombuffer(json.dumps(header).encode(), np.uint8))
    return packed({**members, "header.npy": out.getvalue()})


HEADERS = {
    "paths": lambda h: h.update(paths=3000),
    "no paths": lambda h: h.update(paths=-1024),
    "many paths": lambda h: h.update(paths=2**80),
    "a level": lambda h: h["nodes"][0].__setitem__(0, 10**12),
    "an index": lambda h: h["nodes"][0].__setitem__(1, 10**12),
    "overlap": lambda h: h["nodes"].append([0, 0]),
    "a column": lambda h: h["entries"][0]["key"].__setitem__(0, 99),
    "another node": lambda h: h["entries"][0].update(node=[5, 5]),
    "a group": lambda h: h["entries"][0]["key"].__setitem__(1, "g"),
    "no entries": lambda h: h.update(entries=[]),
    "fewer": lambda h: h["entries"].pop(0),
    "fewer still": lambda h: h["entries"].pop(-1),
    "a place": lambda h: h["entries"][0]["states"][0].update(sums="a99"),
    "a field": lambda h: h["entries"][0]["states"][0].update(more="a0"),
    "a kind": lambda h: h["entries"][0].update(kind="other"),
    "text": lambda h: h.update(entries="text"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_tells_of_others_is_one_error(snapshot, tmp_path, name):
    refused(changed_header(snapshot, HEADERS[name]), tmp_path / "s.npz")


@pytest.mark.filterwarnings("ignore")  # of numbers that are none
def test_a_mutated_snapshot_is_one_error(snapshot, tmp_path):
    rng = np.random.default_rng(7)
    path = tmp_path / "s.npz"
    for _ in range(150):
        data = bytearray(snapshot)
        for _ in range(int(rng.integers(1, 4))):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.3:
            del data[rng.integers(len(data)) :]
        path.write_bytes(data)
        with suppress(mz.ArgumentValueError):
            list(a_stream(path))


@pytest.mark.parametrize("change", [as_pipe, as_hole])
def test_a_snapshot_that_is_no_file_is_refused(tmp_path, change, watched):
    path = tmp_path / "s.npz"
    path.write_bytes(b"")
    change(path)
    with pytest.raises(mz.ArgumentValueError, match=r"^resume_from: .*Snapshot.save"):
        a_stream(path)


# --- jobs ------------------------------------------------------------------------------------

TOML = """
[data]
file = "{file}"
[process]
name = "GeometricBrownianMotion"
fit = true
[run]
n_paths = 5
T = 2
seed = 1
x0 = "last"
[output]
store = "out.zarr"
"""


@pytest.mark.parametrize("name", ["/dev/zero", "pipe.csv", "hole.csv", "line.csv", "."])
def test_prices_come_from_a_regular_file(tmp_path, name, watched):
    os.mkfifo(tmp_path / "pipe.csv")
    for hole in ("hole.csv", "line.csv"):
        with (tmp_path / hole).open("wb") as handle:
            handle.truncate(2**40 if hole == "hole.csv" else 2**27)
    (tmp_path / "job.toml").write_text(TOML.format(file=name))
    with pytest.raises(mz.ConfigError, match=r"job.toml:3: \[data\] file"):
        job.prepare(job.load(tmp_path / "job.toml"))


def test_a_job_is_a_regular_file(tmp_path, watched):
    os.mkfifo(tmp_path / "job.toml")
    for path in (tmp_path / "job.toml", "/dev/zero", tmp_path):
        with pytest.raises(mz.ConfigError, match="cannot be read"):
            job.load(path)


DEEP = {
    "a key": "a" + ".a" * 200_000 + " = 1",
    "with blanks": "a" + " . a" * 100_000 + " = 1",
    "a header": "[a" + ".a" * 200_000 + "]",
    "of tables": "[[a" + ".a" * 200_000 + "]]",
    "quoted": '"a"' + '."a"' * 100_000 + " = 1",
    "literal": "'a'" + ".'a'" * 100_000 + " = 1",
    "inline": "x = {a" + ".a" * 200_000 + " = 1}",
    "lists": "x = " + "[" * 100_000,
    "digits": "x = " + "9" * 5000,
}


@pytest.mark.parametrize("name", DEEP)
def test_toml_that_nests_without_end_is_refused(tmp_path, name, watched):
    (tmp_path / "job.toml").write_text(DEEP[name])
    with pytest.raises(mz.ConfigError, match="not TOML"):
        job.load(tmp_path / "job.toml")


def test_dots_in_strings_and_comments_are_no_keys(tmp_path):
    dots = "a" + ".b" * 100
    text = TOML.format(file="x.csv") + f'title = "{dots}" # {dots}\nxlabel = """\n{dots}\n"""\n'
    (tmp_path / "job.toml").write_text(text)
    assert job.load(tmp_path / "job.toml").get("output", "title") == dots


def test_a_zip_of_a_store_is_read_within_its_declared_sizes(store, tmp_path):
    """Members that unpack to more than any file of a store are not read."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in files(store):
            data = (store / name).read_bytes()
            file.writestr(name, b"[" + b" " * 2**27 if name == "zarr.json" else data)
    code = (
        "import resource, sys, zarr, montezarr as mz\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    mz.open(zarr.storage.ZipStore(sys.argv[1], mode='r'))\n"
        "except mz.StoreError:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.zip")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 100 * 1024


def test_an_object_larger_than_expected_is_none(tmp_path):
    (tmp_path / "file").write_bytes(bytes(11))
    place = LocalLocation(tmp_path)
    assert place.get("file", 11) == bytes(11)
    assert place.get("file", 10) is None
    assert b"".join(place.pieces("file")) == bytes(11)
    assert place.size("missing") is None
    assert list(place.pieces("missing")) == []
