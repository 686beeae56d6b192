"""Storms: providers that die, refuse, lie, dawdle and run dry, played by the simulator in virtual time.

What is promised is read from two books that know nothing of each other: the simulator's, and the journal.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from engine.runtime.pulse import EXIT_CODES, RunState
from engine.runtime.scheduler import Scheduler
from tests.simulated import HOME, Beside, Lived, Simulation

QUICK = "first_byte = { lognormal = [0.8, 0.4] }\ntokens_per_second = { uniform = [60, 140] }\n"


def account(name: str, limit: int, weather: str = "", more: str = "", kind: str = "sliding") -> str:
    """A script's account that takes `limit` requests a minute."""
    law = f'[[accounts.{name}.limits]]\nkind = "{kind}"\nlimit = {limit}\n'
    return f'[accounts.{name}]\nprefix = "/{name}"\n{more}\n{law}[accounts.{name}.weather]\n{weather or QUICK}\n'


def lane(name: str, per_minute: int | None, **more: Any) -> dict[str, Any]:
    """A plan's lane for that account."""
    quota = {"requests_per_minute": per_minute} if per_minute else {}
    return {"provider": "openai", "model": "m", "style": "completion", "base_url": f"{HOME}/{name}/v1", **quota, **more}


def questions(goal: int, lanes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A plan of so many questions that have nothing to do with each other."""
    return {"recipe": "bench.questions", "goal": goal, "lanes": lanes, **more}


def instructions(goal: int, lanes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"recipe": "self_instruct", "goal": goal, "lanes": lanes, **more}


def stop_after(seconds: float) -> Beside:
    """End the run there, whatever it is doing: what should have come by then has not."""

    async def stop(sim: Simulation, scheduler: Scheduler) -> None:
        await anyio.sleep(seconds)
        scheduler.interrupt("the test")

    return stop


def nothing_lost(sim: Simulation, lived: Lived) -> None:
    """The run reached its goal; every question is settled once, none with a fault, and no answer was asked for again that had
    come."""
    assert lived.pulse.state is RunState.DONE, (lived.pulse.state, lived.pulse.reason)
    settled = sim.settled()
    assert not [line["fault"] for line in settled if "fault" in line]
    assert max(Counter((line["s"], line["i"]) for line in settled).values()) == 1
    assert sim.repeated() == 0
    assert lived.pulse.kept >= sim.plan["goal"]


def came(sim: Simulation, start: float, end: float) -> Counter[str]:
    """Calls that an account admitted between two times."""
    return Counter(seen.account for seen in sim.seen if seen.kind is None and start <= seen.came < end)


def test_three_providers_in_a_storm_lose_nothing() -> None:
    """One dies for good, one refuses for a minute, one takes 20 s an answer: nothing is lost, and nothing asked twice."""
    weather = QUICK + "[[accounts.b.weather.spells]]\nfrom = 20\nto = 80\nrate_without_reason = 1.0\n"
    script = account("a", 300) + account("b", 300, weather) + account("c", 300, "first_byte = { lognormal = [20, 0.3] }")
    plan = instructions(250, {name: lane(name, 300) for name in "abc"})
    sim = Simulation(script, plan, closed={"/a": (20.0, 1e9)})
    nothing_lost(sim, sim.live())
    assert sim.wire.unconnected < 40  # five failures, those that were under way, and a probe now and then


def test_throughput_in_a_storm_is_what_the_other_quotas_allow() -> None:
    """With one provider dead, one refusing for a minute and one slow, the others' quotas are used to 90%."""
    weather = QUICK + "[[accounts.b.weather.spells]]\nfrom = 60\nto = 120\nrate_without_reason = 1.0\n"
    script = account("a", 300) + account("b", 300, weather) + account("c", 300, "first_byte = { lognormal = [20, 0.3] }")
    sim = Simulation(script, questions(10**6, {name: lane(name, 300) for name in "abc"}), closed={"/a": (60.0, 1e9)})
    sim.live(stop_after(300))
    admitted = came(sim, 60, 300)
    assert admitted["c"] >= 0.9 * 4 * 300
    assert admitted["b"] + admitted["c"] >= 0.9 * (4 * 300 + 3 * 300)


def test_outage_of_an_hour_loses_no_item() -> None:
    """Every call gets 503 for an hour: the run waits with a probe a minute, goes on within a minute or so, and loses nothing."""
    sim = Simulation(account("a", 600, QUICK + "outages = [[20, 3620]]"), instructions(250, {"a": lane("a", 600)}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert 3620 < sim.began < 3620 + 180
    assert lived.books["a"]["refused"]["overload"] < 130


def test_closed_socket_for_an_hour_loses_no_item() -> None:
    """Nobody listens for an hour."""
    sim = Simulation(account("a", 600), instructions(250, {"a": lane("a", 600)}), closed={"/a": (20.0, 3620.0)})
    nothing_lost(sim, sim.live())
    assert 3620 < sim.began < 3620 + 180
    assert sim.wire.unconnected < 130


def test_storm_of_refusals_is_answered_with_silence() -> None:
    """A minute in which every call is refused, without a hint, costs few calls and no item."""
    weather = QUICK + "[[accounts.a.weather.spells]]\nfrom = 20\nto = 80\nrate_without_reason = 1.0\n"
    sim = Simulation(account("a", 600, weather), instructions(250, {"a": lane("a", 600)}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert lived.books["a"]["refused"]["rate"] < 30


def test_declared_day_quota_is_kept_over_kills_and_loses_no_item() -> None:
    """A day's quota that the plan declares is never overrun, by no restart either; the next day the run goes on to its end."""
    script = account("a", 40, kind="day")
    sim = Simulation(script, instructions(60, {"a": lane("a", 600, requests_per_day=40)}))
    sim.die(60)
    sim.began = 3600.0
    sim.die(60)
    used = sim.books()["a"]["admitted"]
    assert 36 <= used <= 40
    for day in (1, 2, 3, 4, 5, 6):
        sim.began = day * 86_460.0
        lived = sim.live(stop_after(120))
        assert lived.books["a"]["admitted"] <= 40 * (day + 1)
        if lived.pulse.state is RunState.DONE:
            break
    assert "quota" not in lived.books["a"]["refused"]
    assert lived.pulse.state is RunState.DONE
    assert not [line for line in sim.settled() if "fault" in line]


def test_undeclared_day_quota_ends_the_run_and_loses_no_item() -> None:
    """Without other lanes the run ends with exit code 4 when the day is used up; the next day the same command goes on."""
    sim = Simulation(account("a", 60, kind="day"), instructions(40, {"a": lane("a", 600)}))
    lived = sim.live()
    assert EXIT_CODES[lived.pulse.state] == 4
    sim.began = 86_460.0
    nothing_lost(sim, sim.live())


def test_declared_day_quota_is_waited_for() -> None:
    """A run that has used up its day goes on by itself when the day is over, without a refusal."""
    sim = Simulation(account("a", 60, kind="day"), instructions(40, {"a": lane("a", 600, requests_per_day=60)}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert not lived.books["a"]["refused"]
    assert 86_400 < sim.began < 86_500


def test_credit_gone_stops_paying_within_the_calls_in_flight() -> None:
    """After the first refusal for want of credit nothing new is sent; the run ends with exit code 4 and goes on elsewhere."""
    script = account("a", 600, QUICK + "credit_ends = 10") + account("b", 600)
    sim = Simulation(script, instructions(100, {"a": lane("a", 600)}))
    lived = sim.live()
    assert EXIT_CODES[lived.pulse.state] == 4
    assert "quota" in lived.pulse.reason
    first = min(seen.came for seen in sim.seen if seen.kind == "quota")
    sent = [seen for seen in sim.seen if seen.kind == "quota" and seen.came > first + 0.2]
    assert not sent, "it had heard of it"
    assert not [line for line in sim.settled() if "fault" in line]
    sim.plan = instructions(100, {"b": lane("b", 600)})
    nothing_lost(sim, sim.live())


def test_credit_gone_leaves_the_work_to_the_other_lane() -> None:
    """With a second lane the run ends well."""
    script = account("a", 300, QUICK + "credit_ends = 5") + account("b", 300)
    sim = Simulation(script, instructions(100, {name: lane(name, 300) for name in "ab"}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert 1 <= lived.books["a"]["refused"]["quota"] <= 5


def test_spent_credit_is_not_overdrawn_by_more_than_what_is_in_flight() -> None:
    """Where the account's own money runs out, the bill exceeds it by no more than the calls that were under way."""
    more = 'prices."*" = { tokens_in = 1.0, tokens_out = 4.0 }'
    script = account("a", 600, more=more) + ""
    script = script.replace("[accounts.a.weather]", '[[accounts.a.limits]]\nkind = "money"\nlimit = 0.05\n[accounts.a.weather]')
    sim = Simulation(script, instructions(1000, {"a": lane("a", 600)}))
    lived = sim.live()
    book = lived.books["a"]
    assert EXIT_CODES[lived.pulse.state] == 4
    dearest = 1.0 * 1500 + 4.0 * 350
    assert book["money_nano"] <= 50_000_000 + book["peak_in_flight"] * dearest * 1000
    assert book["refused"]["quota"] <= book["peak_in_flight"]


def test_model_that_repeats_itself_stalls_the_run() -> None:
    """A run whose every proposal resembles what it was shown ends with exit code 6 before it has paid for much."""
    sim = Simulation("[answers]\nnear_duplicates = 1.0\n" + account("a", 600), instructions(1000, {"a": lane("a", 600)}))
    lived = sim.live()
    assert EXIT_CODES[lived.pulse.state] == 6
    assert "kept nothing" in lived.pulse.reason
    assert lived.books["a"]["calls"] < 80


@pytest.mark.parametrize("told", ["headers_missing = 1.0", "headers_wrong = 1.0", "headers_wrong = 0.5\nhint_missing = 1.0"])
def test_wrong_and_missing_headers_cost_no_item_and_no_refusal(told: str) -> None:
    """Whatever the headers say, the plan's quota is right, and a run within it is neither refused nor lost."""
    sim = Simulation(account("a", 300, QUICK + told), instructions(80, {"a": lane("a", 300)}))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert not lived.books["a"]["refused"]


LIES = "hint_absurd = 1.0\nheaders_missing = 1.0\n"


def test_absurd_hint_parks_its_lane_and_nothing_else() -> None:
    """A lane that is told to wait for a day is parked; what it was refused goes to the other lane at once."""
    script = account("a", 60, QUICK + LIES) + account("b", 300)
    sim = Simulation(script, instructions(120, {"a": lane("a", 600), "b": lane("b", 300)}))
    lived = sim.live(stop_after(600))
    nothing_lost(sim, lived)
    assert lived.books["a"]["refused"]["rate"] < 20


def test_all_lanes_parked_may_end_the_run() -> None:
    """With `when_parked = "stop"` a run whose lanes are all parked ends, resumable, and says until when."""
    script = account("a", 60, QUICK + LIES)
    sim = Simulation(script, instructions(120, {"a": lane("a", 600)}, when_parked="stop"))
    lived = sim.live(stop_after(300))
    assert EXIT_CODES[lived.pulse.state] in (3, 4)
    assert "1440 more minutes" in lived.pulse.reason
    assert sim.began < 200


@pytest.mark.parametrize("told", ["", "headers_missing = 1.0", "headers_missing = 1.0\nhint_missing = 1.0"])
def test_overstated_quota_is_learnt(told: str) -> None:
    """A plan that says twice the quota is refused at first, and hardly any more once the account has learnt."""
    sim = Simulation(account("a", 300, QUICK + told, kind="bucket"), questions(10**6, {"a": lane("a", 600)}))
    sim.live(stop_after(480))
    late = [seen.kind for seen in sim.seen if seen.came > 240]
    assert sum(kind is not None for kind in late) <= 0.01 * len(late)
    assert len(late) >= 0.9 * 4 * 300


def test_undeclared_quota_is_learnt_from_headers() -> None:
    """A plan without any quota gets to most of what the account allows, with hardly a refusal."""
    sim = Simulation(account("a", 600), questions(10**6, {"a": lane("a", None)}))
    sim.live(stop_after(480))
    late = [seen.kind for seen in sim.seen if seen.came > 240]
    assert sum(kind is not None for kind in late) <= 0.01 * len(late)
    assert len(late) >= 0.9 * 4 * 600


def test_too_big_is_made_smaller_or_given_up() -> None:
    """A request over the model's size asks for fewer tokens until it fits; one whose prompt alone is too big fails."""
    script = account("a", 600, more="largest = 420")
    sim = Simulation(script, questions(100, {"a": lane("a", 600)}, options={"words": [20, 300]}))
    lived = sim.live()
    assert lived.pulse.state is RunState.DONE
    faults = Counter(line["fault"]["kind"] for line in sim.settled() if "fault" in line)
    assert set(faults) == {"too_big"}
    assert lived.books["a"]["refused"]["too_big"] <= 8 * (faults["too_big"] + lived.pulse.kept)
    assert sim.repeated() == 0


def test_request_above_the_whole_quota_is_not_asked_for_ever() -> None:
    """A request that weighs more than a whole minute's tokens can never pass: it is made smaller or given up, without waiting."""
    script = account("a", 600).replace("[accounts.a.weather]", LITTLE + "[accounts.a.weather]")
    sim = Simulation(script, questions(20, {"a": lane("a", 600)}, options={"words": [150, 151]}))
    lived = sim.live(stop_after(3600))
    assert lived.pulse.state is RunState.DONE
    assert lived.books["a"]["refused"]["too_big"] > 0


LITTLE = '[[accounts.a.limits]]\nkind = "sliding"\nof = "tokens"\nlimit = 500\n'


def test_lanes_of_one_account_share_its_quota() -> None:
    """Two models under one account's quota are never refused together."""
    lanes = {name: lane("a", 300, account="team") | {"model": name} for name in ("small", "large")}
    sim = Simulation(account("a", 300), instructions(80, lanes))
    lived = sim.live()
    nothing_lost(sim, lived)
    assert not lived.books["a"]["refused"]
    assert {line["lane"] for line in sim.settled()} <= {"small", "large"}


def test_kills_in_a_storm_lose_and_repeat_nothing_but_what_was_in_flight() -> None:
    """Killed five times in bad weather, a run settles everything once; what is asked again was in flight at a kill."""
    weather = QUICK + "errors = { 500 = 0.02, 529 = 0.02 }\nreset_before_headers = 0.02\ncut_body = 0.02\nmalformed_json = 0.02\n"
    script = account("a", 600, weather) + account("b", 300, weather)
    sim = Simulation(script, instructions(150, {"a": lane("a", 600), "b": lane("b", 300)}))
    spared = 0
    for seconds in (2.0, 3.5, 0.7, 5.0, 2.5):
        sim.die(seconds)
        spared += sum(seen.got and seen.ended > sim.began - 0.2 for seen in sim.seen)
    lived = sim.live()
    assert lived.pulse.state is RunState.DONE
    settled = sim.settled()
    assert max(Counter((line["s"], line["i"]) for line in settled).values()) == 1
    assert not [line["fault"] for line in settled if "fault" in line]
    assert sim.repeated() <= spared


def test_unexplained_refusals_cost_little() -> None:
    """A refusal now and then, with headers that tell of much room, costs seconds and not the minute until all is free again."""
    sim = Simulation(account("a", 600, QUICK + "rate_without_reason = 0.005"), questions(10**6, {"a": lane("a", 600)}))
    sim.live(stop_after(300))
    assert came(sim, 0, 300)["a"] >= 0.9 * 5 * 600


@pytest.mark.parametrize("told", ["", "headers_missing = 1.0\n"])
def test_full_speed_is_back_after_a_storm(told: str) -> None:
    """Three minutes after a storm of refusals an account is used as if there had been none."""
    spell = "[[accounts.a.weather.spells]]\nfrom = 60\nto = 180\nrate_without_reason = 1.0\n"
    sim = Simulation(account("a", 300, QUICK + told + spell), questions(10**6, {"a": lane("a", 300)}))
    sim.live(stop_after(480))
    assert came(sim, 360, 480)["a"] >= 0.9 * 2 * 300


def test_rare_refusals_do_not_wear_an_account_down() -> None:
    """Five refusals without reason in a thousand calls, and no headers: after an hour the account is still used."""
    weather = QUICK + "rate_without_reason = 0.005\nheaders_missing = 1.0\n"
    sim = Simulation(account("a", 60, weather), questions(10**6, {"a": lane("a", 60)}))
    sim.live(stop_after(3600))
    assert came(sim, 3000, 3600)["a"] >= 0.85 * 10 * 60


def test_undeclared_quota_is_learnt_again_after_a_storm() -> None:
    """Without a quota in the plan, five minutes after a storm of refusals an account is used again."""
    spell = "[[accounts.a.weather.spells]]\nfrom = 20\nto = 80\nrate_without_reason = 1.0\n"
    script = account("a", 600, QUICK + spell, kind="bucket")
    sim = Simulation(script, questions(10**6, {"a": lane("a", None)}))
    sim.live(stop_after(480))
    assert came(sim, 360, 480)["a"] >= 0.8 * 2 * 600


def vendor(name: str, dialect: str, limit: int, more: str = "") -> str:
    """A script's account of a vendor, in a storm: overloads, cuts, resets, garbled bodies, bare refusals."""
    sky = QUICK + "errors = { 503 = 0.03 }\ncut_body = 0.01\nreset_before_headers = 0.01\nreset_after_headers = 0.01\n"
    sky += "stream_error = 0.01\nstream_without_end = 0.01\nusage_missing = 0.1\ncrlf = 0.3\nragged = 0.3\nkept_alive = 0.3\n"
    return account(name, limit, sky, f'dialect = "{dialect}"\nkeys = ["k-{name}"]\n{more}')


def test_four_vendors_share_a_run_in_a_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI, Anthropic, Gemini and Ollama, streamed and not, each in its own dialect: nothing is lost, each does its share."""
    places = {"a": ("openai", "/v1"), "b": ("anthropic", ""), "c": ("gemini", "/v1beta"), "d": ("ollama", "")}
    script = "".join(vendor(name, dialect, 120) for name, (dialect, _) in places.items())
    lanes: dict[str, dict[str, Any]] = {}
    for n, (name, (dialect, path)) in enumerate(places.items()):
        monkeypatch.setenv(f"SEEDDRILL_TEST_{name.upper()}", f"k-{name}")
        key = {"key": f"env:SEEDDRILL_TEST_{name.upper()}"}
        address = {"base_url": f"{HOME}/{name}{path}", "requests_per_minute": 120, "model": "m", "stream": n % 2 == 1}
        lanes[name] = {"provider": dialect, **address, **key}
    sim = Simulation(script, instructions(200, lanes))
    lived = sim.live()
    nothing_lost(sim, lived)
    shares = Counter(line["lane"] for line in sim.settled())
    assert set(shares) == set(places)
    assert min(shares.values()) > 0.5 * max(shares.values())
