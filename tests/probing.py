"""Load tests in virtual time: the real prober and what drives it, over any network, with every attempt kept as it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

import providers
from engine.core.caps import Caps, Purse
from engine.core.money import Prices
from engine.core.prober import Prober, Program
from engine.core.probing import Probing, What
from engine.core.shapes import Speaker
from engine.core.types import Chat, LanePlan, Translation
from engine.runtime.account import Lane
from engine.runtime.clock import Clock
from engine.runtime.keys import Key
from engine.runtime.prober import Ended, Line, Shooter
from engine.runtime.wire import Sender, Timeouts
from providers.simulator import script
from providers.simulator.world import World
from tests import virtual
from tests.simulated import BEGAN, HOME, SimulatedWire

PRICES = Prices(currency="usd", tokens_in=150_000_000, tokens_out=600_000_000)
"""0.15 and 0.60 a million."""


@dataclass(slots=True)
class Drilled:
    """How a test went."""

    ended: Ended
    prober: Prober
    probing: Probing
    lines: list[Line]


@dataclass(slots=True)
class Drill:
    """A test that is to be made. `program` in place of what a probe does; `meanwhile` is given what drives it, before it runs."""

    wire: Sender
    caps: Caps = field(default_factory=lambda: Caps(requests=10_000))
    prices: Prices | None = PRICES
    what: frozenset[What] = frozenset()
    plan: LanePlan = field(default_factory=lambda: LanePlan(provider="openai", model="m", base_url=f"{HOME}/a/v1"))
    key: str = "sk-ours"
    program: Program | None = None
    on_line: Callable[[Line], None] = lambda line: None
    meanwhile: Callable[[Shooter], Any] | None = None

    def run(self) -> Drilled:
        provider = providers.find(self.plan.provider)
        lane = Lane("a", self.plan, provider, frozenset(), "chat", key=Key(None, self.key))
        purse = Purse(self.caps, self.prices)
        probing = Probing(self.what, self.plan.quota, purse)
        takes = Translation if Translation in provider.accepts else Chat
        prober = Prober(Speaker(takes, "t"), provider.weigh, purse, self.program or probing.program)
        lines: list[Line] = []

        def on_line(line: Line) -> None:
            lines.append(line)
            self.on_line(line)

        async def main() -> Ended:
            clock = Clock(anyio.current_time, lambda: BEGAN + anyio.current_time())
            shooter = Shooter(prober, lane, self.wire, clock, Timeouts(60.0, 60.0, 60.0))
            if self.meanwhile is not None:
                self.meanwhile(shooter)
            return await shooter.run(on_line)

        return Drilled(virtual.run(main), prober, probing, lines)


def simulated(text: str, seed: int = 0) -> tuple[World, SimulatedWire]:
    """Accounts by a script, and the network to them."""
    world = World(script.read(text), seed)
    return world, SimulatedWire(world, 0.0, {}, seed)
