"""Secrets are shown nowhere: not in errors, reprs, logs, attributes or reports."""

import io
import logging
import os
import pickle
import socket
import subprocess
import sys
import traceback
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import known_secret
import pytest
import zarr
from stores import gbm_paths

import montezarr as mz
from montezarr.cli import job
from montezarr.cli._main import main
from montezarr.core import secrets
from montezarr.core.checks import show
from montezarr.core.secrets import is_clean, redacted
from montezarr.execute.ray import Ray
from montezarr.store._where import location_of
from montezarr.store.locations import LocalLocation

SECRET = f"wJalrXUtnFEMI/K7{known_secret.SECRET}+bPxRfiCY"
TOKEN = "ghp7MDENGbPxRfiCY"

URLS = [
    f"s3://AKIAKEY:{SECRET}@bucket/a.zarr",
    f"s3://{TOKEN}@bucket/a.zarr",
    f"gs://me:{SECRET}@bucket/a.zarr",
    f"memory://me:{SECRET}@bucket/a.zarr",
    f"memory://bucket/a.zarr?sig={SECRET}&token={SECRET}",
    f"nowhere://me:{SECRET}@host/a.zarr",
    f"zip::s3://AKIAKEY:{SECRET}@bucket/a.zip",
    f"file://me:{SECRET}@host/a.zarr",
    f"FILE://me:{SECRET}@host/a.zarr",
]

ADDRESSES = [
    f"tcp://me:{SECRET}@127.0.0.1:4444",
    f"tls://me:{SECRET}@127.0.0.1:4444",
    f"tcp://{TOKEN}@127.0.0.1:4444",
    f"nonsense://me:{SECRET}@127.0.0.1:4444",
    f"tcp://me:{SECRET}@127.0.0.1",
]

CALLS = {
    "open": lambda path: mz.open(path),
    "write": lambda path: mz.write(gbm_paths(), path),
    "verify": lambda path: mz.verify(path),
    "repair": lambda path: mz.repair(path),
    "extend": lambda path: mz.extend(path, 9000),
    "merge": lambda path: mz.merge([path], "memory://merged"),
    "merge to": lambda path: mz.merge(["memory://nowhere"], path),
    "group": lambda path: mz.open("memory://a", {"key": SECRET, "secret": SECRET}),
    "load": lambda path: mz.VirtualStore.load(path),
    "cli": lambda path: main(["verify", path]),
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(secrets, "_known", frozenset())


def said_by(call):
    """Return all that a call prints, logs, warns of and raises, with its traceback."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    try:
        with (
            redirect_stdout(out),
            redirect_stderr(out),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            try:
                found = call()
                out.write(repr(found))
                out.write(str(getattr(found, "attrs", "")) + str(getattr(found, "encoding", "")))
            except (Exception, SystemExit) as error:
                # As an interpreter shows it, but for the lines of the caller's own code.
                lines = traceback.TracebackException(
                    type(error), error, error.__traceback__, lookup_lines=False
                )
                for entry in _chain(lines):
                    out.write("".join(entry.format_exception_only()))
                out.write(repr(error))
                with suppress(Exception):
                    out.write(str(pickle.loads(pickle.dumps(error))))
        out.write("".join(str(warning.message) for warning in caught))
    finally:
        logging.getLogger().removeHandler(handler)
    return out.getvalue()


def _chain(found):
    while found is not None:
        yield found
        hidden = found.__suppress_context__ or found.__cause__ is not None
        found = found.__cause__ if hidden else found.__context__


@pytest.mark.parametrize("name", CALLS)
def test_no_url_shows_its_secret(name):
    for url in URLS:
        said = said_by(lambda url=url: CALLS[name](url))
        for part in (SECRET, *SECRET.split("/"), "AKIAKEY", TOKEN):
            assert part not in said, url


@pytest.mark.parametrize("address", ADDRESSES, ids=lambda text: text.partition(":")[0])
def test_no_address_of_a_scheduler_shows_its_secret(address):
    engine = mz.MonteCarloEngine(mz.BrownianMotion())
    for call in (
        lambda: mz.backend(address),
        lambda: mz.backend("dask", address=address),
        lambda: mz.backend(address, n_jobs="many"),
        lambda: mz.backend(address, other=address),
        lambda: mz.backend(address.partition("://")[2]),
        lambda: engine.simulate(10, 5, parallel=True, backend=address),
    ):
        said = said_by(call)
        assert "Error" in said
        for part in (SECRET, *SECRET.split("/"), TOKEN):
            assert part not in said


def test_options_are_not_shown_where_there_should_be_none(tmp_path):
    options = {"key": SECRET, "anything": SECRET}
    for path in (tmp_path / "a.zarr", zarr.storage.MemoryStore()):
        with pytest.raises(mz.ArgumentValueError, match=r"got .a dict") as caught:
            mz.open(path, storage_options=options)
        assert SECRET not in str(caught.value)


def test_what_others_say_of_a_secret_is_not_repeated(monkeypatch):
    """A store that fails with the key in its message, and in those that it came from."""
    from zarr.storage import FsspecStore

    class Denied(OSError):
        pass

    async def fail(self, *arguments, **options):
        raise kind(f"no such key: {SECRET}") from ValueError(f"key {SECRET}")

    options = {"client_kwargs": {"secret_key": SECRET}, "use_listings_cache": False}
    for kind in (Denied, PermissionError, RuntimeError):
        with monkeypatch.context() as patch:
            for name in ("get", "getsize", "set", "delete"):
                patch.setattr(FsspecStore, name, fail)
            for call in (
                lambda: mz.open("memory://x/a.zarr", storage_options=options),
                lambda: mz.write(gbm_paths(), "memory://x/a.zarr", storage_options=options),
            ):
                said = said_by(call)
                assert "***" in said
                assert SECRET not in said


def test_a_chunk_that_cannot_be_read_shows_no_secret(monkeypatch):
    from zarr.storage import FsspecStore

    path = "memory://secrets/a.zarr"
    mz.write(gbm_paths(), path)
    ds = mz.open(path, storage_options={"token": SECRET})

    async def fail(self, *arguments, **options):
        raise PermissionError(f"{SECRET} is not allowed")

    monkeypatch.setattr(FsspecStore, "get", fail)
    with mz.backend("synchronous"):
        said = said_by(lambda: ds.x.compute())
    assert "***" in said
    assert SECRET not in said


def test_names_reprs_and_attributes_show_no_secret():
    url = f"memory://me:{SECRET}@host/a.zarr"
    ds = mz.write(gbm_paths(), url)
    for shown in (repr(ds), str(ds.attrs), str(ds.encoding), ds._repr_html_(), str(mz.verify(url))):
        assert SECRET not in shown
    place = location_of(url)
    assert SECRET not in str(place)
    assert SECRET not in repr(place)
    for key in place.objects():
        assert SECRET.encode() not in (place.get(key) or b""), key


def test_a_report_shows_no_secret(tmp_path):
    url = f"memory://me:{SECRET}@host/b.zarr"
    ds = mz.write(gbm_paths(), url)
    file = tmp_path / "r.html"
    with suppress(mz.MontezarrError), mz.report(file) as report:
        report.add(mz.reduce(ds, "mean"))
        report.add(mz.plan(ds))
        mz.open(f"s3://k:{SECRET}@b/a")
    assert SECRET not in file.read_text()


def test_a_job_shows_no_secret(tmp_path):
    text = (
        '[process]\nname = "BrownianMotion"\n[run]\nn_paths = 5\nT = 2\nseed = 1\n'
        f'[output]\nstore = "s3://AKIAKEY:{SECRET}@bucket/a"\n'
    )
    (tmp_path / "job.toml").write_text(text)
    for call in (
        lambda: job.load(tmp_path / "job.toml"),
        lambda: main(["run", str(tmp_path / "job.toml")]),
    ):
        said = said_by(call)
        assert "expected a path on this machine" in said
        assert SECRET not in said


def test_the_line_to_resume_shows_no_secret(monkeypatch):
    from montezarr.cli import _main

    seen = []
    monkeypatch.setattr(_main._SignalExit, "__init__", lambda self, command: seen.append(command))
    with suppress(BaseException):
        main(["extend", f"s3://k:{SECRET}@b/a", "9000"])
    assert seen
    assert SECRET not in seen[0]


def test_a_sampler_that_fails_with_a_secret_shows_none():
    def fails(rng):
        raise ValueError(f"cannot read s3://k:{SECRET}@b/prices.csv")

    with pytest.raises(mz.SamplerError) as caught:
        mz.MonteCarloEngine(fails).simulate(10, 5, seed=1)
    assert "***@b/prices.csv" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in caught.value.traceback


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIA:SEC/RET@bucket/a b", "s3://***@bucket/a b"),
        ("tcp://user:PW@h:4444, x", "tcp://***@h:4444, x"),
        ("user:PW@host:1", "***@host:1"),
        ("https://x.y/z?sig=abc", "https://x.y/z?***"),
        ("zip::s3://K:S@b/x", "zip::s3://***@b/x"),
        ("{'key': 'AK', 'secret': \"XX\"}", "{'key': '***', 'secret': \"***\"}"),
        ('{"aws_secret_access_key": "abc', '{"aws_secret_access_key": "***"'),
        # What is no secret stays.
        ("s3://bucket/a@b.zarr", "s3://bucket/a@b.zarr"),
        ("https://docs.x.org/a?", "https://docs.x.org/a?"),
        ("doi:10.1/x at a@b", "doi:10.1/x at a@b"),
        ("path: expected 5, got 6: /tmp/a", "path: expected 5, got 6: /tmp/a"),
    ],
)
def test_what_is_hidden(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown


def test_a_value_is_redacted_before_it_is_cut():
    text = f"s3://AKIA:{'x' * 200}@bucket"
    assert "xxx" not in show(text)
    assert not is_clean(ValueError(text))
    assert is_clean(ValueError("nothing"))


def test_known_secrets_are_safe_to_share_between_threads():
    def remembers(i):
        for k in range(200):
            secrets.remember_secrets({"token": f"secret-{i}-{k}"})
            assert redacted(f"a secret-{i}-{k} b") == "a *** b"

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(remembers, range(8)))
    finally:
        sys.setswitchinterval(before)


# --- URLs of files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["file://host/a.zarr", "file://a.zarr", "file://", "FILE://host/a", "file://a:81/b",
     "file:///a?b=c", "file:///a#b"],
)  # fmt: skip
def test_a_file_url_of_another_machine_is_refused(url):
    with pytest.raises(mz.ArgumentValueError, match="path: expected a file URL"):
        mz.open(url)


def test_urls_of_local_files_are_paths(tmp_path):
    path = tmp_path / "a b.zarr"
    for url in (
        path.as_uri(), f"file://localhost{path.as_uri()[7:]}", f"local://{path}", f"LOCAL://{path}",
    ):  # fmt: skip
        place = location_of(url)
        assert type(place) is LocalLocation
        assert place.path == path


# --- Ray -------------------------------------------------------------------------------------


def test_no_session_that_listens_on_the_network_is_started_unasked(monkeypatch):
    pytest.importorskip("ray")
    engine = mz.MonteCarloEngine(mz.BrownianMotion())
    for call in (
        lambda: mz.backend("ray"),
        lambda: engine.simulate(10, 5, parallel=True, backend="ray"),
        lambda: Ray(1).make_pool(),
    ):
        with pytest.raises(mz.ArgumentValueError, match="allow_network: expected True"):
            call()
    assert mz.backend("ray", allow_network=True).allow_network
    with pytest.raises(mz.ArgumentTypeError, match="allow_network"):
        mz.backend("ray", allow_network="yes")
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    assert not mz.backend("ray").allow_network  # a session of one's own


# --- all output of other tests ------------------------------------------------------------------

SHOWN = ("test_object_stores.py", "test_object_store_fence.py", "test_backend_lost.py",
         "test_secrets.py")  # fmt: skip
"""Tests of buckets on an S3 server, and of addresses of schedulers."""


@pytest.mark.slow
def test_nothing_that_tests_of_buckets_and_addresses_print_shows_their_secret():
    """Neither what pytest prints of them, which has warnings, nor what it would have captured."""
    pytest.importorskip("moto.server")
    secret = uuid.uuid4().hex
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-rA", "-m", "not slow", "-p", "no:cacheprovider",
         "-o", "log_cli=true", "--log-cli-level=INFO", *(str(here / name) for name in SHOWN)],
        capture_output=True, text=True, env={**os.environ, known_secret.VARIABLE: secret},
        cwd=here.parent,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    shown = [line for line in said.splitlines() if secret in line]
    assert not shown, shown[:5]
    assert " passed" in said


# --- the dashboard ---------------------------------------------------------------------------

HANDSHAKE = (
    "GET /status/ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{origin}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: bokeh, x\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.slow
def test_what_the_documentation_says_of_the_dashboard_holds():
    """By default any origin may connect; named ones keep out pages of others, not other hosts."""
    dask = pytest.importorskip("dask")
    pytest.importorskip("bokeh")
    from distributed import LocalCluster

    key = "distributed.scheduler.dashboard.bokeh-application.allow_websocket_origin"
    assert dask.config.get(key) == ["*"]

    def status(port, host, origin):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
            link.sendall(HANDSHAKE.format(host=host, origin=origin).encode())
            return int(link.recv(200).split()[1])

    logging.getLogger("tornado.application").disabled = True  # the token is none
    try:
        for origins, expected in ((["*"], 101), (["127.0.0.1:4444"], 403)):
            with (
                dask.config.set({key: origins}),
                LocalCluster(
                    n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0"
                ) as cluster,
            ):
                port = cluster.scheduler.http_server.port
                here = f"127.0.0.1:{port}"
                assert status(port, here, "evil.example") == expected
                assert status(port, here, here) == 101
                assert status(port, "evil.example", "evil.example") == 101
    finally:
        logging.getLogger("tornado.application").disabled = False
