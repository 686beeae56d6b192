"""OpenRouter, in OpenAI's dialect: many vendors behind one key. Errors after the headers come under HTTP 200, with their status
in the body.

Pure. Source: OpenRouter's pages on errors, streaming, limits, parameters and structured outputs (2026). It leaves out by itself
what a model does not take.
"""

from __future__ import annotations

from providers.openai import OpenAI
from providers.profile import Enforced, Profile

PROFILE = Profile(
    homes=("https://openrouter.ai/api/v1",),
    key="env:OPENROUTER_API_KEY",
    schema_of_completions=Enforced.WORDS,
    asks_usage=False,
)

PROVIDER = OpenAI(PROFILE)
