"""Randomness keyed by name, never by order: which call runs first, or on which machine, does not matter.

Pure; anybody may import it.
"""

from __future__ import annotations

import hashlib
from random import Random


def stream(seed: int, *key: str | int) -> Random:
    """A random stream of its own for `(seed, *key)`: the same key draws the same numbers in every process."""
    name = "\x1f".join([f"{type(part).__name__}:{part}" for part in (seed, *key)])
    return Random(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest(), "big"))


def digest(text: str) -> str:
    """8-byte hash of a text as 16 hexadecimal digits; lone surrogates are allowed."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
