"""A recipe of the benches' own that asks about each document once: Alpaca's question, reader, checks and comparison.

A run of it makes exactly as many calls as there are documents, however many are in flight. Pure, as every recipe is.
"""

from __future__ import annotations

from dataclasses import replace

from engine.core.recipe import INPUT
from engine.recipes import alpaca


class Options(alpaca.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alpaca's, and how many documents are drawn of all."""

    sample: int | None = None


_STEP = alpaca.RECIPE.steps[0]
# its name stays, which is where its templates are found
RECIPE = replace(
    alpaca.RECIPE,
    steps=(replace(_STEP, name="answer", source=INPUT, show=None),),
    options=Options,
    reads=("text",),
)
