"""Seeddrill's engine. `run`, `arun` and `records` are the doors; the rooms are `core`, `recipes` and `runtime`.

Names are loaded when they are first used: importing a pure room opens no socket library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.version import VERSION as __version__

if TYPE_CHECKING:
    from engine.app import Outcome as Outcome
    from engine.app import arun as arun
    from engine.app import records as records
    from engine.app import run as run
    from engine.core.faults import EngineError as EngineError
    from engine.core.tariff import BudgetPlan as BudgetPlan
    from engine.core.tariff import Tariff as Tariff
    from engine.core.types import LanePlan as LanePlan
    from engine.core.types import Quota as Quota
    from engine.plan import Plan as Plan

_HOMES = {
    "BudgetPlan": "engine.core.tariff",
    "EngineError": "engine.core.faults",
    "LanePlan": "engine.core.types",
    "Outcome": "engine.app",
    "Plan": "engine.plan",
    "Quota": "engine.core.types",
    "Tariff": "engine.core.tariff",
    "arun": "engine.app",
    "records": "engine.app",
    "run": "engine.app",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
