"""Alibaba's DashScope (Qwen), in OpenAI's dialect. Its `insufficient_quota` is a rate, and no bill that was not paid.

Pure. Source: Alibaba Cloud Model Studio's pages on the compatible mode, error codes and rate limits (2026); codes in both of its
spellings. A JSON object cannot be asked for while a model thinks, so a schema is only put into words.
"""

from __future__ import annotations

from engine.core.faults import FaultKind
from engine.core.types import Chat
from providers.openai import OpenAI
from providers.profile import Enforced, Profile

PROFILE = Profile(
    homes=("https://dashscope.aliyuncs.com/compatible-mode/v1", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    key="env:DASHSCOPE_API_KEY",
    accepts=(Chat,),
    refuses=("frequency_penalty", "logit_bias"),
    hottest=1.99,  # below 2
    schema=Enforced.WORDS,
    codes={
        "limit_requests": FaultKind.RATE,
        "Throttling": FaultKind.RATE,
        "Throttling.RateQuota": FaultKind.RATE,
        "insufficient_quota": FaultKind.RATE,  # tokens a minute or a second
        "Throttling.AllocationQuota": FaultKind.RATE,
        "limit_burst_rate": FaultKind.BURST,
        "Throttling.BurstRate": FaultKind.BURST,
        "Arrearage": FaultKind.QUOTA,
        "AllocationQuota.FreeTierOnly": FaultKind.QUOTA,
        "data_inspection_failed": FaultKind.REFUSED,
        "DataInspectionFailed": FaultKind.REFUSED,
        "InvalidApiKey": FaultKind.AUTH,
        "ModelNotFound": FaultKind.AUTH,
    },
)

PROVIDER = OpenAI(PROFILE)
