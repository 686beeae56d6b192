"""Repeats: whether a text goes round in circles, as models do that have lost their thread.

Pure. A finished text is measured here; what ends an answer while it still arrives is `engine.core.loops`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

GRAM = 6
"""Tokens of a run."""


def repeats(tokens: Sequence[str], gram: int = GRAM) -> int:
    """How often the most frequent run of `gram` tokens stands in `tokens`; runs may overlap. 0 where there are fewer tokens."""
    counts = Counter(zip(*(tokens[start:] for start in range(gram)), strict=False))
    return max(counts.values(), default=0)
