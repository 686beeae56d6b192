"""A real server that speaks OpenAI's dialect, llama.cpp with the embedded model: what is asked of it, it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anyio
import orjson

import providers
from engine.core.faults import Fault
from engine.core.http import Stamp
from engine.core.types import Call, Chat, Completion, Decoding, LanePlan, Message, Reply, Stop
from engine.runtime import local
from engine.runtime.clock import Clock
from engine.runtime.listening import Listener, nothing
from engine.runtime.wire import Timeouts, Wire
from tests.embedded import needs_model

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"river": {"type": "string", "maxLength": 12}, "long": {"type": "boolean"}},
    "required": ["river", "long"],
    "additionalProperties": False,
}
PLAIN = Decoding(max_tokens=9, temperature=0.0, top_p=0.0, seed=1)
SHAPED = Decoding(max_tokens=40, temperature=0.0, seed=1, schema=SCHEMA)
CHAT = Chat((Message("user", "Name a river."),), PLAIN)
COUNT = Completion("Numbers: 1, 2, 3, 4,", PLAIN)


async def asked(address: str, provider: str, call: Call, stream: str = "") -> Reply | Fault:
    """One call, as an account would make it, on a connection of its own: this server closes those that are idle for a moment."""
    async with Wire(Clock(anyio.current_time, time.time)) as wire:
        return await _asked(wire, address, provider, call, stream)


async def _asked(wire: Wire, address: str, provider: str, call: Call, stream: str) -> Reply | Fault:
    it, lane = providers.find(provider), LanePlan(provider=provider, model="any", base_url=address, stream=bool(stream))
    request = it.encode((call,), lane, Stamp(0.0, ""))
    if not stream:
        (outcome,) = it.decode((call,), await wire.send(request, 600.0))
        return outcome
    reader = it.reader(call)
    assert reader is not None
    streamed = await Listener(reader, nothing).listen(wire, request, Timeouts(), it.weigh(call))
    assert streamed.outcome is not None
    return streamed.outcome


@needs_model
def test_real_server_answers_in_every_way(tmp_path: Path) -> None:
    """Chats and completions, whole and streamed, are the same answers with the same usage; a stop is heeded, a limit cuts, and a
    schema is enforced even on a model that knows no JSON."""

    async def main() -> None:
        async with local.serve("", slots=2, port=0, log=tmp_path / "model.log") as server:
            for call in (CHAT, COUNT):
                whole = await asked(server.base_url, "openai", call)
                streamed = await asked(server.base_url, "openai", call, "stream")
                assert isinstance(whole, Reply), whole
                assert isinstance(streamed, Reply), streamed
                assert whole.text
                assert (whole.text, whole.stop) == (streamed.text, Stop.LENGTH)
                assert not whole.usage.estimated
                assert not streamed.usage.estimated
                assert whole.usage.prompt == streamed.usage.prompt
                assert whole.usage.answer == streamed.usage.answer == 9
            ends = Completion(COUNT.prompt, Decoding(max_tokens=24, temperature=0.0, stop=(" 7,",)))
            reply = await asked(server.base_url, "llama_cpp", ends)
            assert isinstance(reply, Reply)
            assert (reply.text, reply.stop) == (" 5, 6,", Stop.END)
            shaped: list[tuple[str, Call]] = [("openai", Chat(CHAT.messages, SHAPED))]
            shaped += [("llama_cpp", Completion("A river in JSON: ", SHAPED))]
            for provider, call in shaped:
                reply = await asked(server.base_url, provider, call, "stream")
                assert isinstance(reply, Reply)
                said = orjson.loads(reply.text)
                assert isinstance(said["river"], str)
                assert isinstance(said["long"], bool)

    anyio.run(main)
