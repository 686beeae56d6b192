"""Streamed answers: over a real socket, what each way of ending makes of them; in virtual time, what the run makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web

from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.types import Completion, Decoding, Reply, Stop
from engine.runtime.listening import Listener, Streamed, nothing
from engine.runtime.pulse import RunState
from engine.runtime.scheduler import Patience
from engine.runtime.wire import Late, Timeouts, Wire
from providers.openai import PROVIDER
from tests import brain
from tests.drive import LANE, Drive
from tests.fakes import FakeWire, answered, streamed
from tests.runtime.test_wire import real_clock, serving

CALL = Completion("Name rivers: ", Decoding(max_tokens=400))
WORST = PROVIDER.weigh(CALL)
TEXT = "the Rhine, the Elbe,\nthe Oder and the Danube"
PIECES = streamed(answered(TEXT, tokens=(20, 30)).body)
LOOP = "the same words as before and ever, " * 100
Written = Callable[[web.StreamResponse], Awaitable[None]]


def heard(
    write: Written,
    timeouts: Timeouts = Timeouts(20.0, 20.0, 20.0),  # noqa: B008
    kind: str = "text/event-stream",
) -> tuple[Streamed, bool]:
    """What a real server that streams with `write` brings, and whether its connection was still good for a second call."""
    ports: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        answer = web.StreamResponse(headers={"Content-Type": kind})
        await answer.prepare(request)
        await write(answer)
        return answer

    async def main() -> tuple[Streamed, bool]:
        async with serving(handler) as url, Wire(real_clock()) as wire:
            request = HttpRequest("POST", url, {}, b"{}")
            brought = await Listener(PROVIDER.reader(CALL), nothing).listen(wire, request, timeouts, WORST)
            with anyio.move_on_after(0.2), suppress(Fault):
                await wire.listen(request, timeouts, Listener(PROVIDER.reader(CALL), nothing))
            return brought, len(set(ports)) == 1

    return anyio.run(main)


def writing(pieces: Sequence[bytes]) -> Written:
    async def write(answer: web.StreamResponse) -> None:
        for piece in pieces:
            await answer.write(piece)

    return write


def test_stream_is_an_answer_like_any_other() -> None:
    """Text, stop, usage and model are those of the same answer in one piece; the connection serves the next call."""
    brought, reused = heard(writing(PIECES))
    (whole,) = PROVIDER.decode((CALL,), answered(TEXT, tokens=(20, 30)))
    assert isinstance(whole, Reply)
    assert isinstance(brought.outcome, Reply)
    reply = brought.outcome
    assert (reply.text, reply.stop, reply.usage, reply.model) == (whole.text, Stop.END, whole.usage, whole.model)
    assert 0 < reply.first_byte <= reply.seconds
    assert brought.response is not None
    assert brought.response.headers["content-type"] == "text/event-stream"
    assert reused


def test_split_bytes_make_the_same_answer() -> None:
    """A server may flush after every few bytes."""
    data = b"".join(PIECES)
    brought, _ = heard(writing([data[n : n + 7] for n in range(0, len(data), 7)]))
    assert isinstance(brought.outcome, Reply)
    assert (brought.outcome.text, brought.outcome.stop) == (TEXT, Stop.END)


def test_server_that_does_not_close_is_left() -> None:
    """After the end mark nothing is waited for but the body's end, and for that not long."""

    async def write(answer: web.StreamResponse) -> None:
        await writing(PIECES)(answer)
        await asyncio.sleep(30)

    brought, reused = heard(write)
    assert isinstance(brought.outcome, Reply)
    assert brought.outcome.stop is Stop.END
    assert not reused


def test_broken_stream_keeps_what_it_had() -> None:
    """A connection that breaks after a part of the answer: the part, BROKEN, charged at input plus what was heard."""

    async def write(answer: web.StreamResponse) -> None:
        await writing(PIECES[:5])(answer)
        assert answer._req is not None
        assert answer._req.transport is not None
        answer._req.transport.abort()

    brought, _ = heard(write)
    assert isinstance(brought.outcome, Reply)
    assert brought.outcome.stop is Stop.BROKEN
    assert brought.outcome.text == "".join(["the", " ", "Rhine,", " ", "the"])
    usage = brought.outcome.usage
    assert usage.estimated
    assert (usage.prompt, 0 < usage.answer < 20) == (WORST.prompt, True)


def test_stream_without_its_end_is_broken() -> None:
    """A body that is whole for HTTP, but lacks the end mark, is not a whole answer; one with nothing in it is a fault."""
    brought, _ = heard(writing(PIECES[:5]))
    assert isinstance(brought.outcome, Reply)
    assert brought.outcome.stop is Stop.BROKEN
    brought, _ = heard(writing([b": nothing yet\n\n"]))
    assert isinstance(brought.outcome, Fault)
    assert (brought.outcome.kind, brought.outcome.billed) == (FaultKind.NETWORK, True)
    assert brought.used is not None
    assert (brought.used.prompt, brought.used.answer) == (WORST.prompt, 0)


@pytest.mark.parametrize(
    ("error", "kind"),
    [({"code": 429, "message": "slow"}, FaultKind.RATE), ({"code": "server_error", "message": "x"}, FaultKind.OVERLOAD)],
)
def test_error_inside_a_stream_is_its_fault(error: dict[str, Any], kind: FaultKind) -> None:
    """An error under status 200 means what it means elsewhere, and what was heard before it is charged."""
    brought, _ = heard(writing([*PIECES[:5], b"data: %b\n\n" % orjson.dumps({"error": error}), b"data: [DONE]\n\n"]))
    assert isinstance(brought.outcome, Fault)
    assert (brought.outcome.kind, brought.outcome.billed) == (kind, True)
    assert brought.used is not None
    assert 0 < brought.used.answer < WORST.answer


def test_nonsense_in_a_stream_is_malformed() -> None:
    """An event that is no JSON object is a fault that shows its beginning."""
    brought, _ = heard(writing([b"data: <html>gateway</html>\n\n"]))
    assert isinstance(brought.outcome, Fault)
    assert brought.outcome.kind is FaultKind.MALFORMED
    assert "<html>gateway" in brought.outcome.detail


def test_loop_is_cut_off() -> None:
    """A model that repeats itself is left at once, and the connection is closed, which is what stops its server."""
    sent = 0

    async def write(answer: web.StreamResponse) -> None:
        nonlocal sent
        for piece in streamed(answered(LOOP).body):
            await answer.write(piece)
            await asyncio.sleep(0)
            sent += 1

    brought, reused = heard(write)
    assert isinstance(brought.outcome, Reply)
    assert brought.outcome.stop is Stop.CUT
    assert len(brought.outcome.text) < len(LOOP) // 4
    assert not reused


@pytest.mark.parametrize(("begun", "timeouts", "said"), [
    (0, Timeouts(9.0, 0.1, 9.0), "no beginning within 0.1 s"),
    (0, Timeouts(0.1, 9.0, 9.0), "no whole answer within 0.1 s"),
    (3, Timeouts(9.0, 9.0, 0.1), None),
])  # fmt: skip
def test_silence_has_its_deadlines(begun: int, timeouts: Timeouts, said: str | None) -> None:
    """A stream has so long to begin, comments not counted, and so long to go on; what it had is kept, at the worst price."""

    async def write(answer: web.StreamResponse) -> None:
        await writing(PIECES[:begun])(answer)
        for _ in range(100):
            if not begun:
                await answer.write(b": keep-alive\n\n")
            await asyncio.sleep(0.05)

    brought, _ = heard(write, timeouts)
    if said is None:
        assert isinstance(brought.outcome, Reply)
        assert (brought.outcome.stop, brought.outcome.usage) == (Stop.BROKEN, WORST)
    else:
        assert isinstance(brought.outcome, Late)
        assert brought.outcome.detail == said


def test_answer_in_one_piece_is_read_as_such() -> None:
    """A server that does not stream, and an error before any stream, are decoded whole."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"choices": []}, status=int(request.path[1:]))

    async def main() -> list[HttpResponse]:
        async with serving(handler) as url, Wire(real_clock()) as wire:
            listener = Listener(PROVIDER.reader(CALL), nothing)
            requests = [HttpRequest("POST", f"{url}/{status}", {}, b"{}") for status in (200, 429)]
            return [await wire.listen(request, Timeouts(), listener) for request in requests]

    assert [(answer.status, answer.body) for answer in anyio.run(main)] == [(200, b'{"choices": []}'), (429, b'{"choices": []}')]


@pytest.mark.parametrize("blank", [b"", b"\n \n"])
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/plain"])
def test_stream_is_one_whatever_it_is_called(kind: str, blank: bytes) -> None:
    """Some proxies give a stream the type of a whole answer: what its first character says counts."""
    pieces = [blank, *PIECES] if blank else PIECES
    brought, reused = heard(writing(pieces), kind=kind)
    assert isinstance(brought.outcome, Reply)
    assert (brought.outcome.text, brought.outcome.stop) == (TEXT, Stop.END)
    assert brought.outcome.first_byte > 0
    assert reused


def test_blank_lines_before_a_whole_answer_are_waited_for() -> None:
    """A server may keep the connection warm with blank lines until its one answer comes, past the time for a first word."""
    body = answered(TEXT).body

    async def write(answer: web.StreamResponse) -> None:
        for _ in range(12):
            await answer.write(b"\n")
            await asyncio.sleep(0.1)
        await answer.write(body)

    brought, _ = heard(write, Timeouts(20.0, 1.0, 20.0), kind="application/json")
    assert brought.outcome is None
    assert brought.response is not None
    assert brought.response.body.strip() == body


# A whole run

STREAMED = {"main": {**LANE, "stream": True}}


def test_run_over_streams_is_the_run_over_whole_answers() -> None:
    """The same answers, streamed or not, make the same lines."""
    whole, streams = Drive(goal=20), Drive(goal=20, lanes=STREAMED)
    assert whole.start().state is streams.start().state is RunState.DONE
    assert streams.wire.streamed > 1000
    assert whole.keys() == streams.keys()
    texts = [
        sorted(
            (line["s"], line["i"], reply["text"]) for line in drive.settled() for reply in line["replies"] if line["of"] is None
        )
        for drive in (whole, streams)
    ]
    assert {key[:2] for key in texts[0]} == {key[:2] for key in texts[1]}
    assert all(body["stream"] for body in streams.wire.sent)


@pytest.mark.parametrize("header", ["broken", "silent"])
def test_run_keeps_the_whole_items_of_broken_streams(header: str) -> None:
    """A reply that breaks off after two items gives those, and not the one in which it broke; nothing is asked again for it."""

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        outcome = brain.answer(body, count)
        assert isinstance(outcome, HttpResponse)
        return HttpResponse(200, {header: "40"}, outcome.body) if count == 0 else outcome

    drive = Drive(goal=20, answer=answer, lanes=STREAMED)
    assert drive.start().state is RunState.DONE
    (line,) = [line for line in drive.settled() if line["replies"][0]["stop"] == "broken"]
    assert line["kept"]
    assert [reason for _, _, reason in line["dropped"]][-1:] == ["cut"]


def test_loops_cost_a_part_of_what_they_would() -> None:
    """In a run, a model that loops is heard for some hundred characters and not for all it would say."""
    asked = 0

    def answer(body: dict[str, Any], count: int) -> HttpResponse | Fault:
        nonlocal asked
        asked = max(asked, count)
        return answered("Name three rivers.\n10. " + "Name three rivers of the same kind again. " * 200)

    drive = Drive(goal=5, answer=answer, lanes=STREAMED, wired=lambda drive: FakeWire(drive.answer, drive.delay))
    assert drive.start().state is RunState.STALLED
    cut = [reply for line in drive.settled() for reply in line["replies"]]
    assert {reply["stop"] for reply in cut} == {"cut"}
    assert max(len(reply["text"]) for reply in cut) < 600


def test_usage_of_a_stream_that_failed_is_on_its_line() -> None:
    """An error after some words is paid for at input and words, and marked as estimated; the question is asked again."""

    class Failing(FakeWire):
        async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Any) -> HttpResponse:
            if self.answered == 3:
                self.answered += 1
                for piece in PIECES[:5]:
                    ear.hear(piece)
                ear.hear(b'data: {"error": {"code": 503, "message": "gone"}}\n\n')
            return await super().listen(request, timeouts, ear)

    drive = Drive(goal=10, lanes=STREAMED, wired=lambda drive: Failing(drive.answer, drive.delay))
    assert drive.start().state is RunState.DONE
    (paid,) = drive.paid()
    assert paid["paid"] == "overload"
    assert paid["usage"]["estimated"]
    assert 0 < paid["usage"]["tokens_out"] < 20


def stale(body: dict[str, Any], count: int) -> HttpResponse:
    """Every second list of new tasks has only tasks that everybody has seen."""
    outcome = brain.answer(body, count)
    if brain.step_of(body) != "instruct" or count % 2:
        return outcome
    old = [
        f"{n}. Name the {thing} of a well known city in Europe.\n" for n, thing in enumerate(("river", "mayor", "bridge") * 3, 9)
    ]
    return answered("".join(old).removeprefix("9. "), tokens=(300, 150))


def test_bet_cuts_stale_answers_short() -> None:
    """With the bet, far less is heard of answers that only repeat, and the answers that are worth hearing are heard out."""
    drives = [Drive(goal=500, answer=stale, lanes=STREAMED, patience=Patience(cut_after=after)) for after in (None, 2)]
    for drive in drives:
        assert drive.start().state is RunState.DONE
    replies = [[reply for line in drive.settled() for reply in line["replies"] if line["of"] is None] for drive in drives]
    cut = [reply for reply in replies[1] if reply["stop"] == "cut"]
    assert not [reply for reply in replies[0] if reply["stop"] == "cut"]
    assert len(cut) > 5
    old = [reply for reply in cut if reply["text"].startswith("Name the river of a well known")]
    assert len(old) > 0.8 * len(cut)
    assert max(reply["text"].count("\n") for reply in old) == 2, "the third task tells that the second has ended"
    assert all(reply["usage"]["estimated"] for reply in cut)
