"""Examples for the tests of what an export is made of."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

from engine.exports.example import Example
from engine.exports.rows import Setting
from engine.exports.settings import Settings

quick = settings(max_examples=50, deadline=None, derandomize=True)
"""For property tests: what is drawn is the same every time, and may take as long as it does."""

STEPS = ("instruct", "classify", "instance")

HOSTILE = (
    'quotes " and \' and \\ and """',
    "lines\nand\r\nreturns\rand\ttabs\n",
    "\x00 a NUL, \x07 a bell, \x1b an escape, \x7f",
    "emoji 👩‍👩‍👧 🏳️‍🌈 𝒳",
    "\u202eright to left\u202c \u200f \u2066",
    "other breaks \x85 \u2028 \u2029 \x0b \x0c \x1c",
    "</script><script>alert(1)</script> & <b>",
    "{instruction} {input} {output} %s $HOME `id`",
    "=1+1\tand @SUM(A1)",
    "\ufeffa mark in front, \ufffe and \uffff",
    "中文，标点。“引号” 全角＝１＋１",
)
"""Texts that break a careless writer or reader of files; all of them are valid Unicode."""

LONG = "long " + "x" * 1_000_000


def example(n: int = 0, **changes: Any) -> Example:
    """The instance `n` of an instruction, answered by the lane `main`; changes to its fields."""
    fields: dict[str, Any] = {
        "id": f"instance/{n}.0",
        "instruction": f"Name river number {n}.",
        "input": "",
        "output": f"River {n}.",
        "language": "en",
        "ids": {"instruct": f"instruct/{n}.0", "classify": f"classify/{n}.0", "instance": f"instance/{n}.0"},
        "lanes": dict.fromkeys(STEPS, "main"),
        "models": dict.fromkeys(STEPS, "m-1"),
        "times": {step: 100.0 + place for place, step in enumerate(STEPS)},
        "classification": False,
    }
    return Example(**(fields | changes))


def setting(**chosen: Any) -> Setting:
    return Setting(seed=7, steps=STEPS, first="instruct", chosen=Settings(**chosen))
