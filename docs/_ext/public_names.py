"""The directive ``public-names``: a table of public names with a page for each.

Its content says which: a module of montezarr stands for all public names that come from it, so a
new process or statistic has its page without being listed; a name stands for itself.
"""

import shutil
from pathlib import Path

import montezarr

PAGES = "reference/api"
STUBS = "generated"
BASES = {"Process", "Scheme", "Statistic", "Backend", "Distribution"}
OF_THE_BASES = {
    "State", "chunk", "merge", "finalize", "reference", "examples", "sample", "step",
    "strong_order", "weak_order", "default_x0", "executor", "start", "close",
    "at_tails",
}  # fmt: skip
"""What a class of ours has because its base asks for it."""


def all_names():
    """Return every public name below montezarr, those of its public modules too."""
    return [*montezarr.__all__, *(f"plot.{name}" for name in _plots())]


def _plots():
    plot = montezarr.plot
    return [name for name in plot.__all__ if callable(getattr(plot, name))]


def names_of(selectors):
    """Return the public names that some modules and names stand for, in alphabetical order."""
    found = set()
    for selector in selectors:
        chosen = {name for name in all_names() if selector in (name, *_modules(name))}
        if not chosen:
            raise LookupError(f"public-names: {selector!r} is no public name, nor a module of any")
        found |= chosen
    return sorted(found, key=lambda name: (name.lower(), name))


def _modules(name):
    """Return the module that a name comes from, and the packages around it."""
    if name.startswith("plot."):
        return ("plot.*",)
    home = getattr(getattr(montezarr, name), "__module__", None) or ""
    parts = home.removeprefix("montezarr.").split(".")
    return tuple(".".join(parts[: i + 1]) for i in range(len(parts)))


def selectors_of(page):
    """Return what the directives of a page name."""
    out, inside = [], False
    for line in Path(page).read_text(encoding="utf-8").splitlines():
        if line == ".. public-names::":
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside:
            out += line.split()
    return out


def setup(app):
    """Register the directive, and have a stub written for each name."""
    from sphinx.ext.autosummary import Autosummary

    class PublicNames(Autosummary):
        def run(self):
            self.options["toctree"] = STUBS
            selectors = " ".join(self.content).split()
            self.content = [f"~montezarr.{name}" for name in names_of(selectors)]
            return super().run()

    app.add_directive("public-names", PublicNames)
    app.connect("config-inited", _list_all)
    app.connect("autodoc-skip-member", _is_the_base_class_s)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _list_all(app, config):
    """Write one list of all names: Sphinx makes the stubs from a file, before it reads any page."""
    from montezarr import testing

    file = Path(app.srcdir) / PAGES / STUBS / "all.rst"
    lines = [".. autosummary::", "   :toctree: .", ""]
    lines += [f"   montezarr.{name}" for name in all_names() if name != "plot"]
    lines += [f"   montezarr.testing.{name}" for name in testing.__all__]
    shutil.rmtree(file.parent, ignore_errors=True)  # stubs of names that are no more
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config.autosummary_generate = [str(file.relative_to(app.srcdir))]
    # Some file systems do not tell Plan from plan.
    lower = [name.lower() for name in all_names()]
    config.autosummary_filename_map = {
        f"montezarr.{name}": f"montezarr.{name}_function"
        for name in all_names()
        if name.islower() and lower.count(name) > 1
    }


def _is_the_base_class_s(app, what, name, thing, skip, options):
    """Say whether a member is one that every class of its kind has: the page of the base has it."""
    if (getattr(thing, "__doc__", None) or "").startswith("Alias for field number"):
        return True  # a field of a named tuple, of which the class has spoken
    if name not in OF_THE_BASES:
        return None
    owner = getattr(getattr(thing, "__func__", thing), "__qualname__", "").partition(".")[0]
    return True if owner not in BASES else None
