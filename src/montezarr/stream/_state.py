"""The state of a stream in a file: arrays and JSON, no code."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from montezarr._checks import type_error, value_error
from montezarr.errors import ArgumentValueError
from montezarr.folding import Fold, Folded
from montezarr.statistics import Statistic

STATE_FORMAT = 1

WORDS = {
    "key": "values (paths, what is made of them, observe=), by their digest",
    "recipe": "values, had in the same way (see montezarr.plan); its recipe",
}
"""What is meant by entries whose name does not say it."""


def save(path: Path, header: Mapping[str, Any], fold: Fold, folded: Folded) -> None:
    """Write states as arrays, and what they are as JSON, to one file."""
    arrays: dict[str, Any] = {}
    entries: list[dict[str, Any]] = []

    def put(kind: str, key: Any, states: Any, node: Any = None) -> None:
        names = []
        for state in states:
            fields = {}
            for name, array in zip(state._fields, state, strict=True):
                fields[name] = f"a{len(arrays)}"
                arrays[fields[name]] = np.asarray(array)
            names.append(fields)
        entries.append({"kind": kind, "key": list(key), "node": node, "states": names})

    # Also of blocks of which no path belongs to any group: they have their place in the tree.
    nodes = [list(node) for node in folded.forest.nodes]
    for node, bundle in folded.forest.nodes.items():
        for key, states in bundle.items():
            put("tree", key, states, list(node))
    for key, states in folded.states.items():
        put("any", key, states)
    for key, count in folded.lost.items():
        name = f"a{len(arrays)}"
        arrays[name] = count
        entries.append({"kind": "lost", "key": list(key), "node": None, "states": name})
    text = json.dumps({"format": STATE_FORMAT, **header, "nodes": nodes, "entries": entries})
    arrays["header"] = np.frombuffer(text.encode(), np.uint8)
    path = path.expanduser().absolute()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    file = temporary.open("xb")
    try:
        with file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: Any, header: Mapping[str, Any], fold: Fold) -> Folded:
    """Return the states that `save` wrote, if they are of the same paths and statistics.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If the file is no such state, or one of something else.
    OSError
        If it cannot be read.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise type_error("resume_from", "the path of a file", path)
    file = Path(path).expanduser()
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        found = json.loads(arrays.pop("header").tobytes())
        _check_same(found, {"format": STATE_FORMAT, **header})
        return _restored(found, arrays, fold)
    except (OSError, ArgumentValueError):
        raise
    except Exception as error:  # whatever a file of another kind, or a cut one, makes of it
        raise value_error(
            "resume_from", "a file that Snapshot.save wrote", str(file), f"{type(error).__name__}."
        ) from error


def _check_same(found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Raise if a file is of other paths or statistics, and say what differs."""
    for name, wanted in json.loads(json.dumps(header)).items():
        got = found.get(name)
        if got == wanted:
            continue
        if isinstance(wanted, dict) and isinstance(got, dict) and wanted and got:
            name = next(k for k in (*wanted, *got) if wanted.get(k) != got.get(k))
            wanted, got = wanted.get(name), got.get(name)
        raise value_error(
            "resume_from", f"a state of the same {WORDS.get(name, name)}: {wanted}", got,
            "Pass what the stream was called with before.",
        )  # fmt: skip


def _restored(found: Mapping[str, Any], arrays: Mapping[str, Any], fold: Fold) -> Folded:
    folded = Folded()
    folded.paths = int(found["paths"])
    folded.forest.nodes = {(level, index): {} for level, index in found["nodes"]}
    for entry in found["entries"]:
        position, group = entry["key"]
        key = int(position), group
        column = fold.columns[key[0]]
        if entry["kind"] == "lost":
            folded.lost[key] = arrays[entry["states"]]
            continue
        kinds: tuple[Statistic, ...] = (
            column.in_order if entry["kind"] == "tree" else column.any_order
        )
        states = tuple(
            kind.State(**{name: arrays[place] for name, place in fields.items()})
            for kind, fields in zip(kinds, entry["states"], strict=True)
        )
        if entry["kind"] == "any":
            folded.states[key] = states
        else:
            level, index = entry["node"]
            folded.forest.nodes[level, index][key] = states
    return folded
