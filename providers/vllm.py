"""vLLM's server, in OpenAI's dialect. It has no limit: calls wait in its queue.

Pure. Source: vLLM's pages on its OpenAI-compatible server and structured outputs, and its protocol's classes (2026). Errors are
nested, or flat in older versions; a stream that fails has an error and then its end.
"""

from __future__ import annotations

from providers.openai import OpenAI
from providers.profile import Profile

PROFILE = Profile(homes=("http://127.0.0.1:8000/v1",))

PROVIDER = OpenAI(PROFILE)
