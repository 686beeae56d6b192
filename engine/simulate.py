"""`seeddrill simulate`: plays paid providers on this machine, with their quotas, prices and bad weather, from a script."""

from __future__ import annotations

from pathlib import Path

from engine.core.faults import PlanError
from providers.simulator import data, server
from providers.simulator.script import ScriptError


def simulate(script: Path | None, port: int, seed: int) -> None:
    """Until interrupted. Raises `PlanError` for a bad script, with its line, and for a port in use."""
    if script is None:
        raise PlanError("name a script; 'seeddrill simulate --example > world.toml' writes one that shows every key")
    try:
        server.serve(script, port, seed)
    except ScriptError as error:
        raise PlanError(str(error)) from None


def example() -> str:
    """A script that shows every key."""
    return data.example()
