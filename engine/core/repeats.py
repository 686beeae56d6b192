"""Repeats: whether a text goes round in circles, as models do that have lost their thread.

Pure, and cheap enough to be asked while an answer is still arriving.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

GRAM = 6
MOST = 4


def repeats(tokens: Sequence[str], gram: int = GRAM) -> int:
    """How often the most frequent run of `gram` tokens stands in `tokens`; runs may overlap. 0 where there are fewer tokens."""
    counts = Counter(zip(*(tokens[start:] for start in range(gram)), strict=False))
    return max(counts.values(), default=0)


def loops(tokens: Sequence[str], gram: int = GRAM, most: int = MOST) -> bool:
    """Whether one run of `gram` tokens stands there more than `most` times: the text repeats itself. With the tokens of
    `engine.core.text.words` a run is of words, and of characters in Chinese."""
    return len(tokens) >= gram + most and repeats(tokens, gram) > most
