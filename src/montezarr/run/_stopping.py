"""The stopping rule of a run in its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montezarr.core.errors import MontezarrError, ReplayError
from montezarr.run.digests import digest_of
from montezarr.samplers.stopping._base import as_rule
from montezarr.samplers.stopping._from_dict import rule_from_dict

FUNCTION = "function"
"""Entry of a rule that is a function of the user: its name."""

UNTIL = "until"
"""Entry of a recipe with the rule, a digest of its functions, and what comes after a stop."""


def stop_to_recipe(until: Any, after: str) -> dict[str, Any]:
    """Return the entries of a recipe for the arguments `until` and `after_stop` of `simulate`."""
    if until is None:
        return {}
    rule = as_rule(until)
    told: dict[str, Any] = {"rule": rule.to_dict(), "after": after}
    if functions := rule.functions():
        told["digest"] = digest_of(functions, UNTIL)
    return {UNTIL: told}


def stop_from_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments `until` and `after_stop` of a recipe, whose content is not trusted.

    Raises
    ------
    ReplayError
        If the rule calls functions, which a recipe does not hold.
    ArgumentTypeError, ArgumentValueError
        If it is no rule.
    """
    if UNTIL not in recipe:
        return {}
    told = recipe[UNTIL]
    if isinstance(told, Mapping) and "digest" in told:
        raise ReplayError("ds: its stopping rule calls a function, which a recipe does not hold.")
    try:
        return {UNTIL: rule_from_dict(told["rule"]), "after_stop": told["after"]}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, MontezarrError):
            raise
        raise ReplayError("ds: its stopping rule is none that montezarr wrote.") from error


def stop_text(told: Any) -> str:
    """Return the rule of a recipe in one line; its content is not trusted."""
    try:
        text = _rule_text(told["rule"])
        return text if told["after"] == "hold" else f"{text}, then NaN"
    except (LookupError, TypeError, AttributeError, RecursionError):
        return str(told)[:80]


def _rule_text(rule: Mapping[str, Any]) -> str:
    name, rules = rule["name"], rule.get("rules")
    if rules is not None:
        joined = " | " if name == "AnyRule" else " & "
        return joined.join(f"({_rule_text(r)})" if "rules" in r else _rule_text(r) for r in rules)
    if (function := rule.get(FUNCTION)) is not None:
        return str(function)
    given = {key: value for key, value in rule.items() if key != "name" and value is not None}
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
