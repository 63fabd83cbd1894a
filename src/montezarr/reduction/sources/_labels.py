"""Labels of codes: those of the run itself, or of other data by their CF attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection

from montezarr.core.checks import show, type_error, value_error
from montezarr.core.compat.dask import Blockwise
from montezarr.run._origins import draws_paths
from montezarr.run._variables import LABELS, flag_meanings
from montezarr.statistics._labels import Labels

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
"""Dask's names of the layers of comparisons."""

MEMBERS = "isin_kernel"
"""Dask's name of the layer that looks for values in a list, which is an array of its own there."""


def labels_of(
    array: xr.DataArray | xr.Variable, recipe: Mapping[str, Any] | None = None
) -> Labels | None:
    """Return code and label of each state, or None for a variable without codes.

    Parameters
    ----------
    array : DataArray
        A variable. Results of `simulate` and `open` have labels in the encoding; variables that
        other programs wrote or read have them in the CF attributes flag_values, flag_meanings.
    recipe : mapping, optional
        What the attributes of its Dataset tell of a recipe: if that of a run with that variable,
        the labels are those of the recipe. CF has only words without blanks: where two states share
        a word, the labels are the codes.
    """
    values, meanings = array.attrs.get("flag_values"), array.attrs.get("flag_meanings")
    if values is None or not isinstance(meanings, str):
        return None
    if LABELS in array.encoding and array.dtype.kind != "b":
        return tuple(array.encoding[LABELS])
    flags = np.asarray(values)
    is_other = _are_flags_of_a_run(values) and flags.dtype != array.dtype
    if array.dtype.kind == "b" or is_other:
        return None  # a comparison or a count: xarray keeps attributes in any operation
    if flags.dtype.kind not in "iuf" or (flags != np.floor(flags)).any():
        return None
    codes = [int(code) for code in flags.ravel().tolist()]
    labels: Sequence[str | int] | None = labels_in_recipe(recipe or {}, None, meanings)
    if labels is None:
        words = meanings.split()
        labels = words if len(set(words)) == len(words) else codes
    return tuple(zip(codes, labels, strict=True)) if len(codes) == len(labels) else None


def are_codes(array: xr.DataArray | xr.Variable, labels: Labels | None) -> bool:
    """Return whether the values are certainly codes, not results of arithmetic with codes.

    Arithmetic keeps attributes and drops the encoding.
    """
    if labels is None or LABELS in array.encoding:
        return labels is not None
    is_whole = array.dtype.kind in "iu" and not _are_flags_of_a_run(array.attrs["flag_values"])
    return is_whole or bool(array.encoding)


def _are_flags_of_a_run(flags: Any) -> bool:
    """Return whether flags were made by `montezarr.run._variables.own_flags`."""
    return isinstance(flags, np.ndarray) and not flags.flags.writeable


def labels_in_recipe(
    recipe: Mapping[str, Any], name: Any, meanings: str, dtype: Any = None
) -> tuple[str | int, ...] | None:
    """Return the labels in a recipe of a variable whose CF attributes agree with the recipe.

    Parameters
    ----------
    recipe : mapping
        The recipe; its content is not trusted.
    name : str or None
        Name of the variable; None for any variable of the recipe.
    meanings : str
        The attribute flag_meanings of the variable.
    dtype : dtype, optional
        The dtype of the variable in the recipe.
    """
    try:
        for variable in recipe["variables"]:
            is_named = name is None or variable["name"] == name
            if is_named and (dtype is None or variable["dtype"] == str(dtype)):
                labels = variable.get("labels")
                # NetCDF has no null characters.
                if _are_labels(labels) and meanings in (
                    written := flag_meanings(labels),
                    written.replace("\0", ""),
                ):
                    return tuple(labels)
    except (LookupError, TypeError, AttributeError):
        pass  # not a recipe of montezarr
    return None


def _are_labels(labels: Any) -> bool:
    return isinstance(labels, list) and all(
        isinstance(label, (str, int)) and not isinstance(label, bool) for label in labels
    )


def check_comparisons(array: xr.DataArray | xr.Variable, *, of_codes: bool = False) -> None:
    """Raise if codes were compared with text, for which NumPy returns False everywhere.

    Only the graph of a lazy array shows this.

    Parameters
    ----------
    array : DataArray
        Result of an expression, possibly of codes.
    of_codes : bool
        Whether it is known to be one of codes; else attributes and names of layers are inspected.

    Raises
    ------
    ArgumentValueError
        With what to compare instead.
    """
    layers = getattr(array.data.dask, "layers", {}) if is_dask_collection(array.data) else {}
    of_run = of_codes or _are_flags_of_a_run(array.attrs.get("flag_values"))
    if not (of_run or any(draws_paths(name, layer) for name, layer in layers.items())):
        return
    for name, layer in layers.items():
        text = _compared_text(name, layer, layers)
        if text is not None:
            raise value_error(
                "obj", "codes of states that are compared with codes", text,
                f"No code is a text: take mz.in_state(x, {text!r}).",
            )  # fmt: skip


def _compared_text(name: str, layer: Any, layers: Mapping[str, Any]) -> str | None:
    """Return the text that a layer of a graph compares codes with, if any."""
    parts: list[Any] = []
    if isinstance(layer, Blockwise) and name.startswith(MEMBERS):
        lists = [layers[str(part)] for part, _ in layer.indices[1:] if part in layers]
        nodes = [node for one in lists if not isinstance(one, Blockwise) for node in one.values()]
        parts = [getattr(node, "value", node) for node in nodes]
    elif isinstance(layer, Blockwise) and name.partition("-")[0] in COMPARISONS:
        parts = [part for part, axes in layer.indices if axes is None and str(part) not in layers]
    texts = [part for part in parts if _is_text(part)]
    return str(np.ravel(texts[0])[0]) if texts else None


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or (isinstance(part, np.ndarray) and part.dtype.kind in "US")


def in_state(x: Any, label: Any) -> xr.DataArray:
    """Return where a variable of labelled states is in one or several states.

    Paths hold codes of labels, so ``x == "storm"`` is False everywhere.

    Parameters
    ----------
    x : DataArray
        Simulated, opened from a store, or with the CF attributes flag_values and flag_meanings.
    label : str, int or list of them
        The label, or a list of labels, any of which matches.

    Returns
    -------
    DataArray of bool
        As lazy as `x`; a masked path is in no state.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If `x` has no labels, or not this one.

    Examples
    --------
    >>> import montezarr as mz
    >>> chain = mz.MarkovChain(transition=[[0.9, 0.1], [0.5, 0.5]], states=["calm", "storm"])
    >>> ds = mz.simulate(chain, n_paths=10_000, T=50, seed=1)
    >>> storms = mz.in_state(ds.x, "storm").sum("time").rename("storms")
    >>> round(mz.reduce(storms, "mean").storms_mean.item(), 1)
    8.2
    """
    if not isinstance(x, xr.DataArray):
        hint = "Pass one variable, such as ds.x." if isinstance(x, xr.Dataset) else ""
        raise type_error("x", "a DataArray of labelled states", x, hint)
    labels = labels_of(x)
    if labels is None:
        raise value_error("x", "a variable with labels, as paths of a MarkovChain are", x.name)
    wanted = label if isinstance(label, (list, tuple)) else [label]
    codes = {word: code for code, word in labels}
    for word in wanted:
        if isinstance(word, bool) or not isinstance(word, (str, int)):
            raise type_error("label", "a label, or a list of labels", word)
        if word not in codes:
            raise value_error("label", f"one of {show([w for _, w in labels])}", word)
    found = x.isin([codes[word] for word in wanted])
    kept = {k: v for k, v in x.attrs.items() if k not in ("flag_values", "flag_meanings")}
    found.attrs = kept
    return found
