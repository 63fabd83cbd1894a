"""``ds.mz``: the functions of montezarr as methods. It only forwards."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, final

import xarray as xr

import montezarr
from montezarr.core.text import Card, count

if TYPE_CHECKING:
    from montezarr.run import Recipe


class _Forwarded:
    """The public function of the same name as a method: its first argument is the object.

    What the function needs is imported when somebody looks at the method, not with montezarr.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return _method_of(self._name).__get__(instance, owner)


@cache
def _method_of(name: str) -> Any:
    """Return a method that calls a public function with the object of the accessor in front."""
    function = getattr(montezarr, name)

    def method(self: Any, /, *args: Any, **options: Any) -> Any:
        return function(self._obj, *args, **options)

    given = inspect.signature(function)
    first, *others = given.parameters.values()
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    method.__name__ = function.__name__
    method.__qualname__ = f"ds.mz.{function.__name__}"
    method.__signature__ = given.replace(parameters=[this, *others])  # type: ignore[attr-defined]
    method.__doc__ = _doc_of(function, first.name)
    return method


def _doc_of(function: Callable[..., Any], first: str) -> str:
    """Return the docstring of a function without its first parameter and its examples."""
    doc = inspect.getdoc(function) or ""
    summary, _, rest = doc.partition("\n")
    rest = rest.partition("\nExamples\n---")[0]
    rest = re.sub(rf"(?m)^{first} : .*\n(?:    .*\n|\n(?=    ))*", "", rest, count=1)
    same = (
        f"It calls `montezarr.{function.__name__}` with the object before ``.mz`` as its `{first}`."
    )
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

    def __init__(self, data: Any):
        self._data = data

    def fan(self, **options: Any) -> Any:
        """Draw a fan chart; see `montezarr.plot.fan`."""
        return montezarr.plot.fan(self._data, **options)

    def paths(self, **options: Any) -> Any:
        """Draw single paths with their mean and a band; see `montezarr.plot.paths`."""
        return montezarr.plot.paths(self._data, **options)

    def density(self, **options: Any) -> Any:
        """Draw a map of the density at each time; see `montezarr.plot.density`."""
        return montezarr.plot.density(self._data, **options)

    def compare(self, other: Any, **options: Any) -> Any:
        """Draw these and other paths together; see `montezarr.plot.compare`."""
        return montezarr.plot.compare(self._data, other, **options)

    def histogram(self, **options: Any) -> Any:
        """Draw how one value per path is distributed; see `montezarr.plot.histogram`."""
        return montezarr.plot.histogram(self._data, **options)

    def convergence(
        self,
        statistics: Any = "mean",
        name: str | None = None,
        *,
        until: Any = None,
        **options: Any,
    ) -> Any:
        """Stream statistics and draw how one goes; see `montezarr.plot.convergence`.

        Parameters
        ----------
        statistics : Statistic, str, or sequence of them
            As for `montezarr.stream`.
        name : str, optional
            The result to draw, needed where there are several.
        until : Until, optional
            As for `montezarr.stream`.
        **options
            As for `montezarr.plot.convergence`.
        """
        return montezarr.plot.convergence(
            montezarr.stream(self._data, statistics, until=until), name, **options
        )

    def __repr__(self) -> str:
        return self._card().text()

    def _repr_html_(self) -> str:
        return self._card().html()

    def _card(self) -> Card:
        return Card("ds.mz.plot: pictures, see montezarr.plot", _rows_of(type(self)))


class _Accessor:
    """What both accessors have; its repr says what is there, and computes nothing."""

    _what: str

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
        return Card(f"{self._what}: {self._contents()}", rows)

    def _contents(self) -> str:
        """Return in a few words of what run the object is, if of one."""
        from montezarr.run._behind import recipe_behind
        from montezarr.run._texts import process_name

        sizes = self._obj.sizes
        paths = count(sizes["path"], "path") if "path" in sizes else "no paths"
        try:
            recipe = recipe_behind(self._obj)
        except (TypeError, ValueError):
            return f"{paths}, without a recipe"
        return f"{paths} of {process_name(recipe.get('process'))}"


@final
@xr.register_dataset_accessor("mz")
class DatasetAccessor(_Accessor):
    """``ds.mz``; see the functions of the same names."""

    _what = "ds.mz"

    replay = _Forwarded()
    write = _Forwarded()
    batches = _Forwarded()


@final
@xr.register_dataarray_accessor("mz")
class DataArrayAccessor(_Accessor):
    """``ds.x.mz``: statistics and pictures of one variable."""

    _what = "ds.x.mz"
