"""Verify believes nothing: whatever is changed in a run directory, checksums mended or not, it finds."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine import app, rundir
from engine.core.lines import seal
from engine.runtime.segments import FOLDER
from engine.verify import Extent, verify
from tests import runs


def differences(directory: Path) -> list[str]:
    return verify(directory, Extent.ALL).differences


def edited(run: Path, number: int, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The run with one line changed, its checksum made to fit: what an editor that knows the format would leave."""
    path = runs.segment(run)
    lines = path.read_bytes().splitlines(keepends=True)
    body = orjson.loads(lines[number])
    del body["c"]
    change(body)
    lines[number] = seal(body)
    path.write_bytes(b"".join(lines))
    return run


def test_good_run_has_no_difference_and_says_what_was_checked(run: Path) -> None:
    """Every kind of check is counted, and rouge_score has judged every verdict."""
    found = verify(run, Extent.ALL)
    assert found.differences == []
    text = found.text(run)
    for line in (
        "1 segments",
        "9 settled answers, each once",
        "1 attempts that cost something and settled nothing",
        "9 prompts built again, hash compared",
        "8 verdicts worked out again",
        "1 copies scored again by rouge_score",
        "3 kept texts compared by rouge_score with all before them",
        "No difference.",
    ):
        assert line in text, text


@pytest.mark.parametrize(
    ("number", "change", "told"),
    [
        (1, lambda line: line["kept"].pop(), "instruct/0: draft 2 is not there in the journal, and kept when judged again"),
        (
            1,
            lambda line: line["dropped"][1].__setitem__(2, "duplicate of instruct/0.0 (0.9)"),
            "draft 3 is duplicate of instruct/0.0 (0.9) in the journal, and duplicate of instruct/0.0 (0.9333333333333333)",
        ),
        (1, lambda line: line.update(q="0" * 16), "instruct/0: its prompt, built again, is not the one that was sent"),
        (1, lambda line: line["shown"].reverse(), "instruct/0: its prompt, built again, is not the one that was sent"),
        (1, lambda line: line["replies"][0].update(text="1. Hum."), "instruct/0: draft 0 is kept in the journal, and too_short"),
        (
            1,
            lambda line: line["shown"].__setitem__(0, "instruct/77.0"),
            "instruct/0: its prompt shows instruct/77.0, which no line",
        ),
        ("instruct", lambda line: line.update(i=0), "contradicts itself: instruct/0 is settled twice"),
        ("classify", lambda line: line.update(of="instruct/9.9"), "contradicts itself: classify/0 is about instruct/9.9"),
        (
            1,
            lambda line: line["kept"][0].update(instruction="Name three lakes."),
            "a draft reads otherwise than the journal has it",
        ),
    ],
)
def test_edited_line_is_found(run: Path, number: int | str, change: Callable[[dict[str, Any]], Any], told: str) -> None:
    """An item, a verdict, a prompt, an example, a reply, a number or a parent that was changed by hand is named."""
    steps = [orjson.loads(line).get("s") for line in runs.segment(run).read_bytes().splitlines()]
    place = number if isinstance(number, int) else steps.index(number, 2)
    found = differences(edited(run, place, change))
    assert any(told in difference for difference in found), found


def test_changed_copies_are_found(run: Path) -> None:
    """Seeds and templates of the run directory are held against what plan.json says they were."""
    path = run / "seeds.jsonl"
    path.write_bytes(path.read_bytes().replace(b"recipe", b"recipes", 1))
    assert any("seeds: " in difference for difference in differences(run))


def test_rouge_score_has_the_last_word(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the index itself were wrong, in the run and now alike, rouge_score would say so."""
    from engine.core import recipe

    body = orjson.loads(runs.segment(run).read_bytes().splitlines()[1])
    extra = next(entry for entry in body["dropped"] if "duplicate" in entry[2])

    def keep(line: dict[str, Any]) -> None:
        line["dropped"] = [entry for entry in line["dropped"] if entry != extra]
        line["kept"].append({"n": extra[0], **extra[1]})

    edited(run, 1, keep)
    monkeypatch.setattr(recipe, "_compare", lambda *args: {})
    found = differences(run)
    assert any("instruct/0.3: was kept, and rouge_score says 0.93" in difference for difference in found), found


def test_torn_end_is_a_note_and_no_difference(run: Path) -> None:
    """What a run that writes just now looks like is said, and is nobody's fault."""
    path = runs.segment(run)
    (run / "manifest.json").unlink(missing_ok=True)
    path.write_bytes(path.read_bytes()[:-9])
    found = verify(run, Extent.SAMPLE)
    assert found.differences == []
    assert "is not whole: a run is writing it, or was killed" in "".join(found.notes)


def test_damage_ends_the_check_with_its_place(run: Path) -> None:
    """A line with a wrong checksum is one difference, with file, line and offset; what was checked before it counts."""
    path = runs.segment(run)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"lane":"main"', b'"lane":"mein"', 3))
    found = verify(run, Extent.SAMPLE)
    (difference,) = found.differences
    assert f"{run}/{FOLDER}/00000.jsonl is damaged at line 2, offset" in difference


def test_other_versions_are_said_first(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that was written under another numpy is noted before anything else is told."""
    monkeypatch.setattr(app, "versions", lambda: {"engine": "9.9", "numpy": "9.9.9", "python": "4"})
    text = verify(run, Extent.SAMPLE).text(run)
    assert text.startswith("Note: a segment was written under engine ")
    assert "and this is 9.9.9." in text


def test_filter_that_is_not_here_leaves_verdicts_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a filter of the user's own cannot be imported, all but the verdicts is checked, and that is said."""
    (tmp_path / "mine_verify.py").write_text("def check(item):\n    return None\n")
    monkeypatch.chdir(tmp_path)
    run = runs.make(tmp_path / "run", options={"filters": ["empty", "length", "keywords", "mine_verify:check", "refusal"]})
    assert verify(run, Extent.SAMPLE).checks["verdicts worked out again"] > 5
    (tmp_path / "mine_verify.py").write_text("def check(item):\n    return 'never'\n")
    import importlib
    import linecache
    import sys

    importlib.reload(sys.modules["mine_verify"])
    linecache.clearcache()
    found = verify(run, Extent.SAMPLE)
    assert found.differences == []
    assert "verdicts worked out again" not in found.checks
    assert any("a filter of your own is not here, or is not the one" in note for note in found.notes)


def test_fingerprint_of_another_plan_is_found(run: Path) -> None:
    """A plan.json that was changed by hand no longer fits its own identity."""
    body = rundir.read_plan(run)
    body["plan"]["options"]["rouge_max"] = 0.8
    (run / rundir.PLAN).write_bytes(orjson.dumps(body))
    assert differences(run)


def test_header_names_whatever_decides_verdicts(run: Path) -> None:
    """A segment begins with the versions of what computes with numbers, compares texts and tells languages."""
    header = orjson.loads(runs.segment(run).read_bytes().splitlines()[0])
    assert {name: header[name] for name in ("numpy", "rapidfuzz", "py3langid")} == {
        name: metadata.version(name) for name in ("numpy", "rapidfuzz", "py3langid")
    }
