"""Licences of what is made of several clips: all of them hold, and some cannot hold together."""

import re
from collections.abc import Iterable

_FREE = re.compile(
    r"(?:cc0|public domain|pddl|unlicense|wtfpl|mit|bsd|apache)\b|cc[ -]by[ -]\d", re.IGNORECASE
)  # they ask for credit at most
_AS_IT_IS = re.compile(r"\bcc[ -]by[ -](?:nc[ -])?nd\b|no[ -]?deriv", re.IGNORECASE)


def is_free(licence: str) -> bool:
    """Say whether a licence asks for no more than credit."""
    return _FREE.match(licence) is not None


def forbids_changes(licence: str) -> bool:
    """Say whether nothing may be made of a work under this licence."""
    return _AS_IT_IS.search(licence) is not None


def joined(licences: Iterable[str]) -> str | None:
    """Return the terms of a work made of works under `licences`: "CC BY 3.0 AND CC0-1.0"; None where they do not mix.

    One licence that asks for more than credit (share-alike, non-commercial, unstated) may be among free ones, not two.
    """
    names = sorted(set(licences))
    if any(forbids_changes(name) for name in names) or sum(not is_free(name) for name in names) > 1:
        return None
    return " AND ".join(names)
