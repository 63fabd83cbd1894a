"""Remove secrets from text: users and passwords in URLs, keys of object stores, tokens.

All text that contains values from outside goes through `redacted`: exceptions, warnings, values in
messages, names of locations, printed lines. It recognises secrets by their position in the text,
and the credentials with which a store was opened by their value, anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from montezarr.core.fork import ForkLock

HIDDEN = "***"
"""Replacement for a secret."""

SECRET_CHARACTERS_MIN = 4
"""Characters from which on a secret is searched for by its value."""

NAMES = (
    r"secret|passw(?:or)?d|passphrase|token|credential|account_?key|access_?key|api_?key"
    r"|private_?key|connection_?string|sas_?key|signature|authorization|cookie"
)
NAME = re.compile(rf"{NAMES}|(?:^|_)(?:key|pw|pwd|pass|auth|sig|sas)$", re.IGNORECASE)
"""Names of options whose values are secrets."""

URL = re.compile(
    r"(?P<scheme>(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*:/{1,3})(?P<rest>[^\s'\"<>|]+)"
)

BARE = re.compile(
    r"(?<![\w/:.+-])(?:[\w.+-]+:(?![/:])[^\s'\"@]{1,512}@(?=[\w\[.-])|[\w.+-]+@(?=[\w.-]+:\d))"
)
"""A user, or a user and a password, before a host in an address without a scheme."""

ENTRY = re.compile(
    rf"((?P<q>['\"])(?:[\w.-]*(?:{NAMES})[\w.-]*|key|pw|pwd|pass|auth|sig|sas)(?P=q)\s*:\s*b?)"
    r"(?P<v>['\"]).*?(?:(?P=v)|$)",
    re.IGNORECASE,
)
"""An entry of a dict, as Python and JSON write it."""

ENVIRONMENT = re.compile(rf"(?:AWS|AZURE|GCS|GOOGLE|DASK|FSSPEC)_?.*(?:{NAMES})", re.IGNORECASE)

_known: frozenset[str] = frozenset()
_lock = ForkLock()


def redacted(text: str) -> str:
    """Return a text without secrets."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if "@" in text or "?" in text:
        text = URL.sub(_without_user, text)
        text = BARE.sub(f"{HIDDEN}@", text)
    return ENTRY.sub(rf"\1\g<v>{HIDDEN}\g<v>", text)


def is_clean(error: BaseException) -> bool:
    """Return whether neither an error nor any of its causes shows a secret."""
    seen: list[BaseException | None] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        text = f"{found} {found!r}"
        if redacted(text) != text:
            return False
        found = found.__cause__ or found.__context__
    return True


def cause_of(error: BaseException) -> BaseException | None:
    """Return an error for use as the cause of another; None if it would show a secret."""
    return error if is_clean(error) else None


def remember_secrets(options: Any) -> None:
    """Record the values of options whose names mark secrets, so that `redacted` hides them."""
    if not isinstance(options, Mapping):
        return
    for name, value in list(options.items()):
        if isinstance(value, Mapping):
            remember_secrets(value)
        elif NAME.search(str(name)):
            _remember(value)


def remember_environment() -> None:
    """Record the secrets that clients of object stores take from the environment."""
    for name, value in os.environ.items():
        if ENVIRONMENT.match(name):
            _remember(value)


def _remember(value: Any) -> None:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(text, str) and len(text) >= SECRET_CHARACTERS_MIN:
        global _known
        with _lock:  # readers need no lock: they see the old set or the new one
            _known |= {text, quote(text, safe=""), unquote(text)}


def _without_user(found: re.Match[str]) -> str:
    """Return a URL without user, password and query.

    A password may contain slashes: all text between a colon in the host and a later @ counts as
    one.
    """
    rest, mark, query = found["rest"].partition("?")
    host = rest.partition("/")[0]
    at = rest.rfind("@") if ":" in host and "@" not in host else host.rfind("@")
    rest = rest if at < 0 else f"{HIDDEN}{rest[at:]}"
    return f"{found['scheme']}{rest}{mark}{HIDDEN if '=' in query else query}"
