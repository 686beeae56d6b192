"""Account: where keys come from, what a quota becomes, what an account learns from each outcome, and that no key gets out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest
from msgspec import structs

import providers
from engine.core.faults import Fault, FaultKind, LaneError
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.quota import Ledger
from engine.core.types import Completion, Decoding, LanePlan, Quota, Reply, Stop, Translation, Usage
from engine.core.window import PACE
from engine.runtime.account import BURST, LATE, LATELY, UNDECLARED, Account, Attempted, LaneState, declared, spacing, view
from engine.runtime.keys import Key, secret, without
from engine.runtime.lane import Lane
from engine.runtime.wire import Timeouts
from tests import virtual

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
CALL = Completion("A river: ", Decoding(max_tokens=5))
REPLY = Reply(text="Wien", stop=Stop.END, usage=Usage())


def lane(name: str = "main", *roles: str) -> Lane:
    plan = LanePlan(provider="openai", model="m", base_url="http://127.0.0.1:9/v1")
    return Lane(name, plan, providers.find("openai"), frozenset(roles or ("propose",)), "completion", key=Key(None, KEY))


def account(*lanes: Lane, quota: Quota = Quota(concurrent=8)) -> Account:  # noqa: B008
    return Account("account", list(lanes), Ledger(quota), None)


# Keys


def test_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`env:NAME` is the variable's value without white space around it; no source is no key."""
    monkeypatch.setenv("SEEDDRILL_TEST_KEY", f" {KEY}\n")
    assert secret("env:SEEDDRILL_TEST_KEY") == KEY
    assert secret(None) == ""


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """A variable that is not there, or is there without a key in it, is reported by its name."""
    monkeypatch.delenv("SEEDDRILL_TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SEEDDRILL_TEST_KEY", value)
    with pytest.raises(LaneError, match="SEEDDRILL_TEST_KEY is not set"):
        secret("env:SEEDDRILL_TEST_KEY")


def test_key_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`file:PATH` is the file's text, read again each time; a tilde is the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert secret("file:~/key") == secret(f"file:{tmp_path / 'key'}") == KEY
    (tmp_path / "key").write_text("sk-next")
    assert secret("file:~/key") == "sk-next"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), (b" \n", "is empty"), (b"sk-\xff", "cannot be read"), ("folder", "cannot be read")],
)
def test_unusable_key_file_is_named(tmp_path: Path, content: bytes | str | None, reason: str) -> None:
    """A file that is missing, empty, a folder or no text is reported by its path, and nothing of what is in it."""
    path = tmp_path / "key"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    with pytest.raises(LaneError, match=reason) as caught:
        secret(f"file:{path}")
    assert str(path) in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_key_of_several_lines_is_refused(tmp_path: Path) -> None:
    """A line break inside a key can stand in no header: it is the file's fault, told once, not a network's at every call."""
    (tmp_path / "key").write_text("sk-one\nsk-two\n")
    with pytest.raises(LaneError) as caught:
        secret(f"file:{tmp_path / 'key'}")
    assert "sk-" not in str(caught.value)


def test_key_of_parts_has_a_place_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places follow each other; a path may have blanks; a part that may be missing is empty, and all missing is no key."""
    (tmp_path / "my secret").write_text("s-two\n")
    monkeypatch.setenv("SEEDDRILL_TEST_ID", "id-one")
    monkeypatch.delenv("SEEDDRILL_TEST_TOKEN", raising=False)
    both = f"env:SEEDDRILL_TEST_ID  file:{tmp_path / 'my secret'}"
    assert secret(both) == "id-one\ns-two"
    assert Stamp(0.0, "", secret(f"{both} env:SEEDDRILL_TEST_TOKEN?")).parts == ("id-one", "s-two", "")
    assert secret(f"env:SEEDDRILL_TEST_TOKEN? file:{tmp_path / 'none'}?") == ""
    assert Stamp(0.0, "", "").parts == ()


@pytest.mark.parametrize("missing", ["env:SEEDDRILL_TEST_TOKEN", "file:/nowhere/at all"])
def test_missing_part_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Of a key of two parts the place of the one that is missing is named, and nothing of the other is."""
    monkeypatch.setenv("SEEDDRILL_TEST_ID", KEY)
    monkeypatch.delenv("SEEDDRILL_TEST_TOKEN", raising=False)
    with pytest.raises(LaneError) as caught:
        secret(f"env:SEEDDRILL_TEST_ID {missing}")
    assert missing.partition(":")[2] in str(caught.value)
    assert KEY[:8] not in str(caught.value)


def test_each_part_of_a_key_is_cut() -> None:
    """Neither part of a key stays in a text, whole or cut at its end; a part that holds the other goes first."""
    assert without("no AKID with sec-ret-9", "AKID\nsec-ret-9") == "no [key] with [key]"
    assert without("no AKID-long with sec-re", "AKID\nAKID-long\nsec-ret-9") == "no [key] with [key]"
    assert without("plain", "\n") == "plain"


def test_lane_does_not_show_its_key() -> None:
    """A lane may be logged."""
    assert KEY not in repr(lane()) + repr(account(lane()))


class Echo:
    """A network that answers with a text, or breaks with it."""

    def __init__(self, status: int | None, text: str) -> None:
        self._status = status
        self._text = text

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        if self._status is None:
            raise Fault(FaultKind.NETWORK, self._text, billed=True)
        body = orjson.dumps({"error": {"message": self._text}})
        return HttpResponse(self._status, {"retry-after": "7"}, body)


def attempted(wire: Echo) -> Fault:
    outcome, *_ = anyio.run(account(lane()).attempt, lane(), CALL, wire, Timeouts(), lambda: 0.0)
    assert isinstance(outcome, Fault)
    return outcome


@pytest.mark.parametrize("status", [None, 200, 400, 401, 403, 429, 500])
@pytest.mark.parametrize("padding", [0, 150], ids=["whole", "cut by the length of the message"])
def test_key_that_a_server_echoes_stays_inside(status: int | None, padding: int) -> None:
    """Whatever a server or the network says about the key, no part of it worth having reaches a fault, a log or the journal."""
    fault = attempted(Echo(status, f"{'x' * padding} no access for {KEY}, sorry"))
    assert KEY[:16] not in str(fault) + repr(fault)


def test_hiding_the_key_changes_nothing_else() -> None:
    """Kind, hint and bill of a fault stay as they were."""
    assert attempted(Echo(429, f"slow down, {KEY}")).retry_after == 7.0
    broken = attempted(Echo(None, f"reset by {KEY}"))
    assert (broken.kind, broken.billed, broken.detail) == (FaultKind.NETWORK, True, "reset by [key]")


def test_call_that_no_vendor_takes_is_a_fault() -> None:
    """A pair that the vendor does not have is told before anything is sent."""
    plan = LanePlan(provider="baidu")
    one = Lane("main", plan, providers.find("baidu"), frozenset({"translate"}), "chat", key=Key(None, "a\nb"))
    call = Translation("One.", "en", "tlh")
    outcome, *_ = anyio.run(account(one).attempt, one, call, Echo(None, "sent"), Timeouts(), lambda: 0.0)
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.BAD
    assert "from en into tlh" in outcome.detail


# Quotas


def test_account_without_a_quota_starts_small() -> None:
    """A lane that declares nothing gets a few calls in flight, and keeps how its vendor counts."""
    assert declared(Quota()) == Quota(concurrent=UNDECLARED)
    assert declared(Quota(counts="reserved")) == Quota(concurrent=UNDECLARED, counts="reserved")


def test_declared_quota_stays_as_it_is() -> None:
    """One figure is a declaration: what it does not say, besides calls in flight, stays open."""
    for quota in (Quota(requests_per_day=50), Quota(concurrent=500), Quota(characters_per_month=1e6)):
        assert replace(declared(quota), concurrent=quota.concurrent) == quota


@pytest.mark.parametrize(
    ("quota", "connections"),
    [
        (Quota(tokens_per_minute=1e6), 1000),
        (Quota(concurrent=3, requests_per_minute=600), 3),
        (Quota(requests_per_minute=1), 8),
        (Quota(requests_per_minute=3), 15),
        (Quota(requests_per_minute=599.5), 2998),
        (Quota(requests_per_second=5), 1500),
        (Quota(requests_per_second=5, requests_per_minute=100), 500),
        (Quota(requests_per_second=1000), 4000),
    ],
)
def test_calls_in_flight_are_always_bounded(quota: Quota, connections: int) -> None:
    """By what the plan says; where only a rate is known, by five minutes of it, within bounds."""
    assert declared(quota).concurrent == connections


@pytest.mark.parametrize(
    ("quota", "rate"),
    [
        (Quota(requests_per_minute=60), 1.0),
        (Quota(requests_per_minute=30), 0.5),
        (Quota(requests_per_minute=60, headroom=0.5), 0.5),
        (Quota(requests_per_second=2, requests_per_minute=60), 1.0),
        (Quota(requests_per_second=100), 100.0),
        (Quota(requests_per_second=1000), 1000.0),
        (Quota(requests_per_minute=60, slice=1.0), 2.0),
        (Quota(requests_per_minute=60, slice=10.0), 10 / 9),
    ],
)
def test_requests_are_spaced_at_the_mean_rate(quota: Quota, rate: float) -> None:
    """A little above the slowest of the declared rates, or what slices need; no more at once than a late timer misses."""
    limiter = spacing(quota)
    assert limiter is not None
    assert limiter.max_rate / limiter.time_period == pytest.approx(rate * PACE)
    assert limiter.max_rate == pytest.approx(1 + LATE * rate * PACE)


@pytest.mark.parametrize("late", [0.0, 0.02, 0.045])
def test_late_timers_cost_no_rate(late: float) -> None:
    """Whoever wakes up late from each wait for a place in the row still gets as many places as the rate has."""
    limiter = spacing(Quota(requests_per_second=20))
    assert limiter is not None

    async def taken() -> int:
        end, count = anyio.current_time() + 60, 0
        while anyio.current_time() < end:
            if not limiter.has_capacity():
                await limiter.acquire()
                await anyio.sleep(late)
            else:
                await limiter.acquire()
            count += 1
        return count

    assert virtual.run(taken) == pytest.approx(60 * 20 * PACE, rel=0.01)


def test_nothing_is_spaced_without_a_rate() -> None:
    """Tokens, concurrency and days make no even row of requests."""
    assert spacing(Quota(tokens_per_minute=1000, concurrent=4, requests_per_day=9)) is None


# What is learnt


def learn(one: Account, outcome: Reply | Fault, now: float, which: int = 0) -> None:
    """A call of the account's `which`-th lane has ended like this."""
    ticket = one.ledger.charge(Usage(), now)
    one.learn(one.lanes[which], Attempted(outcome, ()), ticket, now)
    one.ledger.release(ticket, now)


def test_rate_pauses_the_account_for_as_long_as_it_is_told() -> None:
    """A hint is kept, with up to a tenth more, so that not all clients come back at the same moment."""
    for kind in (FaultKind.RATE, FaultKind.BURST):
        one = account(lane())
        learn(one, Fault(kind, retry_after=10.0), 100.0)
        assert one.ledger.paused(109.99)
        assert not one.ledger.paused(111.11)
        assert one.lane_state(one.lanes[0], 105.0) is LaneState.PAUSED
        assert one.breaker.closed


def test_rate_without_a_hint_pauses_longer_each_time() -> None:
    """1, 2, 4 … seconds up to a minute, and from the beginning after an answer."""
    one = account(lane())
    now = 0.0
    for expected in (1, 2, 4, 8, 16, 32, 60, 60):
        now += 1000.0
        learn(one, Fault(FaultKind.RATE), now, 0)
        assert expected <= one.opening(now) <= 1.1 * expected + 0.1
    learn(one, REPLY, now, 0)
    learn(one, Fault(FaultKind.RATE), now + 1000.0, 0)
    assert one.opening(now + 1000.0) <= 1.2


@pytest.mark.parametrize("kind", [FaultKind.OVERLOAD, FaultKind.NETWORK])
def test_sick_provider_is_left_alone_for_a_while(kind: FaultKind) -> None:
    """Five failures in a row open the breaker, an answer closes it, and neither says anything about the quota."""
    one = account(lane())
    for _ in range(4):
        learn(one, Fault(kind), 0.0, 0)
    assert one.opening(0.0) == 0.0
    learn(one, Fault(kind), 0.0, 0)
    assert one.opening(0.0) == 1.0
    assert one.lane_state(one.lanes[0], 0.0) is LaneState.PAUSED
    assert not one.ledger.paused(0.0)
    learn(one, REPLY, 1.0, 0)
    assert one.lane_state(one.lanes[0], 1.0) is LaneState.OPEN


@pytest.mark.parametrize("kind", [FaultKind.BAD, FaultKind.REFUSED, FaultKind.TOO_BIG, FaultKind.MALFORMED])
def test_answer_about_the_request_says_that_the_provider_is_well(kind: FaultKind) -> None:
    """A provider that declines a request is up: such faults end a row of failures, and close nothing."""
    one = account(lane())
    for outcome in (*[FaultKind.OVERLOAD] * 4, kind, *[FaultKind.OVERLOAD] * 4):
        learn(one, Fault(outcome), 0.0, 0)
    assert one.lane_state(one.lanes[0], 0.0) is LaneState.OPEN
    assert one.opening(0.0) == 0.0


def test_exhausted_quota_closes_every_lane_of_the_account() -> None:
    """The balance is the account's, so none of its lanes asks any more; the first reason stays."""
    one = account(lane("a"), lane("b"))
    learn(one, Fault(FaultKind.QUOTA, "HTTP 429 insufficient_quota"), 0.0, 0)
    learn(one, Fault(FaultKind.AUTH, "HTTP 401"), 0.0, 1)
    assert [closed.closed for closed in one.lanes] == ["quota: HTTP 429 insufficient_quota"] * 2
    assert one.lane_state(one.lanes[1], 0.0) is LaneState.CLOSED


def test_refused_key_closes_its_own_lane_only() -> None:
    """Another model of the same account may still be allowed."""
    one = account(lane("a"), lane("b"))
    learn(one, Fault(FaultKind.AUTH, "HTTP 404 model_not_found"), 0.0, 0)
    assert [lane.closed for lane in one.lanes] == ["auth: HTTP 404 model_not_found", None]


def test_lane_ends_with_its_own_server() -> None:
    """A failed call asks after the server where it is ours, and a dead one closes the lane with its last words."""
    one = account(lane())
    one.lanes[0].fate = lambda: "the model server ended (exit code 9)"
    learn(one, Fault(FaultKind.NETWORK), 0.0, 0)
    assert one.lanes[0].closed == "the model server ended (exit code 9)"


def test_account_opens_when_a_call_has_ended() -> None:
    """At its concurrency an account waits for one of its own calls, however long that takes."""
    one = account(lane(), quota=Quota(concurrent=1))
    usage = one.weigh(one.lanes[0], (CALL, CALL))
    assert usage.requests == 2
    ticket = one.ledger.charge(usage, 0.0)
    assert one.opening(1e9) == math.inf
    one.ledger.settle(ticket, None, 0.0)
    assert one.opening(0.0) == 0.0


def test_account_opens_for_the_lightest_call_of_late() -> None:
    """A light call does not wait for the room of a heavy one: which comes next is not known before it is asked for."""
    one = account(lane(), quota=Quota(tokens_per_minute=1000, counts="reserved"))
    heavy, light = (structs.replace(CALL, decoding=Decoding(max_tokens=most)) for most in (400, 40))
    weights = [one.weigh(one.lanes[0], (call,)) for call in (light, heavy)]
    for n in range(2):
        one.ledger.charge(weights[1], 30.0 * n)
    assert one.opening(60.0, weights[1]) > 0
    assert one.opening(60.0) == 0.0
    for _ in range(LATELY):
        one.weigh(one.lanes[0], (heavy,))
    assert one.opening(60.0) == one.opening(60.0, weights[1])


def test_slices_that_are_learnt_are_not_spaced_evenly() -> None:
    """Once slices are minded the row of requests makes room for their rest; whoever waits for a place gets one in the new row."""
    one = account(lane(), quota=Quota(requests_per_minute=600))
    one.spacing = before = spacing(one.ledger.quota)
    learn(one, Fault(FaultKind.RATE), 0.0)
    assert one.ledger.slice == 1.0
    assert before is not None
    assert one.spacing is not None
    assert one.spacing.max_rate / one.spacing.time_period == pytest.approx(2 * before.max_rate / before.time_period)


def test_view_knows_whether_another_lane_could_help() -> None:
    """A lane is alone where no other open lane serves any of its roles."""
    main, other, apart = lane("main", "propose", "answer"), lane("other", "answer"), lane("apart", "classify")
    homes = [(account(one), one) for one in (main, other, apart)]
    assert [view(one, homes, 0.0).alone for one in (main, other, apart)] == [False, False, True]
    other.close("auth: HTTP 401")
    assert view(main, homes, 0.0).alone


def test_new_work_is_left_to_a_cheaper_lane_with_room() -> None:
    """The dearer lane yields while the cheaper one, or the heavier one of the same price, would take a call at once; not once it
    is full, holds a request, is parked or closed."""
    cheap, dear = lane("cheap", "propose", "answer"), lane("dear", "answer")
    dear.dearness = 5.0
    first, second = account(cheap, quota=Quota(concurrent=1)), account(dear)
    homes = [(first, cheap), (second, dear)]
    assert view(dear, homes, 0.0).yields == {"propose", "answer"}
    assert view(cheap, homes, 0.0).yields == frozenset()
    ticket = first.ledger.charge(Usage(), 0.0)
    assert not view(dear, homes, 0.0).yields, "the cheap one is full"
    first.ledger.settle(ticket, None, 0.0)
    first.holding = True
    assert not view(dear, homes, 0.0).yields
    first.holding = False
    first.park(100.0, "rate", 0.0)
    assert not view(dear, homes, 50.0).yields
    assert view(dear, homes, 101.0).yields
    dear.dearness = 0.0
    assert not view(dear, homes, 101.0).yields, "they cost the same"
    cheap.plan = replace(cheap.plan, weight=2.0)
    assert view(dear, homes, 101.0).yields


def test_burst_is_left_to_the_cheaper_lane_and_lasting_pressure_is_not() -> None:
    """A request in hand that waits for a moment is no reason to pay more, unless there have been such for seconds, or it waits
    longer."""
    cheap, dear = lane("cheap"), lane("dear")
    dear.dearness = 5.0
    first, second = account(cheap, quota=Quota(requests_per_minute=60)), account(dear)
    homes = [(first, cheap), (second, dear)]
    first.ledger.charge(Usage(), 100.0)
    first.holding, first.pressed = True, 100.0
    assert view(dear, homes, 100.5).yields
    first.pressed = 100.5 - BURST
    assert not view(dear, homes, 100.5).yields
    first.pressed = 100.5
    first.ledger.pause(110.0)
    assert not view(dear, homes, 100.5).yields


def test_long_hint_parks_the_account() -> None:
    """Asked to wait for a day, the account is parked and says so; a shorter hint only pauses it."""
    one = account(lane())
    learn(one, Fault(FaultKind.RATE, "HTTP 429", 86_400.0), 100.0)
    assert one.lane_state(one.lanes[0], 200.0) is LaneState.PARKED
    assert one.opening(100.0) == 86_400.0
    notice = one.notice(100.0)
    assert notice is not None
    assert "for 1440 more minutes (rate: HTTP 429)" in notice
    assert one.notice(90_000.0) is None
    assert one.lanes[0].closed is None


def test_used_up_day_is_told_as_a_parked_lane() -> None:
    """Where the plan's own quota of a day makes an account wait for hours, it says so; a minute's quota, or a full row of calls,
    is no rest."""
    one = account(lane(), quota=Quota(requests_per_day=2, requests_per_minute=100, concurrent=3))
    tickets = [one.ledger.charge(Usage(), 100.0) for _ in range(2)]
    notice = one.notice(200.0)
    assert notice is not None
    assert "more minutes (what the plan allows is used up)" in notice
    assert one.lane_state(one.lanes[0], 200.0) is LaneState.PARKED
    assert one.notice(100.0 + 86_401.0) is None
    for ticket in tickets:
        one.ledger.settle(ticket, None, 200.0)
    minute = account(lane(), quota=Quota(requests_per_minute=1, concurrent=1))
    minute.ledger.charge(Usage(), 100.0)
    assert minute.notice(101.0) is None
    assert minute.lane_state(minute.lanes[0], 101.0) is not LaneState.PARKED
