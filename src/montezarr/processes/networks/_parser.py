"""Parser of reactions and of rate expressions: recursive descent over a list of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from montezarr.core.checks import did_you_mean
from montezarr.core.errors import ArgumentValueError
from montezarr.processes.networks._expressions import (
    FUNCTIONS,
    INFIX,
    TIME_NAME,
    Expression,
    Name,
    Number,
    Operation,
    is_condition,
)

DEPTH_MAX = 64
"""Brackets and operators inside each other, at most."""

COUNT_MAX = 2**53 - 1
"""The largest number of molecules: the loops count in float64."""

CONSTANTS = {"pi": 3.141592653589793}

RESERVED = {*FUNCTIONS, *CONSTANTS, TIME_NAME, "and", "or", "not"}
"""Names that are no species and no parameter."""

EVENT_NAMES = {"event", "event_time", "reaction", "n_events", "truncated"}
"""Names of variables and the dimension of events: no species and no parameter beside them."""

RUN_NAMES = {"x0", "dt"}
"""Names that ``vary=`` of `simulate` takes as its own arguments: no parameters."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*|∅)"
    r"|(?P<sign><->|->|=>|\*\*|<=|>=|==|!=|[-+*/^()<>,@:;=]))"
)


class Token(NamedTuple):
    """A part of a text: its kind, its characters, and where it begins."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Side:
    """The molecules on one side of a reaction: names, their numbers, and where each begins."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def text(self) -> str:
        """The side as text."""
        parts = [
            name if n == 1 else f"{n} {name}"
            for name, n in zip(self.names, self.counts, strict=True)
        ]
        return " + ".join(parts) or "0"


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction in one direction.

    Attributes
    ----------
    reactants, products : Side
        What it takes, and what it gives.
    rate : Expression
        Its rate constant, or its whole propensity.
    is_mass_action : bool
        Whether the rate is that of one combination of reactants.
    """

    reactants: Side
    products: Side
    rate: Expression
    is_mass_action: bool

    @property
    def text(self) -> str:
        """The reaction without its rate."""
        arrow = "->" if self.is_mass_action else "=>"
        return f"{self.reactants.text} {arrow} {self.products.text}"


@dataclass(frozen=True, slots=True)
class Intervention:
    """What happens to the state when a condition becomes true: an event, as SBML calls it.

    Attributes
    ----------
    condition : Expression
        When it turns from false to true, the intervention is triggered.
    assignments : tuple of (str, Expression)
        New values of species and parameters.
    delay, priority : Expression or None
        Time from the trigger to the execution; the larger priority comes first at one time.
    from_start : bool
        Whether a condition that is true at the start triggers it.
    cancelled : bool
        Whether it is not executed if the condition ends before.
    late : bool
        Whether new values are computed when it is executed, not when it is triggered.
    places : tuple of int
        Where the names that are assigned stand in the text.
    """

    condition: Expression
    assignments: tuple[tuple[str, Expression], ...]
    delay: Expression | None
    priority: Expression | None
    from_start: bool
    cancelled: bool
    late: bool
    places: tuple[int, ...]
    text: str


class Parser:
    """A text, its tokens and the place up to which it is read.

    Parameters
    ----------
    label : str
        What the text is, for messages.
    text : str
        The text.
    """

    def __init__(self, label: str, text: str):
        self.label, self.text, self.place, self.depth = label, text, 0, 0
        self.tokens: list[Token] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                start = at + len(text[at:]) - len(text[at:].lstrip())
                self.fail("a number, a name or an operator", start, repr(text[start]))
            kind = str(found.lastgroup)
            self.tokens.append(Token(kind, found[kind], found.start(kind)))
            at = found.end()
        self.tokens.append(Token("end", "", len(text.rstrip())))

    def fail(self, expected: str, at: int, got: str, hint: str = "") -> NoReturn:
        """Raise the error of a place in the text."""
        raise ArgumentValueError(
            f"{self.label}: expected {expected} at position {at}, got {got}.{' ' * bool(hint)}"
            f"{hint}\n  {self.text}\n  {' ' * at}^"
        )

    @property
    def next(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    def wrong(self, expected: str) -> NoReturn:
        """Raise for the next token."""
        shown = "the end" if self.next.kind == "end" else repr(self.next.text)
        self.fail(expected, self.next.at, shown)

    def take(self, *texts: str) -> Token | None:
        """Return the next token and go on if it is one of these; else None."""
        token = self.next
        if token.kind in ("sign", "name") and token.text in texts:
            self.place += 1
            return token
        return None

    def need(self, text: str, expected: str = "") -> Token:
        """Return the next token and go on, or raise if it is another one."""
        return self.take(text) or self.wrong(expected or repr(text))

    def name(self, expected: str) -> Token:
        """Return a name that is not reserved, and go on."""
        token = self.next
        if token.kind != "name" or token.text in RESERVED or token.text == "∅":
            self.wrong(expected)
        self.place += 1
        return token

    def end(self) -> None:
        """Raise unless the whole text is read."""
        if self.next.kind != "end":
            self.wrong("an operator or the end")

    # --- expressions --------------------------------------------------------------------------

    def expression(self) -> Expression:
        """Return a number's tree, and go on to what comes after it."""
        at = self.next.at
        tree = self._binary(0)
        if is_condition(tree):
            self.fail("a number", at, "a condition", "Write where(condition, a, b).")
        return tree

    def condition(self) -> Expression:
        """Return a condition's tree, and go on to what comes after it."""
        at = self.next.at
        tree = self._binary(0)
        if not is_condition(tree):
            self.fail("a condition", at, "a number", "Compare it, as in X > 0.")
        return tree

    def _deeper(self, read: Callable[[], Expression]) -> Expression:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            self.fail(f"at most {DEPTH_MAX} brackets in each other", self.next.at, "more")
        tree = read()
        self.depth -= 1
        return tree

    def _binary(self, lowest: int) -> Expression:
        """Read operands with operators between them that bind more tightly than `lowest`."""
        left, at = self._prefix(), self.next.at
        compared = False
        while True:
            operator = self._operator()
            level = INFIX.get(operator, 0)
            if level <= lowest:
                return left
            if level == INFIX["<"]:
                if compared:
                    self.wrong("one comparison (join two by 'and')")
                compared = True
            self.place += 1
            at = self.next.at
            # A power has the one on its right inside: a ** b ** c is a ** (b ** c).
            below = level - 1 if operator == "**" else level
            right = self._deeper(lambda below=below: self._binary(below))  # type: ignore[misc]
            wants_conditions = operator in ("and", "or")
            for tree in (left, right):
                if is_condition(tree) != wants_conditions:
                    kind = "conditions" if wants_conditions else "numbers"
                    self.fail(f"{kind} around {operator!r}", at, "the other")
            left = Operation(operator, (left, right))

    def _operator(self) -> str:
        text = self.next.text
        return "**" if text == "^" else text

    def _prefix(self) -> Expression:
        if self.take("+"):
            return self._prefix()
        if self.take("-"):
            inside = self._deeper(lambda: self._binary(INFIX["*"]))
            return Operation("neg", (inside,))
        if self.take("not"):
            at = self.next.at
            inside = self._deeper(lambda: self._binary(INFIX["and"]))
            if not is_condition(inside):
                self.fail("a condition after 'not'", at, "a number")
            return Operation("not", (inside,))
        return self._atom()

    def _atom(self) -> Expression:
        token = self.next
        if token.kind == "number":
            self.place += 1
            return Number(float(token.text))
        if self.take("("):
            inside = self._deeper(lambda: self._binary(0))
            self.need(")")
            return inside
        if token.kind == "name" and token.text in FUNCTIONS:
            self.place += 1
            return self._call(token)
        if token.kind == "name" and token.text not in ("and", "or", "not", "∅"):
            self.place += 1
            if self.next.text == "(":
                hint = did_you_mean(token.text, FUNCTIONS) or f"Known: {', '.join(FUNCTIONS)}."
                self.fail("a known function", token.at, repr(token.text), hint)
            if token.text in CONSTANTS:
                return Number(CONSTANTS[token.text])
            return Name(token.text, token.at)
        return self.wrong("a number, a name or '('")

    def _call(self, function: Token) -> Expression:
        self.need("(", f"'(' after {function.text}")
        arguments: list[Expression] = []
        while True:
            is_first = function.text == "where" and not arguments
            read = self.condition if is_first else self.expression
            arguments.append(self._deeper(read))
            if not self.take(","):
                break
        wanted = FUNCTIONS[function.text]
        if len(arguments) != wanted:
            self.fail(f"{wanted} arguments of {function.text}", function.at, f"{len(arguments)}")
        self.need(")", "',' or ')'")
        return Operation(function.text, tuple(arguments))

    # --- reactions ----------------------------------------------------------------------------

    def reactions(self) -> tuple[Reaction, ...]:
        """Return the reaction of the whole text: two for one that can go back."""
        left = self.side()
        arrow = self.take("->", "=>", "<->")
        if arrow is None:
            self.wrong("'->', '=>' or '<->'")
        right = self.side()
        self.need("@", "'@' and a rate")
        rates = [self.expression()]
        if arrow.text == "<->":
            self.need(",", "',' and the rate of the way back")
            rates.append(self.expression())
        self.end()
        is_mass_action = arrow.text != "=>"
        there = Reaction(left, right, rates[0], is_mass_action)
        if len(rates) == 1:
            return (there,)
        return there, Reaction(right, left, rates[1], is_mass_action)

    def intervention(self) -> Intervention:
        """Return the intervention of the whole text."""
        self.need("when", "'when' and a condition")
        condition = self.condition()
        delay = self.expression() if self.take("after") else None
        priority = self.expression() if self.take("priority") else None
        flags = {word: self.take(word) is not None for word in ("from_start", "cancelled", "late")}
        self.need("set", "'set' and what is set, or 'after', 'priority'")
        found, places = [], []
        while True:
            token = self.name("the name of a species or parameter")
            self.need("=", "'=' and a value")
            found.append((token.text, self.expression()))
            places.append(token.at)
            if not self.take(","):
                break
        self.end()
        return Intervention(
            condition,
            tuple(found),
            delay,
            priority,
            **flags,
            places=tuple(places),
            text=self.text,
        )

    def side(self) -> Side:
        """Return the molecules up to the arrow, or the rate."""
        if self.take("∅"):
            return Side((), (), ())
        if self.next.text == "0" and self.tokens[self.place + 1].text in ("->", "=>", "<->", "@"):
            self.place += 1
            return Side((), (), ())
        found: dict[str, tuple[int, int]] = {}
        while True:
            count = 1
            if self.next.kind == "number":
                if not self.next.text.isdigit() or int(self.next.text) == 0:
                    self.wrong("a whole number of molecules, at least 1")
                count = self._count(self.next.text)
                self.place += 1
                self.take("*")
            token = self.name("the name of a species")
            known = found.get(token.text, (0, token.at))
            found[token.text] = known[0] + count, known[1]
            if known[0] + count > COUNT_MAX:
                self.fail("fewer than 2**53 molecules in all", token.at, f"{known[0] + count}")
            if not self.take("+"):
                break
        counts, places = zip(*found.values(), strict=True)
        return Side(tuple(found), counts, places)

    def _count(self, digits: str) -> int:
        """Return the number of molecules that the next token is."""
        if len(digits) > 64 or int(digits) > COUNT_MAX:
            self.wrong("fewer than 2**53 molecules")
        return int(digits)
