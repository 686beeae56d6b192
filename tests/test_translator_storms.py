"""Nine vendors of translations, each with its own quotas and ways to refuse, played by the simulator in virtual time.

Whole runs of the engine. What is promised is read from two books that know nothing of each other: the simulator's, the journal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.runtime.pulse import EXIT_CODES, RunState
from tests import translator
from tests.simulated import HOME, Lived, Simulation
from tests.vendors import VENDORS

DOCUMENTS = 40
DAY = 86_400.0
BY_NAME = {vendor.name: vendor for vendor in VENDORS}


@dataclass(frozen=True)
class Habit:
    """What a vendor allows: a limit of a script, and the same in a plan. `pivot`: into what it translates English."""

    limit: str
    quota: dict[str, Any]
    pivot: str = "zh"
    refusals: int = 0
    """That the jitter of the line brings, however well a client keeps to it."""


HABITS = {
    "deepl": Habit("kind = 'sliding'\nlimit = 50\nperiod = 1", {"requests_per_second": 50}),
    "google_translate": Habit("kind = 'sliding'\nof = 'characters'\nlimit = 6_000", {"characters_per_minute": 6_000}),
    "azure_translator": Habit("kind = 'sliding'\nof = 'characters'\nlimit = 33_300", {"characters_per_minute": 33_300}),
    "libretranslate": Habit("kind = 'sliding'\nlimit = 60", {"requests_per_minute": 60}),
    "baidu": Habit("kind = 'sliding'\nlimit = 1\nperiod = 1", {"requests_per_second": 1}, refusals=3),
    "youdao": Habit("kind = 'sliding'\nlimit = 10\nperiod = 1", {"requests_per_second": 10}),
    "alibaba_mt": Habit("kind = 'sliding'\nlimit = 50\nperiod = 1", {"requests_per_second": 50}),
    "amazon_translate": Habit("kind = 'sliding'\nof = 'bytes'\nlimit = 10_000", {"characters_per_minute": 10_000}),
    "apertium": Habit("kind = 'concurrent'\nlimit = 2", {"concurrent": 2}, "es"),
}
"""Of the cheapest service, where its figure is known; else of a size that this work meets."""

FAIR = "reset_before_headers = 0, reset_after_headers = 0, cut_body = 0, malformed_json = 0, partial_answers = 0, slow_drip = 0"
CHAOS = f"""
first_byte = {{ lognormal = [0.8, 0.4] }}
rate_without_reason = 0.05
errors = {{ 500 = 0.03, 503 = 0.05 }}
reset_before_headers = 0.04
reset_after_headers = 0.04
cut_body = 0.04
malformed_json = 0.04
partial_answers = 0.05
slow_drip = 0.03
drip_seconds = 5
spells = [
    {{ from = 0, to = 0.5, rate_without_reason = 1.0, errors = {{500 = 0, 503 = 0}}, {FAIR} }},
    {{ from = 0.5, to = 4, rate_without_reason = 0, errors = {{500 = 0.5, 503 = 0.5}}, {FAIR} }},
    {{ from = 4, to = 40, cut_body = 0.4, reset_after_headers = 0.3 }},
]
"""
"""First it refuses everything, then it is down, then most answers break; after that a little of everything."""
LLM = "[accounts.llm]\nprefix = '/llm'\nkeys = []\n[accounts.llm.weather]\nfirst_byte = 0.5\ntokens_per_second = 1000\n"


def simulation(folder: Path, name: str, law: str, weather: str, quota: dict[str, Any]) -> Simulation:
    """A run that sends the documents to the vendor and back, and has instructions written by a model in fair weather."""
    vendor = BY_NAME[name]
    script = f"[accounts.{name}]\ndialect = '{name}'\nprefix = '/{name}'\nkeys = {[vendor.key] if vendor.key else []}\n"
    script += f"[[accounts.{name}.limits]]\n{law}\n[accounts.{name}.weather]\n{weather}\n{LLM}"
    places = []
    for n, part in enumerate(vendor.key.split()):
        (folder / f"key{n}").write_text(part)
        places.append(f"file:{folder / f'key{n}'}")
    lanes = {
        "mt": {"provider": name, "base_url": f"{HOME}/{name}", **({"key": " ".join(places)} if places else {}), **quota},
        "llm": {
            "provider": "openai",
            "model": "m",
            "base_url": f"{HOME}/llm/v1",
            "key": f"file:{folder / 'llm'}",
            "concurrent": 32,
        },
    }
    (folder / "llm").write_text("sk-any")
    corpus = translator.corpus(folder / "corpus.jsonl", DOCUMENTS)
    options = {"pivot": HABITS[name].pivot, "part_characters": 500}
    return Simulation(script, translator.plan(corpus, lanes=lanes, options=options), seed=3)


def nothing_lost(sim: Simulation, lived: Lived) -> None:
    """Every document is translated, brought back and settled once, none with a fault; a record has the text of its own source."""
    assert lived.pulse.state is RunState.DONE, (lived.pulse.state, lived.pulse.reason)
    settled = sim.settled()
    assert not [line["fault"] for line in settled if "fault" in line]
    assert Counter((line["s"], line["i"]) for line in settled) == {
        (step, n): 1 for step in ("translate", "return", "instruct") for n in range(DOCUMENTS)
    }
    backs = {line["of"]: line["kept"][0]["back"] for line in settled if line["s"] == "return"}
    assert backs == {f"translate/{n}.0": translator.text(n) for n in range(DOCUMENTS)}


def booked(sim: Simulation) -> int:
    """Characters that the journal has for the vendor: of answers, and of calls that were paid for in vain."""
    replies = [reply for line in sim.settled() if line["lane"] == "mt" for reply in line["replies"]]
    vain = [line for line in sim.lines() if "paid" in line and line["lane"] == "mt"]
    return sum(one["usage"]["characters"] for one in (*replies, *vain))


@pytest.mark.parametrize("name", HABITS)
def test_vendor_at_its_own_quota(name: str, tmp_path: Path) -> None:
    """Under a declared quota that is the vendor's, nothing is refused; the characters of the run are those of the vendor's book,
    in its own unit."""
    habit = HABITS[name]
    sim = simulation(tmp_path, name, habit.limit, "first_byte = 0.4", habit.quota)
    lived = sim.live()
    nothing_lost(sim, lived)
    book = lived.books[name]
    assert sum(book["refused"].values()) <= HABITS[name].refusals
    assert booked(sim) == book["characters"]


@pytest.mark.parametrize("name", HABITS)
def test_vendor_in_a_storm(name: str, tmp_path: Path) -> None:
    """With no quota declared, in bad weather: refusals are waited out in whatever status and code they come, and nothing is
    lost. The journal has the characters of the vendor's book to the last one, those included whose answers broke on their way;
    for lines of one field (Baidu) it is not told how many breaks between lines were lost, so it may count one more a call."""
    sim = simulation(tmp_path, name, HABITS[name].limit, CHAOS, {})
    lived = sim.live()
    nothing_lost(sim, lived)
    book = lived.books[name]
    assert {"rate", "overload"} <= set(book["refused"])
    assert sum(book["broken"].values()) > 0
    vain = sum(line["usage"].get("requests", 1) for line in sim.lines() if "paid" in line and line["lane"] == "mt")
    assert 0 <= booked(sim) - book["characters"] <= (vain if name == "baidu" else 0)


@pytest.mark.parametrize("name", [name for name in HABITS if name not in ("libretranslate", "apertium")])
def test_quota_that_is_used_up_ends_the_lane_and_loses_nothing(name: str, tmp_path: Path) -> None:
    """456, 403 with a reason, an error code under 200: whatever says that the day's characters are spent is no rate to wait for.
    The run ends for want of a lane, and goes on when they are there again."""
    sim = simulation(tmp_path, name, "kind = 'day'\nof = 'characters'\nlimit = 7_000", "first_byte = 0.4", {"concurrent": 4})
    lived, lives = sim.live(), 1
    while lived.pulse.state is not RunState.DONE:
        assert EXIT_CODES[lived.pulse.state] == 4, (lived.pulse.state, lived.pulse.reason)
        assert sim.began < lives * DAY
        sim.began = lives * DAY
        lived, lives = sim.live(), lives + 1
    nothing_lost(sim, lived)
    book = lived.books[name]
    assert 2 <= lives <= 4
    assert lives - 1 <= book["refused"]["quota"] <= 8 * (lives - 1)
    assert booked(sim) == book["characters"]
