"""Made-up instructions for the benches: seeded, endless, with a word distribution and a share of near-duplicates as in real ones.

How: words follow Zipf's law with Mandelbrot's shift, p(r) ~ 1 / (r + 2.7) over 50,000 ranks, which is English to a good
approximation. Lengths are log-normal with median 15 and sigma 0.45, cut at 4 and 80. Of the texts, 30% are an earlier one, recent
ones more likely, with 0 to 5 words replaced, inserted or left out: at a threshold of 0.7 about a quarter of a stream of 52,000 is
dropped. Nothing here was tuned to the index.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

VOCABULARY = 50_000
NEAR = 0.3
BLOCK = 10_000


def texts(seed: int = 0) -> Iterator[str]:
    """The corpus, one text after the other, without end."""
    numbers = np.random.default_rng(seed)
    rng = random.Random(seed)
    weights = 1 / (np.arange(1, VOCABULARY + 1) + 2.7)
    weights /= weights.sum()
    recent: list[list[str]] = []
    while True:
        lengths = np.clip(np.exp(numbers.normal(np.log(15), 0.45, BLOCK)), 4, 80).astype(int)
        drawn = iter(numbers.choice(VOCABULARY, size=int(lengths.sum()) + 6 * BLOCK, p=weights).tolist())
        for length in lengths.tolist():
            if recent and rng.random() < NEAR:
                back = min(int(rng.expovariate(1 / (0.1 * len(recent) + 1))), len(recent) - 1)
                words = list(recent[-1 - back])
                for _ in range(rng.randint(0, 5)):
                    _edit(words, f"w{next(drawn)}", rng)
            else:
                words = [f"w{next(drawn)}" for _ in range(length)]
            recent.append(words)
            if len(recent) > 2 * BLOCK:
                del recent[:BLOCK]
            yield " ".join(words)


def _edit(words: list[str], word: str, rng: random.Random) -> None:
    place, kind = rng.randrange(len(words)), rng.random()
    if kind < 0.5:
        words[place] = word
    elif kind < 0.75 or len(words) <= 4:
        words.insert(place, word)
    else:
        del words[place]
