"""Licences of exported data: a folder for each, since terms are not mixed, and what the Hub calls them."""

import hashlib
import re
from collections.abc import Iterable

_HUB_LICENCES = {
    "cc0-1.0",
    *(f"cc-by-{v}" for v in ("2.0", "2.5", "3.0", "4.0")),
    *(f"cc-by-sa-{v}" for v in ("3.0", "4.0")),
    *(f"cc-by-nc-{v}" for v in ("2.0", "3.0", "4.0")),
    *(f"cc-by-nd-{v}" for v in ("3.0", "4.0")),
    *(f"cc-by-nc-sa-{v}" for v in ("2.0", "3.0", "4.0")),
    *(f"cc-by-nc-nd-{v}" for v in ("3.0", "4.0")),
    *("apache-2.0", "mit", "unlicense", "wtfpl", "pddl", "odbl", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "bsd-3-clause"),
}


def folders_of(licences: Iterable[str]) -> dict[str, str]:
    """Return a folder's name for each licence; no two licences share one."""
    folders: dict[str, str] = {}
    for licence in sorted(set(licences)):
        name = _slug(licence)
        if name in folders.values():
            name = f"{name}-{hashlib.sha256(licence.encode()).hexdigest()[:8]}"
        folders[licence] = name
    return folders


def hub_licence(licence: str) -> list[str]:
    """Return the lines of a card's front matter that name the licence, by the Hub's identifiers where it knows it."""
    name = _slug(licence)
    if name in _HUB_LICENCES:
        return [f"license: {name}"]
    return ["license: unknown"] if licence == "unstated" else ["license: other", f"license_name: {name}"]


def _slug(licence: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-.")[:60] or "licence"
