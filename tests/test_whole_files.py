"""Files are made in one way: whole, on the disk before they have their name, and under it."""

import os
import re
from pathlib import Path

import pytest
from stores import gbm_paths

import montezarr as mz
from montezarr.core.atomic_files import written_beside
from montezarr.core.json import load_object
from montezarr.core.tunables.limits import DOCUMENT_MAX_BYTES

SOURCE = Path(mz.__file__).parent

MAKERS = {"atomic_files.py": {"replace", "link", "fsync"}, "locations/_staging.py": {"replace"}}
"""What puts files in their place; the directory of a writer renames inside of its session."""

OTHERS = {"locations/_location.py": {"link", "fsync"}}
"""A store that is merged links chunks, and a log is added to."""


NAMING = re.compile(r"\bos\.(replace|renames?|link|fsync|fdatasync)\(")


def test_files_get_their_names_in_one_place():
    for path in sorted(SOURCE.rglob("*.py")):
        known = MAKERS | OTHERS
        (allowed,) = [v for k, v in known.items() if path.as_posix().endswith(f"/{k}")] or [set()]
        found = set(NAMING.findall(path.read_text(encoding="utf-8")))
        assert found <= allowed, f"{path.name}: use written_beside, or a Location"


def save_page(folder):
    with mz.report(folder / "file"):
        mz.reduce(gbm_paths().x, "mean")


def save_state(folder):
    *_, last = mz.stream(gbm_paths().x, "mean")
    last.save(folder / "file")


FILES = {
    "report": save_page,
    "snapshot": save_state,
    "virtual store": lambda folder: mz.VirtualStore(gbm_paths()).save(folder / "file"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_on_the_disk_before_it_has_its_name_and_so_is_the_name(
    kind, tmp_path, monkeypatch
):
    events = []
    fsync, replace = os.fsync, os.replace

    def noted(handle):
        found = Path(f"/dev/fd/{handle}").resolve()
        if found == tmp_path or tmp_path in found.parents:
            events.append("directory" if found.is_dir() else "content")
        fsync(handle)

    def renamed(file, target):
        if Path(target) == tmp_path / "file":
            events.append("renamed")
        replace(file, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", renamed)
    FILES[kind](tmp_path)
    assert events == ["content", "renamed", "directory"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_has_come_to_be_there_stays_unless_it_may_be_replaced(tmp_path):
    file = tmp_path / "file"

    def write_late():
        with written_beside(file, overwrite=False) as temporary:
            temporary.write_text("mine")
            file.write_text("theirs")

    with pytest.raises(FileExistsError):
        write_late()
    assert file.read_text() == "theirs"
    with written_beside(file) as temporary:
        temporary.write_text("mine")
    assert file.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (None, "no file"),
        (b"", "Expecting value"),
        (b"{", "property name"),
        (b"[1]", "something else than an object"),
        (b"[" * 10**6, "nested too deep"),
        (b" " * (DOCUMENT_MAX_BYTES + 1), "bytes, more than"),
        (b"[" + b"[]," * (DOCUMENT_MAX_BYTES // 4) + b"[]]", "more values than fit into"),
        (b"\xff\xfe{", "utf"),
    ],
)
def test_json_that_is_no_object_is_told_of_with_its_file(text, wrong):
    with pytest.raises(mz.StoreError) as caught:
        load_object(text, "runs/zarr.json", remedy=" Call montezarr.repair.")
    message = str(caught.value)
    assert message.startswith("path: expected JSON, got ")
    assert wrong in message
    assert message.endswith(": runs/zarr.json. Call montezarr.repair.")


def test_an_object_of_json_is_returned():
    assert load_object(b'{"a": [1, NaN]}', "file", parse_constant=lambda text: text) == {
        "a": [1, "NaN"]
    }
