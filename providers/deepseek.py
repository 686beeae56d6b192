"""DeepSeek, in OpenAI's dialect. Its limit is the number of calls at once, from sending to the last byte.

Pure. Source: DeepSeek's API guide (2026): chat completion, error codes, rate limit, context caching, JSON output. While a call
waits its turn, blank lines come before the JSON, and comments before a stream. Its FIM completions: `openai` at `/beta`.
"""

from __future__ import annotations

import re

from engine.core.types import Chat, Stop
from providers.openai import OpenAI
from providers.profile import Enforced, Profile, Rule

PROFILE = Profile(
    homes=("https://api.deepseek.com", "https://api.deepseek.com/v1"),
    key="env:DEEPSEEK_API_KEY",
    accepts=(Chat,),
    refuses=("seed", "logit_bias"),
    rules=(Rule(re.compile("reasoner"), ("temperature", "top_p", "presence_penalty", "frequency_penalty")),),
    stops=16,
    schema=Enforced.OBJECT,
    finishes={"insufficient_system_resource": Stop.BROKEN},  # the server gave up; what came was paid for
)

PROVIDER = OpenAI(PROFILE)
