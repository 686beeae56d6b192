"""`lanes check` over real sockets: every dialect that the simulator speaks, with the right key and with a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

import providers
from engine import lanecheck
from engine.core.faults import FaultKind
from engine.core.types import Chat
from engine.lanecheck import MEANINGS, Checked
from engine.plan import from_data
from providers.simulator import dialects, script, server
from tests.runtime.test_wire import no_proxy  # noqa: F401
from tests.translator import corpus
from tests.vendors import QUICK, VENDORS

TALKING = [name for name in dialects.names() if name in providers.names() and Chat in providers.find(name).accepts]
KEYS = dict.fromkeys(TALKING, "sk-a") | {vendor.name: vendor.key for vendor in VENDORS}
WRONG = "sk-0"
UNKNOWN = {"apertium"}
"""Servers that want no key."""


def account(name: str, key: str) -> str:
    keys = f"keys = ['{key}']" if key else ""
    return f"[accounts.{name}]\ndialect = '{name}'\nprefix = '/{name}'\n{keys}\n[accounts.{name}.weather]\n{QUICK}\n"


def lane(name: str, address: str, places: str) -> dict[str, Any]:
    """A lane of this dialect; its key is found at `places`, a prefix of variables."""
    home = getattr(dialects.find(name), "home", "")
    spec: dict[str, Any] = {"provider": name, "base_url": f"{address}/{name}{home}"}
    if Chat in providers.find(name).accepts:
        spec |= {"model": {"anthropic": "claude-haiku-4-5"}.get(name, "m"), "role": "write"}
    parts = len(KEYS[name].split())
    return spec | ({"key": " ".join(f"env:{places}_{name.upper()}_{n}" for n in range(parts))} if parts else {})


def test_every_dialect_is_tried_over_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its key each lane answers, and tells what it is; with a wrong one it says so, and shows neither."""
    assert KEYS.keys() == set(dialects.names())
    for name, key in KEYS.items():
        for n, part in enumerate(key.split()):
            monkeypatch.setenv(f"RIGHT_{name.upper()}_{n}", part)
            monkeypatch.setenv(f"WRONG_{name.upper()}_{n}", f"{WRONG}-{n}-of-{name}")

    async def main() -> list[Checked]:
        text = "".join(account(name, key) for name, key in KEYS.items())
        async with server.running(script.read(text), 0, seed=1) as address:
            lanes = {name: lane(name, address, "RIGHT") for name in KEYS}
            lanes |= {f"{name}-wrong": lane(name, address, "WRONG") for name in KEYS.keys() - UNKNOWN}
            made = {"recipe": "backtranslation", "lanes": lanes, "input": {"path": str(corpus(tmp_path / "c.jsonl", 1))}}
            return await lanecheck.acheck(from_data(made))

    checked = anyio.run(main)
    for one in checked:
        wrong = one.name.endswith("-wrong")
        assert one.fault == (MEANINGS[FaultKind.AUTH] if wrong else None), one
        assert one.seconds > 0
        assert wrong or one.provider not in TALKING or one.model
    told = lanecheck.as_text(checked) + lanecheck.as_json(checked)
    assert WRONG not in told
    assert not [part for key in KEYS.values() for part in key.split() if len(part) > 4 and part in told]
    assert len(checked) == 2 * len(KEYS) - len(UNKNOWN)
