"""Habits: what calls turn out to use of what was estimated for them, so that a quota is not held by tokens that never come.

Pure; a part of an account's ledger.
"""

from __future__ import annotations

import math

from msgspec import structs

from engine.core.types import Usage

ENOUGH, RECENT = 10, 50
"""Answers after which their mean says something, and over how many it runs."""
HIGH = 1.1
"""How much above the mean is expected, so that seldom more comes."""


class Habits:
    """Answers by how many tokens were asked for, which tells the steps apart; prompts all together."""

    def __init__(self) -> None:
        self._answers: dict[int, tuple[int, float]] = {}
        self._prompt = 1.0
        self._expected: tuple[Usage | None, Usage] = None, Usage()
        """The last answer of `expected`, while it holds."""

    def expected(self, usage: Usage) -> Usage:
        """What a call estimated at `usage` will probably weigh, a little on the high side."""
        if usage is not self._expected[0]:
            count, mean = self._answers.get(usage.tokens_out, (0, 0.0))
            answer = min(usage.tokens_out, math.ceil(HIGH * mean) + 1) if count >= ENOUGH else usage.tokens_out
            made = structs.replace(usage, tokens_in=math.ceil(usage.tokens_in * self._prompt), tokens_out=answer)
            self._expected = usage, made
        return self._expected[1]

    def learn(self, usage: Usage, real: Usage) -> None:
        """`usage` was estimated, `real` came."""
        if real.estimated:
            return
        self._expected = None, usage
        count, mean = self._answers.get(usage.tokens_out, (0, 0.0))
        self._answers[usage.tokens_out] = (count + 1, mean + (real.answer - mean) / min(count + 1, RECENT))
        if usage.tokens_in:
            share = 1.02 * real.prompt / usage.tokens_in
            self._prompt = min(1.0, max(0.1, self._prompt + (share - self._prompt) / RECENT))
