"""llama.cpp's server, in OpenAI's dialect. It serves one model, and calls beyond its slots wait.

Pure. Source: the README of llama.cpp's server (2026). A schema stands in `response_format` for chats, in a field of its own for
completions. While it reads a long prompt, comments keep a stream alive; while it loads, it answers 503.
"""

from __future__ import annotations

from providers.openai import OpenAI
from providers.profile import Enforced, Profile

PROFILE = Profile(
    homes=("http://127.0.0.1:8080/v1",),
    models=False,
    no_top_p=False,
    schema_of_completions=Enforced.FIELD,
)

PROVIDER = OpenAI(PROFILE)
