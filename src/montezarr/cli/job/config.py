"""The configuration of a job: TOML, checked key by key, errors with file and line."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montezarr.core.checks import local_path, show
from montezarr.core.errors import ArgumentValueError, ConfigError
from montezarr.core.regular_files import TooLargeError, read_regular
from montezarr.core.tunables.limits import JOB_FILE_MAX_BYTES, JOB_KEY_MAX_PARTS

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Start of a URL, also with a slash missing; a drive letter does not match."""


STRINGS = re.compile(
    r"""\"{3}(?:\\[\s\S]|[^\\])*?(?:\"{3}|\Z)|'{3}[\s\S]*?(?:'{3}|\Z)"""
    r"""|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|#[^\n]*"""
)
"""Strings and comments of TOML, whose dots separate nothing; unterminated ones run to the end."""

DEEP_KEY = re.compile(rf"(?<![\w-])(?:[\w-]+[ \t]*\.[ \t]*){{{JOB_KEY_MAX_PARTS}}}")

DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A decimal number. `float` would also take 1_0 for 10, and digits of other scripts."""

KEY = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[.=]""")
"""A key at the start of a line, bare or in quotes."""

PER_YEAR_MAX = 1e12
"""Most prices per unit of time: squares of the fitted rates stay finite in float64."""

Types = tuple[type, ...]
NUMBER: Types = (int, float)
SCHEMA: dict[str, dict[str, Types]] = {
    "data": {"file": (str,), "column": (str,), "per_year": NUMBER},
    "process": {},  # the parameters depend on the process
    "vary": {},  # so do those that vary
    "run": {
        "n_paths": (int,),
        "T": (int,),
        "dt": (int, float, str),
        "x0": (int, float, str, list, dict),
        "seed": (int, list),
        "stream": (str,),
        "dtype": (str,),
        "keep": (int, list),
        "chunks": (int,),
    },
    "output": {
        "store": (str,),
        "plot": (str,),
        "title": (str,),
        "xlabel": (str,),
        "ylabel": (str,),
    },
    "risk": {"levels": (list,)},
}
REQUIRED = (
    ("process", "name"),
    ("run", "n_paths"),
    ("run", "T"),
    ("run", "seed"),  # without a seed, a second call would be a new run, and not resume
    ("output", "store"),
)
NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    list: "a list",
    bool: "true or false",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration: file, text, and a table per section."""

    path: Path
    text: str
    sections: dict[str, dict[str, Any]]

    def get(self, section: str, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where it is not given."""
        return self.sections.get(section, {}).get(key, default)

    def file(self, section: str, key: str) -> Path | None:
        """Return the path that a value names, relative to the folder of the configuration.

        Raises
        ------
        ConfigError
            If it names no file of this machine: `Path` would turn a URL into folders.
        """
        value = self.get(section, key)
        if value is None:
            return None
        if "://" in value or URL.match(value) or not value or "\x00" in value:
            raise self.error(
                section, key, f"expected a path on this machine, got {show(value)}."
                + (f" For a URL, write it in Python: mz.write(ds, {value!r})."
                   if key == "store" and "://" in value else ""),
            )  # fmt: skip
        try:
            try:
                return self.path.parent / local_path(key, value)
            except ArgumentValueError as error:
                raise self.error(section, key, str(error).partition(": ")[2]) from error
        except RuntimeError as error:  # no such user
            raise self.error(section, key, f"{show(value)}: {error}") from error

    def error(self, section: str, key: str | None, problem: str) -> ConfigError:
        """Return the error about a key, in one line."""
        where = f"[{section}]" + (f" {key}" if key else "")
        line = line_of_key(self.text, section, key)
        return ConfigError(f"{self.path}:{line}: {where}: {problem}")


def load(path: str | Path) -> Config:
    """Return the configuration in a TOML file.

    Raises
    ------
    ConfigError
        For a missing file, text that is not TOML, an unknown or missing key, or a wrong type; one
        line with file, line and key.
    """
    file = Path(path)
    try:
        data = read_regular(file, JOB_FILE_MAX_BYTES)
        text = data.decode("utf-8-sig")  # with a byte order mark or without
    except TooLargeError as error:
        raise ConfigError(
            f"{file}: expected at most {JOB_FILE_MAX_BYTES:,} bytes of TOML."
        ) from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected TOML in UTF-8.") from error
    try:
        _check_depth(text)
        # An integer of more than 4,300 digits is none for Python, which says so in its own way.
        sections = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        match = re.search(r"line (\d+)", str(error))
        line = f":{match.group(1)}" if match else ""
        raise ConfigError(f"{file}{line}: not TOML: {error}.") from error
    config = Config(file, text, sections)
    _check(config)
    return config


def _check_depth(text: str) -> None:
    """Raise for keys of many parts: the parser makes a table for each, and its time is quadratic.

    Raises
    ------
    ValueError
        With the line.
    """
    bare = STRINGS.sub(lambda found: "s" + "\n" * found[0].count("\n"), text)
    found = DEEP_KEY.search(bare)
    if found is not None:
        line = bare.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key of more than {JOB_KEY_MAX_PARTS} parts (at line {line})")


def _check(config: Config) -> None:
    for section, table in config.sections.items():
        if section not in SCHEMA or not isinstance(table, dict):
            raise config.error(section, None, f"unknown section. Known: {', '.join(SCHEMA)}.")
        known = SCHEMA[section]
        for key, value in table.items() if known else ():
            if key not in known:
                raise config.error(section, key, f"unknown key. Known: {', '.join(known)}.")
            # In Python a bool is an int; in a configuration it is a mistake.
            if not isinstance(value, known[key]) or isinstance(value, bool):
                wanted = " or ".join(NAMES[kind] for kind in known[key])
                raise config.error(section, key, f"expected {wanted}, got {show(value)}.")
    for section, key in REQUIRED:
        if config.get(section, key) is None:
            raise config.error(section, key, "missing.")
    if not isinstance(config.get("process", "fit", False), bool):  # 1 == True
        raise config.error("process", "fit", "expected true or false.")
    if not isinstance(config.get("process", "name"), str):
        raise config.error("process", "name", "expected a string.")
    per_year = config.get("data", "per_year", 252)
    if not 0 < per_year <= PER_YEAR_MAX:
        expected = f"expected a number > 0 and at most {PER_YEAR_MAX:g}"
        raise config.error("data", "per_year", f"{expected}, got {per_year}.")
    for section, key in (("data", "file"), ("output", "store"), ("output", "plot")):
        config.file(section, key)
    plot = config.get("output", "plot", "fan.png")
    if Path(plot).suffix not in (".png", ".pdf", ".svg"):
        raise config.error(
            "output", "plot", f"expected a .png, .pdf or .svg file, got {show(plot)}."
        )
    if config.get("process", "fit", False) and not config.get("data", "file"):
        raise config.error("data", "file", "missing, and [process] fit = true needs it.")


def number_of(config: Config, section: str, key: str, default: float) -> float:
    """Return a number that may be written as a fraction, such as "1/252"."""
    value = config.get(section, key, default)
    return fraction(config, section, key, value) if isinstance(value, str) else float(value)


def fraction(config: Config, section: str, key: str, value: str) -> float:
    """Return the number that a text such as "1/252" is.

    Raises
    ------
    ConfigError
        If it is none.
    """
    # Not fractions.Fraction, which would build the integer 10**999999999 of "1e999999999".
    parts = value.split("/")
    try:
        number = plain_number(parts[0]) / (plain_number(parts[1]) if len(parts) == 2 else 1.0)
    except ZeroDivisionError:
        number = math.nan
    if len(parts) > 2 or not math.isfinite(number):
        raise config.error(
            section, key, f'expected a number or a fraction such as "1/252", got {show(value)}.'
        )
    return number


def plain_number(text: str) -> float:
    """Return a decimal number, or NaN if the text is none."""
    plain = text.strip()
    return float(plain) if DECIMAL.fullmatch(plain) else math.nan


def line_of_key(text: str, section: str, key: str | None) -> int:
    """Return the line of a key in TOML text, else of its section, else 1."""
    current, found = "", 1
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("[") and "]" in line:
            current = line.lstrip("[").partition("]")[0].strip().strip("\"'")
            if key is not None and current == f"{section}.{key}":  # a table of its own
                return number
            if current == section:
                found = number
            continue
        match = KEY.match(line)
        name = None if match is None else next(part for part in match.groups() if part is not None)
        if key is not None and current == section and name == key:
            return number
        if not current and name == section:
            found = number
    return found
