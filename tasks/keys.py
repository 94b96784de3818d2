"""What makes two results the same: the key over function, version, parameters and the content of the input."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class StoredFunction:
    """A function whose results are kept: its version is raised whenever they change (tests/functions.json watches)."""

    name: str
    version: str
    module: str
    libraries: tuple[str, ...]  # distributions, besides our own code, that its numbers depend on


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: keys sorted, no spaces, floats exact.

    Raises ValueError for what JSON would change (tuples, keys that are not text, NaN, objects, text that is not
    Unicode): a stored result and a fresh one must be equal.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"not plain JSON ({error}): {value!r:.200}") from error
    if json.loads(text) != value:
        raise ValueError(f"changes on its way through JSON (use lists and text keys): {value!r:.200}")
    return text


def key_of(function: str, version: str, params: Mapping[str, Any], input_hash: str) -> str:
    """Return the key of a result: the sha256, in hex, of the canonical JSON of all four."""
    return key_of_json(function, version, canonical_json(dict(params)), input_hash)


def key_of_json(function: str, version: str, params_json: str, input_hash: str) -> str:
    """Return the same key, given the parameters' canonical JSON (made once for many inputs)."""
    if not isinstance(version, str) or not isinstance(input_hash, str):
        raise TypeError(f"version and input_hash are text, not {version!r} and {input_hash!r}")
    texts = [_ENCODER.encode(text) for text in (function, input_hash, version)]
    text = f'{{"function":{texts[0]},"input_hash":{texts[1]},"params":{params_json},"version":{texts[2]}}}'
    return hashlib.sha256(text.encode()).hexdigest()
