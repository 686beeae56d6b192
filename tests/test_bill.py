"""The journal's books against the simulator's own bill: a stranger's arithmetic, weather, quotas and prices."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.runtime.pulse import RunState
from tests.simulated import HOME, Lived, Simulation

PRICES = {"tokens_in": 0.15, "tokens_out": 0.6}
CALM = "first_byte = { lognormal = [0.8, 0.4] }\ntokens_per_second = { uniform = [60, 140] }\n"
ROUGH = CALM + "errors = { 500 = 0.05 }\nrate_without_reason = 0.05\nreset_after_headers = 0.03\nmalformed_json = 0.03\n"


def simulation(seed: int, weather: str, usd: float, goal: int = 60) -> Simulation:
    """A run of one account with prices, within a limit."""
    prices = "prices.'*' = { tokens_in = 0.15, tokens_out = 0.6 }"
    law = '[[accounts.a.limits]]\nkind = "sliding"\nlimit = 600\n'
    script = f'[accounts.a]\nprefix = "/a"\n{prices}\n{law}[accounts.a.weather]\n{weather}'
    lane: dict[str, Any] = {
        "provider": "openai",
        "model": "m",
        "style": "completion",
        "base_url": f"{HOME}/a/v1",
        "requests_per_minute": 600,
        "concurrent": 20,
        "price": PRICES,
    }
    plan = {"recipe": "self_instruct", "goal": goal, "lanes": {"a": lane}, "budget": {"usd": usd}}
    return Simulation(script, plan, seed)


def bill(lived: Lived) -> int:
    """What the simulator wants to be paid, in nano-units."""
    return int(lived.books["a"]["money_nano"])


def test_books_are_the_bill_to_the_nano_unit() -> None:
    """Where every answer arrives, the journal's costs are the vendor's bill, call by call rounded as it rounds."""
    sim = simulation(0, CALM, 5.0)
    lived = sim.live()
    (run,) = lived.pulse.budget
    assert lived.pulse.state is RunState.DONE
    assert run.spent == sum(line["cost"] for line in sim.settled()) == bill(lived) > 0
    assert run.wasted == 0


@pytest.mark.parametrize("seed", range(12))
def test_no_bill_passes_the_limit(seed: int) -> None:
    """Answers that break off, nonsense, refusals, kills: the bill is within the books, and the books within the limit."""
    rng = Random(seed)
    limit = round(rng.uniform(0.01, 0.08), 4)
    sim = simulation(seed, ROUGH, limit)
    for _ in range(rng.randint(0, 2)):
        sim.die(rng.uniform(0.5, 3.0))
    lived = sim.live()
    (run,) = lived.pulse.budget
    assert lived.pulse.state in (RunState.DONE, RunState.BUDGET)
    assert bill(lived) <= run.spent <= run.limit == round(limit * 10**9)
