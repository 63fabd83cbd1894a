"""Digests, recipes and stores under tests/data/digests, which the version of then wrote."""

import ast
import hashlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import users_models

import montezarr as mz
from montezarr.core.added_fields import was_added
from montezarr.core.public_ids import public_id
from montezarr.processes._built_in import built_in_processes as processes
from montezarr.run._recipe import fingerprint
from montezarr.run.digests import digest_of
from montezarr.statistics._built_in import built_in_statistics as statistics

PLACE = Path(__file__).parent / "data" / "digests"

STORES = (
    "diffusion", "holds-diffusion", "jumping", "own-process", "careful", "table", "closure",
    "options",
)  # fmt: skip
"""The runs of which there are stores."""

FEW, MANY = 6, 12
"""Paths of the stores, and of what they are extended to."""


def writing():
    """Return what tells versions of Python apart that write syntax trees or bytecode differently.

    Digests of code are of these, so there is a folder of fixtures for each.
    """
    tree = ast.dump(ast.parse("class A:\n def f(self, a: int = 1): return [a]"))
    code = compile("lambda a: a + 1 if a else f(a)", "", "eval").co_consts[0].co_code
    return hashlib.sha256(tree.encode() + code).hexdigest()[:8]


def place():
    """Return the folder of the fixtures that this version of Python can have, if there is one."""
    return PLACE / writing()


def run(name, n_paths=FEW, module=users_models):
    process, x0, options = module.RUNS[name]
    return mz.simulate(process, n_paths, T=3, x0=x0, seed=20, dt=0.25, **options)


def classes():
    """Return the public classes by name, but for those that are a class of Zarr's too."""
    found = {name: getattr(mz, name) for name in sorted(mz.__all__) if name != "VirtualStore"}
    return {name: kind for name, kind in found.items() if isinstance(kind, type)}


def examples():
    """Return values of montezarr's own classes by name."""
    kinds = {**processes(), **statistics()}.values()
    found = {f"{kind.__name__}-{i}": v for kind in kinds for i, v in enumerate(kind.examples())}
    found |= {
        "Milstein": mz.Milstein(),
        "EulerMaruyama": mz.EulerMaruyama(),
        "Storage-0": mz.Storage(),
        "Storage-1": mz.Storage(dtype="float32", keep_bits=10, compression="zstd"),
        "TimeGrid-0": mz.TimeGrid.of(T=4, dt=0.25),
        "TimeGrid-1": mz.TimeGrid.of(times=[0.0, 1.0, 5.0]),
    }
    return found


def digests(module=users_models):
    """Return the digests of all values, runs and classes by name."""
    # A class that was renamed is in the fixtures under the name of its id.
    ids = {public_id(kind).rpartition(".")[2]: kind for kind in classes().values()}
    found = {f"class {name}": digest_of(kind) for name, kind in ids.items()}
    found |= {f"example {name}": digest_of(value) for name, value in examples().items()}
    found |= {f"value {name}": digest_of(value) for name, value in module.VALUES.items()}
    found |= {f"run {name}": digest_of(entry[0]) for name, entry in module.RUNS.items()}
    for name in module.RUNS:
        recipe = json.loads(run(name, module=module).attrs["montezarr"])
        found[f"fingerprint {name}"] = fingerprint(recipe)
    return found


def descriptions():
    """Return the JSON of montezarr's own values by name."""
    return {
        name: json.dumps(value.to_dict())
        for name, value in examples().items()
        if hasattr(value, "to_dict")
    }


def class_entries():
    """Return, of each public class, its id, and of a dataclass the fields that always count."""
    found = {}
    for name, kind in classes().items():
        found[name] = {"id": public_id(kind)}
        if is_dataclass(kind):
            found[name]["fields"] = [f.name for f in fields(kind) if not was_added(f)]
            found[name]["added"] = {f.name: repr(f.default) for f in fields(kind) if was_added(f)}
    return found


def write_classes():
    """Write the list of public classes anew, after one was added."""
    (PLACE / "classes.json").write_text(json.dumps(class_entries(), indent=1) + "\n")


def write_stores():
    """Write all of it anew: with the version of then."""
    place().mkdir(parents=True)
    (place() / "digests.json").write_text(json.dumps(digests(), indent=1) + "\n")
    (PLACE / "descriptions.json").write_text(json.dumps(descriptions(), indent=1) + "\n")
    for name in STORES:
        mz.write(run(name), place() / name, storage=mz.Storage(compression="zstd"))
