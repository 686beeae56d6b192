"""OpenAI's dialect, chat and legacy completions, which most other servers speak too: give their address as `base_url`.

Pure. Shapes: OpenAI's API reference for `/chat/completions` and `/completions` (2026). What well-known servers do differently
stands in files of their own, each a `Profile`; a server without one is taken to be like vLLM or llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from engine.core.faults import Fault
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.schema import worded
from engine.core.speech import THINK
from engine.core.types import Call, Chat, Completion, LanePlan, Reply, Stop, Style, Usage
from providers import Reader
from providers.profile import SETTINGS, STOPS, Enforced, Profile, Rule, fault, merged, shaped
from providers.reading import Body, Piece, Reading, Spelling, count, decode, weigh

REASONING = Rule(
    re.compile(r"(?:^|/)(?:o\d(?!\d)|gpt-(?:[5-9](?!\d)|1\d))(?!.*-chat)"),
    (*(name for name in SETTINGS if name != "seed"), "stop"),
    "max_completion_tokens",
)
"""OpenAI's reasoning models sample as they like, know no stop sequences, and refuse the older name of the limit (API reference
of `stop`; guide to reasoning models, 2026)."""

COMPATIBLE = Profile(rules=(REASONING,), stops=4)
OPENAI = Profile(
    homes=("https://api.openai.com/v1",),
    key="env:OPENAI_API_KEY",
    limit="max_completion_tokens",
    rules=(REASONING,),
    no_top_p=False,
    stops=4,
    schema_of_completions=Enforced.WORDS,
)


@dataclass(frozen=True, slots=True)
class OpenAI:
    """The dialect, as a profile bends it. Stateless: all that a call needs are its arguments."""

    profile: Profile
    elsewhere: Profile | None = None
    """For a lane with an address that is none of the vendor's; `None`: the profile holds for it too."""
    texts: int = 1
    limit: int | None = None
    request_limit: int | None = None
    languages: None = None
    _spelling: Spelling = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spelling", spelling(self.profile))

    @property
    def accepts(self) -> tuple[type, ...]:
        return self.profile.accepts

    @property
    def models(self) -> bool:
        return self.profile.models

    def key(self, lane: LanePlan) -> str | None:
        return self.profile.key if lane.base_url is None or _home(lane.base_url, self.profile) else None

    def style(self, lane: LanePlan) -> Style:
        return "chat"

    def weigh(self, call: Call) -> Usage:
        return weigh(call)

    def leaves_out(self, lane: LanePlan, call: Call) -> tuple[str, ...]:
        assert isinstance(call, Chat | Completion)
        profile = self._profile(lane)
        return profile.left_out(call.decoding, lane.model, enforced=_enforced(profile, call))

    def encode(self, calls: tuple[Call, ...], lane: LanePlan, stamp: Stamp) -> HttpRequest:
        (call,) = calls
        base = (lane.base_url or self.profile.homes[0]).rstrip("/")
        headers = {"Content-Type": "application/json"}
        if stamp.key:
            headers["Authorization"] = f"Bearer {stamp.key}"
        path, body = asked(self._profile(lane), call, lane)
        return HttpRequest("POST", base + path, headers, orjson.dumps(body))

    def decode(self, calls: tuple[Call, ...], response: HttpResponse) -> tuple[Reply | Fault, ...]:
        (call,) = calls
        return (decode(self._spelling, call, response),)

    def reader(self, call: Call) -> Reader:
        return Reading(self._spelling, call)

    def _profile(self, lane: LanePlan) -> Profile:
        if lane.base_url is None or self.elsewhere is None or _home(lane.base_url, self.profile):
            return self.profile
        return self.elsewhere


def asked(profile: Profile, call: Call, lane: LanePlan) -> tuple[str, Body]:
    """Path and body of a call."""
    if not isinstance(call, profile.accepts) or not isinstance(call, Chat | Completion):
        raise TypeError(f"this dialect does not take a {type(call).__name__}")
    schema, enforced = call.decoding.schema, _enforced(profile, call)
    if enforced in (Enforced.OBJECT, Enforced.WORDS):
        call = worded(call)
    most = call.decoding.max_tokens + lane.reasoning_tokens
    body: Body = {"model": lane.model} if lane.model else {}
    if isinstance(call, Chat):
        turns = [{"role": message.role, "content": message.content} for message in call.messages]
        path = "/chat/completions"
        body |= {"messages": turns, profile.limited(lane.model): most}
    else:
        path = "/completions"
        body |= {"prompt": call.prompt, "max_tokens": most}
    body |= profile.settings(call.decoding, lane.model)
    if schema is not None:
        body |= shaped(enforced, schema)
    if lane.stream:
        body |= {"stream": True} | ({"stream_options": {"include_usage": True}} if profile.asks_usage else {})
    return path, merged(body, lane.extra)


def spelling(profile: Profile) -> Spelling:
    """How a server of this profile spells its answers."""
    stops, meanings = {**STOPS, **profile.finishes}, profile.meanings

    def whole(call: Call, body: Body) -> Piece:
        choice = body["choices"][0]
        message = choice["message"] if isinstance(call, Chat) else {"content": choice["text"]}
        piece = _said(message, choice, body, stops)
        if message.get("content") is None and piece.stop in (None, Stop.END):
            raise TypeError("no text")
        return piece

    def part(call: Call, body: Body) -> Piece:
        choices = body.get("choices")
        choice = choices[0] if choices else {}
        message = (choice.get("delta") or {}) if isinstance(call, Chat) else {"content": choice.get("text")}
        return _said(message, choice, body, stops)

    return Spelling(
        whole=whole,
        part=part,
        counts=_usage,
        fault=lambda response, body: fault(meanings, response, body),
        end="[DONE]",
        marks=THINK,
    )


def _said(message: Mapping[str, Any], choice: Mapping[str, Any], body: Body, stops: Mapping[str, Stop]) -> Piece:
    text, reasoning = _words(message.get("content"))
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    refusal, reason = message.get("refusal") or "", choice.get("finish_reason")
    if not isinstance(refusal, str) or not isinstance(thought, str):
        raise TypeError("no text")
    return Piece(
        text=text,
        reasoning=reasoning + thought,
        refusal=refusal,
        stop=Stop.REFUSED if refusal else stops.get(reason, Stop.END) if reason else None,
        usage=body.get("usage") or choice.get("usage") or {},  # Moonshot's streams have it in the choice
        model=str(body.get("model") or ""),
    )


def _words(content: Any) -> tuple[str, str]:
    """Text and reasoning of a message. Mistral's reasoning models give a list of parts of both kinds."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise TypeError("no text")
    text = "".join([part["text"] for part in content if part["type"] == "text"])
    return text, "".join([_words(part["thinking"])[0] for part in content if part["type"] == "thinking"])


def _usage(usage: Mapping[str, Any]) -> Usage:
    """OpenAI counts cached tokens inside the prompt's, and reasoning inside the completion's. DeepSeek and Moonshot have names of
    their own for what came from the cache."""
    details = usage.get("prompt_tokens_details") or {}
    cached = count(details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens"))
    reasoning = count((usage.get("completion_tokens_details") or {}).get("reasoning_tokens"))
    return Usage(
        tokens_in=max(0, count(usage["prompt_tokens"]) - cached),
        tokens_cached=cached,
        tokens_out=max(0, count(usage.get("completion_tokens")) - reasoning),
        tokens_reasoning=reasoning,
    )


def _enforced(profile: Profile, call: Call) -> Enforced:
    return profile.schema if isinstance(call, Chat) else profile.schema_of_completions


def _home(address: str, profile: Profile) -> bool:
    return address.rstrip("/") in profile.homes


PROVIDER = OpenAI(OPENAI, COMPATIBLE)
