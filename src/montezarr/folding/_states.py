"""States as bytes: arrays and JSON, no code. The same states give the same bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from montezarr.folding._fold import Fold, Folded
from montezarr.statistics import Statistic
from montezarr.statistics._tails import Tails

Content = tuple[dict[str, Any], dict[str, Any]]
"""What is known of states, as JSON, and their arrays by name."""


def dump_states(header: Mapping[str, Any], folded: Folded, with_tails: bool = False) -> bytes:
    """Return states, and what they are of, as the bytes of an npz file.

    Parts of a block that are not folded yet are left out; and tails, unless they are asked for: a
    store has the bytes that earlier versions gave it.
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

    # Also of blocks of which no path belongs to any group: they have their place in the tree.
    nodes = [list(node) for node in sorted(folded.forest.nodes)]
    for node, bundle in sorted(folded.forest.nodes.items()):
        for key, states in sorted(bundle.items(), key=_place):
            put("tree", key, states, list(node))
    for key, states in sorted(folded.states.items(), key=_place):
        put("any", key, states)
    for key, tails in sorted(folded.tails.items(), key=_place) if with_tails else ():
        put("tails", key, (tails,))
    for key, count in sorted(folded.lost.items(), key=_place):
        name = f"a{len(arrays)}"
        arrays[name] = count
        entries.append({"kind": "lost", "key": list(key), "node": None, "states": name})
    known = {"paths": folded.paths, **header}
    text = json.dumps({**known, "nodes": nodes, "entries": entries})
    arrays["header"] = np.frombuffer(text.encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def parse_states(data: bytes) -> Content:
    """Return the header and the arrays of such bytes; whatever is wrong with them is raised."""
    with np.load(io.BytesIO(data), allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    return json.loads(arrays.pop("header").tobytes()), arrays


def restore_states(content: Content, fold: Fold) -> Folded:
    """Return states as they were, by the rules that made them."""
    found, arrays = content
    folded = Folded()
    folded.paths = int(found["paths"])
    folded.forest.nodes = {(level, index): {} for level, index in found["nodes"]}
    for entry in found["entries"]:
        position, group = entry["key"]
        key = int(position), group
        column = fold.columns[key[0]] if key[0] >= 0 else None
        if entry["kind"] == "lost":
            folded.lost[key] = arrays[entry["states"]]
            continue
        if entry["kind"] == "tails":
            (fields,) = entry["states"]
            folded.tails[key] = Tails(**{name: arrays[place] for name, place in fields.items()})
            continue
        assert column is not None
        kinds: tuple[Statistic, ...] = (
            column.in_order if entry["kind"] == "tree" else column.any_order
        )
        states = tuple(
            kind.restore({name: arrays[place] for name, place in fields.items()})
            for kind, fields in zip(kinds, entry["states"], strict=True)
        )
        if entry["kind"] == "any":
            folded.states[key] = states
        else:
            level, index = entry["node"]
            folded.forest.nodes[level, index][key] = states
    return folded


def _place(item: Any) -> tuple[Any, ...]:
    (position, group), _ = item
    return position, group is not None, group or 0
