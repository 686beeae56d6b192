"""A real server of OpenAI's dialect, llama.cpp with the embedded model: completion and chat, whole, streamed, bound to JSON."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import orjson
import pytest
from msgspec import structs

import providers
from engine.core.quota import Ledger
from engine.core.structured import TRUTH, an_object
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Quota, Reply, Stop
from engine.runtime import local
from engine.runtime.account import Account
from engine.runtime.clock import Clock
from engine.runtime.lane import Lane
from engine.runtime.wire import Timeouts, Wire
from tests.embedded import needs_model
from tests.runtime.test_wire import no_proxy

__all__ = ["no_proxy"]

GREEDY = Decoding(max_tokens=24, temperature=0.0, seed=1)
COUNT = Completion("One, two, three, four, five, six,", GREEDY)
CHAT = Chat((Message("user", "Count: one, two, three, four,"),), GREEDY)
BOUND = Chat((Message("user", "Is water wet?"),), structs.replace(GREEDY, max_tokens=48, schema=an_object(wet=TRUTH)))
FIELD = Completion("Is water wet? In JSON: ", BOUND.decoding)
"""For the dialect of llama.cpp alone: completions have their schema in a field of its own."""
SHORT = Completion("One, two, three, four, five, six,", structs.replace(GREEDY, max_tokens=2))


def asked(folder: Path, calls: list[tuple[Call, bool]]) -> list[Reply]:
    """What the real server answers to each call, streamed or not."""

    async def main() -> list[Reply]:
        replies: list[Reply] = []
        clock = Clock(anyio.current_time, time.time)
        async with local.serve("", slots=2, port=0, log=folder / "model.log") as server, Wire(clock) as wire:
            for call, streamed in calls:
                name = "llama_cpp" if call is FIELD else "openai"
                provider = providers.find(name)
                plan = LanePlan(provider=name, model="any", base_url=server.base_url, stream=streamed)
                lane = Lane("a", plan, provider, frozenset({"x"}), "chat")
                account = Account("a", [lane], Ledger(Quota(concurrent=1)), None)
                outcome = (await account.attempt(lane, call, wire, Timeouts(120.0, 120.0, 120.0), time.time)).outcome
                assert isinstance(outcome, Reply), outcome
                replies.append(outcome)
        return replies

    return anyio.run(main)


@needs_model
def test_real_server_answers_in_every_way(tmp_path: Path) -> None:
    """The same words whole and streamed, the same usage, a stop that is true, and JSON that fits its schema."""
    calls = [(call, streamed) for call in (COUNT, CHAT, BOUND, SHORT, FIELD) for streamed in (False, True)]
    replies = asked(tmp_path, calls)
    for whole, streamed in zip(replies[::2], replies[1::2], strict=True):
        assert whole.text
        assert (streamed.text, streamed.stop) == (whole.text, whole.stop)
        assert streamed.usage.tokens == whole.usage.tokens > 0
        assert not streamed.usage.estimated
        assert streamed.first_byte < streamed.seconds
    count, _, _, _, bound, _, short, _, field, _ = replies
    assert "seven" in count.text
    assert isinstance(orjson.loads(bound.text)["wet"], bool)
    assert isinstance(orjson.loads(field.text)["wet"], bool)
    assert (short.stop, short.usage.answer) == (Stop.LENGTH, 2)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(count.text)
