"""Thousands of simulated crashes, by seed; and that each rule the journal lives by is one that these would miss."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import pytest

from engine.core.quota import Ledger
from tests.crashes import Deaf, LateManifest, Nameless, WritesLater, broken, drawn, grants_first

SCHEDULES, DOCUMENT_SCHEDULES = 5000, 200
CHUNK = 100
ENOUGH, STEP = range(200), 20
"""Schedules within which a mutant has to fail, and how many are tried before anybody looks."""


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes for all tests of this file: starting one takes as long as a hundred schedules."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as made:
        yield made


def caught(**how: Any) -> list[str]:
    """The first promises that a mutant breaks."""
    starts = range(ENOUGH.start, ENOUGH.stop, STEP)
    return next((found for first in starts if (found := broken(range(first, first + STEP), **how))), [])


def test_five_thousand_schedules_keep_every_promise(pool: ProcessPoolExecutor) -> None:
    """Whatever tears, fails, fills up or is slow, wherever the machine stops: what was acknowledged is there, nothing is asked or
    settled twice, no quota is used without a lasting lease, and the goal is reached. A failure names the seed to see it again."""
    chunks = [range(first, first + CHUNK) for first in range(0, SCHEDULES, CHUNK)]
    found = [promise for promises in pool.map(broken, chunks) for promise in promises]
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize("subject", ["documents", "batches"])
def test_hundreds_of_schedules_over_documents_keep_them_too(subject: str, pool: ProcessPoolExecutor) -> None:
    """Killed anywhere, a run over documents settles each of them once, those that are turned away included, and makes of each the
    record that it would have made anyway; so where several travel in one request."""
    chunks = [range(first, first + CHUNK) for first in range(0, DOCUMENT_SCHEDULES, CHUNK)]
    found = [promise for promises in pool.map(partial(broken, subject=subject), chunks) for promise in promises]
    assert not found, "\n".join(found[:20])


def test_schedules_are_of_every_kind() -> None:
    """The seeds above mix every fault with every way of writing: a kind that is never drawn would prove nothing."""
    plans = [drawn(seed) for seed in range(SCHEDULES)]
    assert {kind for plan in plans for kind, _ in plan.faults} == {"power", "kill", "full", "eio"}
    assert {(plan.compress, plan.slow > 0, plan.group) for plan in plans} >= {(True, True, 0.0), (False, False, 5.0)}
    assert {plan.concurrent for plan in plans} == set(range(1, 9))


@pytest.mark.parametrize(
    "mutant",
    [{"disk": Deaf}, {"disk": Nameless}, {"writer": LateManifest}, {"writer": WritesLater}],
    ids=["without_fsync", "without_fsync_of_names", "late_manifest", "applies_before_it_writes"],
)
def test_mutant_is_caught(mutant: dict[str, Any]) -> None:
    """Without fsync of contents or of names, with the manifest one step late, or with lines acknowledged before they are written,
    the schedules find it."""
    assert caught(**mutant)


@pytest.mark.parametrize("mutant", [{"disk": Deaf}, {"writer": WritesLater}], ids=["without_fsync", "applies_before_it_writes"])
def test_mutant_is_caught_over_documents(mutant: dict[str, Any]) -> None:
    """The schedules over documents find the same mutants."""
    assert caught(subject="documents", **mutant)


def test_lease_that_is_used_before_it_lasts_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota that is spent before its lease is on the disk is found, too."""
    monkeypatch.setattr(Ledger, "draw", grants_first(Ledger.draw))
    assert any("on leases for" in promise for promise in broken(ENOUGH))
