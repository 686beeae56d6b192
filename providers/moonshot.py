"""Moonshot (Kimi), in OpenAI's dialect. A 429 may be a rate, a balance used up, or the engine's load: its type says which.

Pure. Source: Moonshot's pages on the chat completion, errors, limits, and the parameters of Kimi K2.5 and later, which refuse any
value but their own (2026).
"""

from __future__ import annotations

import re

from engine.core.faults import FaultKind
from engine.core.types import Chat
from providers.openai import OpenAI
from providers.profile import Enforced, Profile, Rule

PROFILE = Profile(
    homes=("https://api.moonshot.cn/v1", "https://api.moonshot.ai/v1"),
    key="env:MOONSHOT_API_KEY",
    accepts=(Chat,),
    refuses=("seed", "logit_bias"),
    rules=(
        Rule(
            re.compile(r"kimi-k(?:2\.[5-9]|[3-9])|kimi-latest"), ("temperature", "top_p", "presence_penalty", "frequency_penalty")
        ),
    ),
    hottest=1.0,
    stops=5,
    longest_stop=32,
    schema=Enforced.OBJECT,
    asks_usage=False,
    codes={
        "exceeded_current_quota_error": FaultKind.QUOTA,
        "rate_limit_reached_error": FaultKind.RATE,
        "engine_overloaded_error": FaultKind.OVERLOAD,
        "incorrect_api_key_error": FaultKind.AUTH,
        "invalid_authentication_error": FaultKind.AUTH,
        "permission_denied_error": FaultKind.AUTH,
        "resource_not_found_error": FaultKind.AUTH,
    },
)

PROVIDER = OpenAI(PROFILE)
