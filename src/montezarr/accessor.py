"""``ds.mz``: the public functions of montezarr as methods of a Dataset or DataArray."""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, final

import xarray as xr

import montezarr
from montezarr.core.text import Card, count_text

if TYPE_CHECKING:
    from montezarr.run import Recipe


class _Forwarded:
    """The public function of the same name as a method; the object is its first argument.

    The function is imported when the method is looked up, not with montezarr.
    """

    def __init__(self, home: str = ""):
        self._home = home

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return _method_of(self._name, self._home).__get__(instance, owner)


@cache
def _method_of(name: str, home: str) -> Any:
    """Return a method that calls a function of montezarr, or of one of its modules."""
    function = operator.attrgetter(home + name)(montezarr)

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        return function(self._obj, *args, **options)

    given = inspect.signature(function)
    first, *others = given.parameters.values()
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__name__ = function.__name__
    method.__qualname__ = f"ds.mz.{home}{function.__name__}"
    method.__signature__ = given.replace(parameters=[this, *others])  # type: ignore[attr-defined]
    method.__doc__ = _doc_of(function, first.name, home)
    return method


def _doc_of(function: Callable[..., Any], first: str, home: str) -> str:
    """Return the docstring of a function without its first parameter and its examples."""
    doc = inspect.getdoc(function) or ""
    summary, _, rest = doc.partition("\n")
    rest = rest.partition("\nExamples\n---")[0]
    rest = re.sub(rf"(?m)^{first} : .*\n(?:    .*\n|\n(?=    ))*", "", rest, count=1)
    name = f"montezarr.{home}{function.__name__}"
    same = f"It calls `{name}` with the object before ``.mz`` as its `{first}`."
    return f"{summary}\n\n{same}\n{rest}".rstrip() + "\n"


def _rows_of(kind: type) -> list[tuple[str, str]]:
    """Return name and summary of each public member of a class."""
    rows = []
    for name in sorted(name for name in dir(kind) if not name.startswith("_")):
        member = getattr(kind, name)
        brackets = "" if isinstance(member, property) else "(…)"
        summary = (inspect.getdoc(member) or "").partition("\n")[0].rstrip(".").replace("`", "")
        rows.append((f".{name}{brackets}", summary.partition("; see")[0]))
    return rows


@final
class PlotMethods:
    """Pictures of a Dataset or DataArray; see `montezarr.plot`."""

    def __init__(self, obj: Any):
        self._obj = obj

    fan = _Forwarded("plot.")
    paths = _Forwarded("plot.")
    density = _Forwarded("plot.")
    histogram = _Forwarded("plot.")

    def compare(self, other: Any, **options: Any) -> Any:
        """Draw these paths and others together; see `montezarr.plot.compare`."""
        return montezarr.plot.compare(self._obj, other, **options)

    def convergence(
        self,
        statistics: Any = "mean",
        name: str | None = None,
        *,
        until: Any = None,
        **options: Any,
    ) -> Any:
        """Stream statistics and draw the convergence of one; see `montezarr.plot.convergence`.

        Parameters
        ----------
        statistics : Statistic, str, or sequence of them
            As for `montezarr.stream`.
        name : str, optional
            The result to draw; required if there are several.
        until : Until, optional
            As for `montezarr.stream`.
        **options
            As for `montezarr.plot.convergence`.
        """
        stream = montezarr.stream(self._obj, statistics, until=until)
        return montezarr.plot.convergence(stream, name, **options)

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        return Card("ds.mz.plot: pictures, see montezarr.plot", _rows_of(type(self)))


class _Accessor:
    """Base of both accessors. Its repr lists the methods and computes nothing."""

    def __init__(self, obj: Any):
        self._obj = obj

    plan = _Forwarded()
    reduce = _Forwarded()
    stream = _Forwarded()

    @property
    def plot(self) -> PlotMethods:
        """Pictures; see `montezarr.plot`."""
        return PlotMethods(self._obj)

    @property
    def recipe(self) -> Recipe:
        """Everything that determines the values: process, times, x0, seed; see `Recipe`."""
        from montezarr.run._behind import recipe_behind

        return recipe_behind(self._obj)

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        pictures = [name for name in dir(PlotMethods) if not name.startswith("_")]
        rows = [
            (label, f"Pictures: .{', .'.join(pictures)}" if label == ".plot" else summary)
            for label, summary in _rows_of(type(self))
        ]
        return Card(f"{self._called()}: {self._contents()}", rows)

    def _called(self) -> str:
        """Return the expression of the accessor: ``ds.mz``, ``ds.x.mz``."""
        return "ds.mz"

    def _contents(self) -> str:
        """Describe the run behind the object, if there is one."""
        from montezarr.run._behind import recipe_behind
        from montezarr.run._texts import process_name
        from montezarr.run._varied_texts import scenario_sizes

        sizes = self._obj.sizes
        paths = count_text(sizes["path"], "path") if "path" in sizes else "no paths"
        try:
            recipe = recipe_behind(self._obj)
        except (TypeError, ValueError):
            return f"{paths}, without a recipe"
        lengths = [sizes[dim] for dim in scenario_sizes(recipe) if dim in sizes]
        if lengths:
            paths = f"{count_text(math.prod(lengths), 'scenario')} × {paths}"
        return f"{paths} of {process_name(recipe.get('process'))}"


@final
@xr.register_dataset_accessor("mz")
class DatasetAccessor(_Accessor):
    """``ds.mz``: the functions of the same names, with this Dataset as their argument."""

    _what = "ds.mz"

    replay = _Forwarded()
    write = _Forwarded()
    batches = _Forwarded()


@final
@xr.register_dataarray_accessor("mz")
class DataArrayAccessor(_Accessor):
    """``ds.x.mz``: statistics and pictures of one variable."""

    def _called(self) -> str:
        name = self._obj.name
        if name is None:
            return "array.mz"
        return f"ds.{name}.mz" if str(name).isidentifier() else f"ds[{name!r}].mz"
