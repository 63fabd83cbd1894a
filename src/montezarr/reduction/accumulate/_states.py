"""States as bytes: arrays and JSON, no code. The same states give the same bytes."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.core.checks import check_int
from montezarr.core.json import parse_json
from montezarr.reduction.accumulate._accumulator import Accumulator, PartialState
from montezarr.reduction.accumulate._merge_tree import VALUES, NodeKey
from montezarr.reduction.accumulate._state_checker import StateChecker, checked_nodes
from montezarr.statistics._tails import Tails

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""Reader of an array header, by the version of the npy format."""

Content = tuple[dict[str, Any], dict[str, Any]]
"""Description of the states as JSON, and their arrays by name."""


def dump_states(
    header: Mapping[str, Any], partial_state: PartialState, with_tails: bool = False
) -> bytes:
    """Return states, and what describes them, as the bytes of an npz file.

    Parts of a block that are not folded yet are left out, and tails unless `with_tails`: a store
    keeps the bytes that earlier versions wrote.
    """
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

    # Also nodes of blocks without a path in any group: they are part of the tree.
    nodes = [list(node) for node in sorted(partial_state.tree.nodes)]
    for node, node_states in sorted(partial_state.tree.nodes.items()):
        for key, states in sorted(node_states.items(), key=_place):
            put("tree", key, states, list(node))
    for key, states in sorted(partial_state.states.items(), key=_place):
        put("any", key, states)
    for place, tails in sorted(partial_state.tails.items(), key=_place) if with_tails else ():
        put("tails", place[:2] if place[2] == VALUES else place, (tails,))
    for key, count in sorted(partial_state.lost.items(), key=_place):
        name = f"a{len(arrays)}"
        arrays[name] = count
        entries.append({"kind": "lost", "key": list(key), "node": None, "states": name})
    known = {"paths": partial_state.paths, **header}
    text = json.dumps({**known, "nodes": nodes, "entries": entries})
    arrays["header"] = np.frombuffer(text.encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def parse_states(data: bytes) -> Content:
    """Return the header and the arrays of the bytes of `dump_states`; raise if they are damaged."""
    arrays = _arrays_in(data)
    return parse_json(arrays.pop("header").tobytes()), arrays


def _arrays_in(data: bytes) -> dict[str, Any]:
    """Return the arrays of an uncompressed npz file; a compressed one could expand without limit.

    Each member is read whole, which checks its CRC, and must have the size that its shape implies.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        If it is not such a file.
    """
    out: dict[str, Any] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = file.infolist()
        if sum(member.file_size for member in members) > len(data):
            raise ValueError("members that are larger than the file")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if member.compress_type != zipfile.ZIP_STORED or name in out:
                raise ValueError(f"a member {member.filename!r} that is packed, or there twice")
            out[name] = _array_of(file.read(member))
    return out


def _array_of(data: bytes) -> Any:
    """Return the array in the bytes of an npy file."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in HEADERS:
        raise ValueError(f"version {version} of the format of arrays")
    shape, is_fortran, kind = HEADERS[version](stream)
    if kind.kind not in "biuf":
        raise ValueError(f"an array of {kind}")
    if math.prod(shape) * kind.itemsize != len(data) - stream.tell():
        raise ValueError(f"the shape {shape} of {len(data):,} bytes")
    array = np.frombuffer(data, kind, offset=stream.tell()).copy()
    return array.reshape(shape, order="F" if is_fortran else "C")


def restore_states(content: Content, accumulator: Accumulator) -> PartialState:
    """Restore states with the accumulator that made them, and check all of their content.

    Raises
    ------
    ValueError, LookupError, TypeError, AttributeError
        If they are not as the accumulator makes them: compiled loops rely on that.
    """
    found, arrays = content
    partial_state = PartialState()
    partial_state.paths = check_int("paths", found["paths"])
    partial_state.tree.nodes = {
        node: {} for node in checked_nodes(found["nodes"], partial_state.paths)
    }
    likeness = StateChecker(accumulator)
    for entry in found["entries"]:
        kind, (key, which) = entry["kind"], _key(entry["key"], accumulator)
        if kind == "lost":
            partial_state.lost[key] = likeness.lost(key, arrays[entry["states"]])
            continue
        if kind == "tails":
            (fields,) = entry["states"]
            tails = Tails(**{name: arrays[place] for name, place in fields.items()})
            partial_state.tails[*key, which] = likeness.tails(key, which, tails)
            continue
        states = likeness.states(key, kind == "tree", entry["states"], arrays)
        if kind == "any":
            partial_state.states[key] = states
        else:
            level, index = entry["node"]
            partial_state.tree.nodes[level, index][key] = states
    likeness.check_all_there(partial_state)
    return partial_state


def _key(found: Any, accumulator: Accumulator) -> tuple[NodeKey, int]:
    """Return reduced variable and group, and the position of the statistic that has the tails."""
    position, group, *which = found
    check_int("position", position, minimum=-1, maximum=len(accumulator.reduced_variables) - 1)
    if group is not None and not isinstance(group, (int, float)):
        raise ValueError(f"the group {group!r}")
    return (position, group), check_int("which", *which) if which else VALUES


def _place(item: Any) -> tuple[Any, ...]:
    (position, group, *which), _ = item
    return position, group is not None, group or 0, *which
