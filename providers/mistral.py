"""Mistral, in OpenAI's dialect: seeds have another name, reasoning comes as parts of the content, errors are flat.

Pure. Source: Mistral's API reference and its Python client's models (2026). Its limits are told in `x-ratelimitbysize-*` and
`ratelimitbysize-reset`.
"""

from __future__ import annotations

from engine.core.faults import FaultKind
from engine.core.types import Chat, Stop
from providers.openai import OpenAI
from providers.profile import Profile

PROFILE = Profile(
    homes=("https://api.mistral.ai/v1",),
    key="env:MISTRAL_API_KEY",
    accepts=(Chat,),
    refuses=("logit_bias",),
    names={"seed": "random_seed"},
    hottest=1.5,
    asks_usage=False,
    codes={
        "1300": FaultKind.RATE,
        "rate_limited": FaultKind.RATE,
        "service_tier_capacity_exceeded": FaultKind.OVERLOAD,
        "invalid_model": FaultKind.AUTH,
    },
    finishes={"model_length": Stop.LENGTH},
)

PROVIDER = OpenAI(PROFILE)
