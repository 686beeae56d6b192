"""Models that think: what a lane lets them think for is part of every bound, of quota and money, from one call to a whole run."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest

import providers
from engine import forecast
from engine.core.faults import Fault, FaultKind
from engine.core.http import HttpRequest, HttpResponse
from engine.core.money import Prices
from engine.core.quota import Ledger
from engine.core.till import Money, Till
from engine.core.types import Chat, Completion, Decoding, LanePlan, Message, Quota, Reply, Stop, Translation, Usage
from engine.plan import from_data
from engine.runtime.account import Account
from engine.runtime.lane import Lane
from engine.runtime.pulse import RunState
from engine.runtime.wire import Ear, Timeouts
from providers.llm_translate import over
from tests import brain, virtual
from tests.drive import LANE, Drive
from tests.fakes import answered, streamed
from tests.test_spend import Story

THINKS = 900
CALL = Completion("A river: ", Decoding(max_tokens=50))
CHAT = Chat((Message("user", "A river, please."),), Decoding(max_tokens=50))


def lane(provider: str = "openai", thinks: int = THINKS, *, stream: bool = False) -> Lane:
    plan = LanePlan(provider=provider, model="m", base_url="http://127.0.0.1:9/v1", reasoning_tokens=thinks, stream=stream)
    return Lane("fast", plan, providers.find(provider), frozenset(["answer"]), "completion")


def test_thinking_is_on_top_of_the_answer() -> None:
    """Bounds of one call: an answer of a language model grows by what it may think for, a translator's does not."""
    plain, thinking = lane(thinks=0), lane()
    assert thinking.weigh(CALL).tokens_out == plain.weigh(CALL).tokens_out + THINKS == 50 + THINKS
    assert thinking.weigh(CALL).prompt == plain.weigh(CALL).prompt
    text = Translation("Wien", "de", "en")
    assert lane("deepl").weigh(text) == lane("deepl", 0).weigh(text)
    chat = lane("openai")
    translator = Lane("via", chat.plan, over(chat.provider, "chat"), frozenset(["translate"]), "chat")
    assert translator.weigh(text).tokens_out == translator.provider.weigh(text).tokens_out + THINKS


@pytest.mark.parametrize("measure", ["tokens_per_minute", "tokens_out_per_minute"])
def test_the_ledger_charges_for_thinking(measure: str) -> None:
    """A minute's quota with room for many answers has it for few that may be thought about."""
    for thinks, most in ((0, 60), (THINKS, 6)):
        one = lane(thinks=thinks)
        quota = Quota(counts="reserved", **{measure: 6000.0})  # type: ignore[arg-type]
        account = Account("account", [one], Ledger(quota), None)
        started = 0
        for now in range(100, 160):
            usage = account.weigh(one, (CALL,))
            if account.opening(now, usage) <= 0:
                account.ledger.charge(usage, now)
                started += 1
        assert most / 2 < started <= most


def test_the_bill_reserves_thinking() -> None:
    """The worst case that is leased before a call has all tokens of thinking at the dearest price of an answer's."""
    prices = Prices(currency="usd", tokens_in=1_000_000, tokens_out=2_000_000, tokens_reasoning=3_000_000)
    till = Till(Money(prices={"fast": prices}), [("instance", "answer")])
    plain, thinking = (till.bill("fast", "instance", (CALL,), one.weigh).most for one in (lane(thinks=0), lane()))
    assert thinking - plain == 3 * THINKS


class Breaks:
    """A network on which a stream breaks after some pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        return answered("Wien")

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        for piece in self._pieces:
            ear.hear(piece)
        raise Fault(FaultKind.NETWORK, "the connection broke", billed=True)


def heard(one: Lane, pieces: list[bytes]) -> Usage:
    """The usage of a call on this lane that broke after `pieces`."""

    async def main() -> Usage:
        account = Account("account", [one], Ledger(Quota(concurrent=1)), None)
        timeouts = Timeouts(9.0, 9.0, 9.0)
        outcome = (await account.attempt(one, CHAT, Breaks(pieces), timeouts, lambda: 0.0)).outcome
        assert isinstance(outcome, Reply)
        assert outcome.stop is Stop.BROKEN
        return outcome.usage

    return virtual.run(main)


def test_a_broken_stream_may_have_been_thought_about_out_of_sight() -> None:
    """Without usage, thoughts that were heard count as heard; where none were, the model may have had all that it may have."""
    words = streamed(answered("the Rhine, the Elbe").body)[:3]
    aloud = [b"data: %b\n\n" % orjson.dumps({"choices": [{"delta": {"reasoning": "Rivers are long. " * 3}}]})]
    assert heard(lane(thinks=0, stream=True), words).tokens_reasoning == 0
    hidden = heard(lane(stream=True), words)
    assert hidden.estimated
    assert hidden.tokens_reasoning == THINKS
    assert hidden.answer <= lane().weigh(CHAT).answer
    assert 0 < heard(lane(stream=True), aloud + words).tokens_reasoning < 30


def test_a_whole_run_stays_in_its_token_quota() -> None:
    """A vendor that counts prompt and all that may come of it, thinking included: no minute of its own books has more."""
    minute = 30_000
    spec = {**LANE, "provider": "openai", "model": "m", "style": "completion", "reasoning_tokens": 2000}
    drive = Drive(goal=6, lanes={"main": {**spec, "tokens_per_minute": minute, "counts": "reserved"}})
    assert drive.start().state is RunState.DONE
    prompts = [orjson.loads(brain.answer(body, 0).body)["usage"]["prompt_tokens"] for body in drive.wire.sent]
    asked = [body["max_tokens"] for body in drive.wire.sent]
    weights = [(t, prompt + most) for t, prompt, most in zip(drive.wire.times, prompts, asked, strict=True)]
    assert min(asked) > 2000
    fullest = max(sum(weight for t, weight in weights if end - 60 < t <= end) for end, _ in weights)
    assert minute / 2 < fullest <= minute
    assert weights[-1][0] > 60, "it had to wait"


def test_no_bill_of_a_model_that_thinks_passes_a_limit() -> None:
    """60 runs of drawn prices, limits, lengths and faults, whose answers are mostly thoughts: the vendor's bill, which has them,
    stays within every limit and within the books."""
    ends: Counter[str] = Counter()
    for seed in range(60):
        story = Story(seed, reasoning=1500)
        pulse = story.live(None)
        assert pulse is not None
        ends[pulse.state.value] += 1
        for measure, limit in story.limits.items():
            assert story.vendor.bill[measure] <= limit, f"seed {seed}: {measure}"
        for standing in pulse.budget:
            assert story.vendor.bill[standing.measure] <= standing.spent <= standing.limit, f"seed {seed}: {standing}"
    assert ends.keys() == {"done", "budget"}


def test_an_estimate_tells_of_thinking() -> None:
    """Without a pilot the dear end of the estimate has every token that the lane allows."""
    price = {"tokens_in": 1, "tokens_out": 1}
    tops = []
    for thinks in (0, 5000):
        lanes = {"main": {"provider": "openai", "model": "m", "price": price, "reasoning_tokens": thinks, "key": "env:X"}}
        text = forecast.text(from_data({"recipe": "self_instruct", "goal": 12, "lanes": lanes}), None)
        tops.append(next(float(line.split()[2]) for line in text.splitlines() if line.split()[:1] == ["money"]))
    assert tops[1] > tops[0] + 12 * 2 * 5000 / 1e6
