"""Repair: whatever is done to a journal, what can be read of it is saved, consistent, and nothing is thrown away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import orjson
import pytest

from bench import journals
from engine import rundir
from engine.core.faults import ForeignJournal, JournalError, PlanError
from engine.core.types import Settled
from engine.repair import repair
from engine.runtime.disk import Directory
from engine.runtime.segments import FOLDER, MANIFEST, salvage
from engine.verify import Extent, verify

GOAL = 50
SEGMENT = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in several segments."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    journals.make(folder, GOAL, segment=SEGMENT)
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def yes(shown: str) -> bool:
    return True


def answers(directory: Path) -> dict[str, Settled]:
    """Settled answers by the hash of their prompt."""
    return {line.q: line for line in rundir.journal(directory) if isinstance(line, Settled)}


def with_parents(directory: Path) -> set[str]:
    """Hashes of the answers in a damaged journal that can be read, and whose forebears can all be read too."""
    found: set[str] = set()
    known: set[str] = set()
    for line in salvage(Directory(directory)):
        if isinstance(line, Settled) and (line.of is None or line.of in known):
            found.add(line.q)
            known.update(f"{line.step}/{line.index}.{n}" for n, _ in line.kept)
    return found


def flip(run: Path, rng: Random) -> None:
    """A bit of some line but the last segment's end."""
    path = run / FOLDER / rng.choice(sorted(os.listdir(run / FOLDER)))
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data) - 200)] ^= 1 << rng.randrange(7)
    path.write_bytes(data)


def lose_lines(run: Path, rng: Random) -> None:
    path = run / FOLDER / rng.choice(sorted(os.listdir(run / FOLDER)))
    lines = path.read_bytes().splitlines(keepends=True)
    place = rng.randrange(1, len(lines) - 1)
    path.write_bytes(b"".join(lines[:place] + lines[place + rng.randint(1, 3) :]))


def lose_a_segment(run: Path, rng: Random) -> None:
    (run / FOLDER / rng.choice(sorted(os.listdir(run / FOLDER)))).unlink()


def cut_a_segment(run: Path, rng: Random) -> None:
    path = run / FOLDER / rng.choice(sorted(os.listdir(run / FOLDER))[:-1])
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def spoil_the_manifest(run: Path, rng: Random) -> None:
    (run / MANIFEST).write_bytes(b"{}\n")


DAMAGES = [flip, lose_lines, lose_a_segment, cut_a_segment, spoil_the_manifest]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_can_be_read_is_saved(run: Path, whole: Path, damage: Callable[[Path, Random], None], seed: int) -> None:
    """After any damage the journal is refused, and mended: verify finds no difference, answers are the old ones, the damaged
    journal is kept as it was, and only answers about what is lost are dropped."""
    damage(run, Random(seed))
    damaged = {path.name: path.read_bytes() for path in (run / FOLDER).iterdir()}
    before = verify(run, Extent.SAMPLE)
    assert before.differences, "the damage was not found"
    told: list[str] = []
    text = repair(run, lambda shown: told.append(shown) or True)  # type: ignore[func-returns-value]
    assert "is mended; the damaged journal is kept in" in text
    assert told[0].startswith("What is wrong: ")
    assert verify(run, Extent.ALL).differences == []
    assert {path.name: path.read_bytes() for path in (run / "damaged-1" / FOLDER).iterdir()} == damaged
    old, new = answers(whole), answers(run)
    assert new.keys() <= old.keys()
    assert all(new[q].replies == old[q].replies and new[q].shown == old[q].shown for q in new)
    reachable = with_parents(run / "damaged-1")
    assert len(reachable & new.keys()) >= 0.95 * len(reachable), "more was dropped than what hung on the loss"
    assert not (run / rundir.REPAIR).exists()


def test_nothing_is_changed_without_a_yes(run: Path) -> None:
    """What would be dropped is shown first; without agreement everything stays as it was."""
    flip(run, Random(1))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told: list[str] = []
    assert repair(run, lambda shown: bool(told.append(shown))) == "Nothing was changed."
    assert "Cannot be read, and would be dropped:\n  journal/0000" in told[0]
    assert "would be dropped, because what they are about is lost" in told[0]
    assert "The journal as it is now would be kept in" in told[0]
    (run / "lock").unlink()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_sound_journal_is_left_alone(run: Path) -> None:
    """Where nothing is wrong nothing is done, and nobody is asked."""
    assert "is not damaged: every line is whole" in repair(run, lambda shown: pytest.fail(shown))
    assert not (run / "damaged-1").exists()


def test_spoilt_manifest_costs_nothing(run: Path, whole: Path) -> None:
    """Where only the manifest is damaged, every answer stays."""
    spoil_the_manifest(run, Random(0))
    repair(run, yes)
    assert answers(run) == answers(whole)


@pytest.mark.parametrize("step", range(1, 6))
def test_repair_that_is_cut_short_is_finished_by_the_next(run: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Killed between any two renames while the journals change places: no run and no reader takes half for whole, and the same
    command finishes it."""
    flip(run, Random(2))
    real, count = os.rename, 0

    def rename(old: Path, new: Path) -> None:
        nonlocal count
        count += 1
        if count == step:
            raise KeyboardInterrupt
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    if step == 5:
        repair(run, yes)
        assert count == 4, "there is a rename that this test does not cut short"
        return
    with pytest.raises(KeyboardInterrupt):
        repair(run, yes)
    monkeypatch.undo()
    with pytest.raises(JournalError, match=r"a repair of .* was cut short; nothing is lost: 'seeddrill repair .*' finishes it"):
        list(rundir.journal(run))
    assert "An earlier repair was cut short, and is finished now" in repair(run, lambda shown: pytest.fail(shown))
    assert verify(run, Extent.SAMPLE).differences == []


def test_second_repair_keeps_its_own_journal(run: Path) -> None:
    """Each damaged journal is kept under its own name."""
    for number in (1, 2):
        flip(run, Random(number))
        repair(run, yes)
        assert (run / f"damaged-{number}" / FOLDER).is_dir()
    assert verify(run, Extent.SAMPLE).differences == []


def test_directory_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    """A file called lock in somebody's own directory is not touched."""
    (tmp_path / "lock").write_text("precious")
    with pytest.raises(PlanError, match="is not a run directory"):
        repair(tmp_path, yes)
    assert (tmp_path / "lock").read_text() == "precious"


def test_foreign_journal_is_not_mended(run: Path) -> None:
    """What another version wrote, or what belongs to another plan, is whole: there is nothing to repair."""
    body = rundir.read_plan(run)
    body["fingerprint"] = "0" * 16
    body["plan"]["options"]["rouge_max"] = 0.6
    (run / rundir.PLAN).write_bytes(orjson.dumps(body))
    with pytest.raises(ForeignJournal, match="belongs to another plan"):
        repair(run, lambda shown: pytest.fail(shown))
