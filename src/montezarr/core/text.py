"""Cards that show an object to people: text in a terminal, HTML in a notebook."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

CARD_COLUMNS, CARD_LINES, CARD_ROWS = 100, 20, 12
"""Columns and lines of a card as text, and rows of a table, at most."""

CARD_ENTRY_CHARACTERS = 400
"""Characters of an entry that are shown, at most."""

# Text inherits the colours of the page, to fit dark pages too; lines between the rows have the
# colour of JupyterLab, or a grey that is visible on white and on black.
_LINE = "1px solid var(--jp-border-color2, rgba(128,128,128,0.35))"
_BOX = "display:inline-block;max-width:60em;text-align:left;line-height:1.45"
_TITLE = f"font-weight:600;padding:0 0 3px 0;margin:0 0 5px 0;border-bottom:{_LINE}"
_LIST = "display:grid;grid-template-columns:max-content auto;gap:1px 1.2em;margin:0;padding:0"
_TERM = "font-weight:normal;opacity:0.65;margin:0;padding:0;float:none;width:auto"
_ENTRY = "margin:0;padding:0;float:none;width:auto;overflow-wrap:anywhere"
_TABLE = "border-collapse:collapse;border:none;margin:8px 0 0 0;font-size:inherit"
_ROW = "background:none"
_CELL = (
    f"padding:2px 1.2em 2px 0;border:none;border-bottom:{_LINE};"
    "text-align:{};background:none;white-space:nowrap"
)


class Formula(str):
    """A mathematical entry of a card: unchanged in text, with italics and indices in HTML."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A title, labelled entries, and a table.

    Attributes
    ----------
    title : str
        What the object is, in one line.
    rows : sequence of (label, entry)
        Entries; a `Formula` is set as mathematics. An entry with an empty label continues the one
        before it.
    table : sequence of rows of str
        The first row is the header; the first column is text, and the others are numbers.
    note : str
        A line at the end.
    """

    title: str
    rows: Sequence[tuple[str, str]] = ()
    table: Sequence[Sequence[str]] = ()
    note: str = ""

    def text(self) -> str:
        """Return at most 20 lines of at most 100 columns, with the entries aligned."""
        lines = textwrap.wrap(plain(self.title), CARD_COLUMNS, subsequent_indent="    ")
        width = max((len(label) for label, _ in self.rows), default=0)
        for label, entry in self.rows:
            first = f"  {label:<{width}}  "
            lines += textwrap.wrap(
                plain(entry),
                CARD_COLUMNS,
                initial_indent=first,
                subsequent_indent=" " * len(first),
                break_long_words=True,
            ) or [first.rstrip()]
        lines += self._table_lines()
        lines += textwrap.wrap(
            plain(self.note), CARD_COLUMNS, initial_indent="  ", subsequent_indent="  "
        )
        if len(lines) > CARD_LINES:
            lines = [*lines[: CARD_LINES - 1], f"  and {len(lines) - CARD_LINES + 1:,} more lines"]
        return for_terminal("\n".join(lines))

    def html(self) -> str:
        """Return an escaped HTML fragment that needs no other files."""
        parts = [f'<div style="{_TITLE}">{_escaped(self.title)}</div>']
        if self.rows:
            entries = "".join(
                f'<dt style="{_TERM}">{_escaped(label)}</dt>'
                f'<dd style="{_ENTRY}">{_cell(entry)}</dd>'
                for label, entry in self.rows
            )
            parts.append(f'<dl style="{_LIST}">{entries}</dl>')
        if self.table:
            head, *body = _shown(self.table)
            rows = [_row("th", head), *(_row("td", row) for row in body)]
            parts.append(f'<table style="{_TABLE}">{"".join(rows)}</table>')
        if self.note:
            parts.append(f'<div style="opacity:0.65;margin-top:5px">{_escaped(self.note)}</div>')
        return f'<div class="montezarr" style="{_BOX}">{"".join(parts)}</div>'

    def _table_lines(self) -> list[str]:
        if not self.table:
            return []
        rows = [[plain(cell) for cell in row] for row in _shown(self.table)]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            first, *others = (
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(["", first, *others]).rstrip()[:CARD_COLUMNS])
        return lines


def _shown(table: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    if len(table) <= CARD_ROWS + 1:
        return list(table)
    rest = len(table) - CARD_ROWS - 1
    return [*table[: CARD_ROWS + 1], [f"and {rest:,} more", *[""] * (len(table[0]) - 1)]]


def plain(text: str) -> str:
    """Return text that cannot move the cursor, colour the terminal or reverse the text direction.

    Names in a store are untrusted.
    """
    clean = "".join(c if c.isprintable() else " " for c in text)
    return (
        clean if len(clean) <= CARD_ENTRY_CHARACTERS else clean[: CARD_ENTRY_CHARACTERS - 3] + "..."
    )


_ASCII = {
    "×": "x", "−": "-", "–": "-", "…": "...", "±": "+/-", "≈": "~", "·": "*", "√": "sqrt ",
    "⟨": "<", "⟩": ">", "µ": "u",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu",
    "ξ": "xi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi",
    "ω": "omega",
}  # fmt: skip
"""ASCII replacements for symbols that a terminal cannot show."""


def for_terminal(text: str) -> str:
    """Return text that standard output can encode: unchanged if possible, else in ASCII.

    Examples
    --------
    >>> as_ascii("dX₁ = σ √V dW, 3 × 4")
    'dX_1 = sigma sqrt V dW, 3 x 4'
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return as_ascii(text)
    return text


def as_ascii(text: str) -> str:
    """Return text in ASCII: symbols by name, indices after _ and ^, other characters escaped."""
    text = re.sub("[₀-₉₊₋ₖᵢⱼₙₜ]+", lambda m: f"_{m[0].translate(_SUBSCRIPTS)}", text)
    text = re.sub("[⁰¹²³⁴-⁹⁺⁻ⁿᵏ]+", lambda m: f"^{m[0].translate(_SUPERSCRIPTS)}", text)
    text = "".join(_ASCII.get(letter, letter) for letter in text)
    return text.encode("ascii", "backslashreplace").decode()


def _escaped(text: str) -> str:
    return escape(plain(text))


def _cell(entry: str) -> str:
    return formula(entry) if isinstance(entry, Formula) else _escaped(entry)


def _row(tag: str, cells: Sequence[str]) -> str:
    made = "".join(
        f'<{tag} style="{_CELL.format("right" if i else "left")}">{_cell(cell)}</{tag}>'
        for i, cell in enumerate(cells)
    )
    return f'<tr style="{_ROW}">{made}</tr>'


_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋ₖᵢⱼₙₜ", "0123456789+−kijnt")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵏ", "0123456789+−nk")
_TOKEN = (
    r"(?P<number>\d[\d.,]*(?:e[+-]?\d+)?)"
    r"|(?P<sub>[₀-₉₊₋ₖᵢⱼₙₜ]+)"
    r"|(?P<sup>[⁰¹²³⁴-⁹⁺⁻ⁿᵏ]+)"
    r"|(?P<word>[^\W\d_₀-₉ₖᵢⱼₙₜ⁰¹²³⁴-⁹ⁿᵏ]+)"
    r"|(?P<rest>.)"
)


def formula(text: str) -> str:
    """Return mathematics written in Unicode as HTML, with italic symbols, and indices as tags.

    Examples
    --------
    >>> formula("dX = σ X dW")
    'd<i>X</i> = <i>σ</i> <i>X</i> d<i>W</i>'
    """
    parts, text = [], plain(text)
    for match in re.finditer(_TOKEN, text, re.DOTALL):
        token = escape(match.group())
        if match.lastgroup == "sub":
            token = f'<sub style="line-height:0">{_italic(token.translate(_SUBSCRIPTS))}</sub>'
        elif match.lastgroup == "sup":
            token = f'<sup style="line-height:0">{_italic(token.translate(_SUPERSCRIPTS))}</sup>'
        elif match.lastgroup == "word":
            token = _word(token, text[match.end() : match.end() + 1])
        parts.append(token)
    return "".join(parts)


def _word(token: str, following: str) -> str:
    if token == "d" and following == "⟨":  # the d of a differential is upright
        return token
    if len(token) == 1:
        return f"<i>{token}</i>"
    return f"d<i>{token[1]}</i>" if len(token) == 2 and token[0] == "d" else token


def _italic(token: str) -> str:
    return re.sub(r"[a-z]", lambda letter: f"<i>{letter.group()}</i>", token)


def duration(seconds: float) -> str:
    """Return a time with the units that a person would use.

    Examples
    --------
    >>> duration(1.3e-6), duration(0.25), duration(135), duration(30_000)
    ('1.3 µs', '250 ms', '2 min 15 s', '8 h 20 min')
    """
    if not seconds < float("inf"):
        return "unknown"
    for unit, size, next_size in (("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0)):
        if seconds < 0.9995 * next_size:
            return f"{seconds / size:.3g} {unit}"
    for unit, size, small, part, most in (
        ("min", 60, "s", 1, 7200),
        ("h", 3600, "min", 60, 172_800),
        ("days", 86_400, "h", 3600, float("inf")),
    ):
        rounded = round(seconds / part) * part
        if rounded < most:
            whole, rest = divmod(rounded, size)
            return f"{int(whole):,} {unit} {int(rest) // part} {small}"
    raise AssertionError


def speed(paths_per_second: float) -> str:
    """Return a speed with three digits: ``1,230,000 paths/s``."""
    if not 100 <= paths_per_second < 1e15:
        return f"{paths_per_second:.3g} paths/s"
    digits = 3 - len(f"{paths_per_second:.0f}")
    return f"{round(paths_per_second, digits):,.0f} paths/s"


def number(value: Any) -> str:
    """Return one value of an array, usually a number, in a few characters.

    Examples
    --------
    >>> number(1 / 3), number(12_345), number("up")
    ('0.333333', '12,345', 'up')
    """
    is_date = getattr(getattr(value, "dtype", None), "kind", "") in tuple("mM")
    item = value.item() if hasattr(value, "item") and not is_date else value
    if isinstance(item, int) and not isinstance(item, bool):
        return f"{item:,}"
    return f"{item:.6g}" if isinstance(item, float) else plain(str(item))


def count_text(number: int, name: str) -> str:
    """Return a number of things: ``1 worker``, ``2,000 workers``."""
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def show_bytes(count: float) -> str:
    """Return a size with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(count) < 1024 or unit == "PiB":
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    raise AssertionError
