"""The embedded model: llama.cpp's server on this machine speaks OpenAI's dialect, so this file only says what differs.

Pure. The server itself is started by `engine.runtime.local`, which fills in the lane's address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.core.faults import Fault
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.types import Call, Chat, Completion, LanePlan, Reply, Style, Usage
from providers import Reader
from providers.openai import PROVIDER as OPENAI

MODELS = ("gemma3-270m", "smollm2")
"""Models that come as packages. Both go on from examples better than they follow instructions: Gemma 3 270M is a base model, and
SmolLM2 135M, though tuned, answers our chats with a remark about them."""

_TUNED = re.compile(r"instruct|chat|[-_.]it[-_.]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Local:
    """The dialect of the embedded server."""

    accepts: tuple[type, ...] = (Chat, Completion)
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    models: bool = False

    def key(self, lane: LanePlan) -> str | None:
        return None

    def style(self, lane: LanePlan) -> Style:
        """Known for our own models; for a GGUF file of the user's, its name tells a tuned model from a base one."""
        name = lane.model or "gemma3-270m"
        if name in MODELS:
            return "completion"
        return "chat" if _TUNED.search(name.rsplit("/", 1)[-1]) else "completion"

    def weigh(self, call: Call) -> Usage:
        return OPENAI.weigh(call)

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        return OPENAI.encode(calls, lane, stamp)

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        return OPENAI.decode(calls, response)

    def reader(self, call: Call) -> Reader:
        return OPENAI.reader(call)


PROVIDER = Local()
