"""Rules by their form in recipes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from montezarr.core.checks import value_error
from montezarr.core.lazy import public_subclasses
from montezarr.samplers import stopping
from montezarr.samplers.stopping._base import AllRules, AnyRule, StoppingRule

COMBINED = {"AnyRule": AnyRule, "AllRules": AllRules}
"""By name, the rules that are made of others."""

NESTED_MAX = 64
"""Rules within one another, at most: a recipe of others may be of any depth."""


@cache
def built_in_rules() -> dict[str, type[StoppingRule]]:
    """Return every built-in rule by name; stores may name these alone."""
    return public_subclasses(stopping.__name__, StoppingRule)


def rule_from_dict(data: Any, depth: int = 0) -> StoppingRule:
    """Return the rule that `to_dict` described.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        If it is none of the built-in ones, or a parameter is invalid.
    """
    known = built_in_rules()
    name = data.get("name") if isinstance(data, Mapping) else data
    if not isinstance(name, str) or depth > NESTED_MAX:
        raise value_error("until", f"one of {', '.join([*known, *COMBINED])}", name)
    if name in COMBINED:
        rules = data.get("rules")
        if not isinstance(rules, (list, tuple)) or not rules:
            raise value_error("until", "a list of rules", rules)
        return COMBINED[name](tuple(rule_from_dict(rule, depth + 1) for rule in rules))
    if name not in known:
        raise value_error("until", f"one of {', '.join([*known, *COMBINED])}", name)
    return known[name].from_dict(data)
