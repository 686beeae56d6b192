"""Exports: a run's records as files, whole or not at all, and in the order of the journal."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

import orjson
import pytest

import engine
from engine import seedfile
from engine.core.faults import DiskError, EngineError, JournalError, PlanError
from engine.export import Existing, export, jsonl
from engine.rundir import Record
from engine.why import story
from tests import runs

RECORDS = [
    {"instruction": "Name three rivers that flow through Vienna.", "input": "", "output": "Danube, Wien and Liesing."},
    {
        "instruction": "Name three rivers that flow through Vienna.",
        "input": "Country: Austria",
        "output": "Danube, Wien and Alserbach.",
    },
    {"instruction": "Decide whether the review below is friendly.", "input": "Review: What a day!", "output": "friendly"},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return runs.make(tmp_path / "run")


def test_alpaca_is_a_list_of_records(run: Path, tmp_path: Path) -> None:
    """The published form: one JSON list, the three fields of each record in their order."""
    out = tmp_path / "data.json"
    assert export(run, out, "alpaca", Existing.REFUSE) == 3
    assert orjson.loads(out.read_bytes()) == RECORDS
    assert [list(record) for record in orjson.loads(out.read_bytes())] == [["instruction", "input", "output"]] * 3


def test_jsonl_says_where_each_record_comes_from(run: Path, tmp_path: Path) -> None:
    """A record a line, with the id that `why` takes, and the lane and model of every step."""
    out = tmp_path / "data.jsonl"
    assert export(run, out, "jsonl", Existing.REFUSE) == 3
    rows = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [row.pop("id") for row in rows] == ["instance/0.0", "instance/0.1", "instance/1.0"]
    steps = ("instruct", "classify", "instance")
    provenance = {"lanes": dict.fromkeys(steps, "main"), "models": dict.fromkeys(steps, "m-1-2026")}
    assert rows == [{**record, "provenance": provenance} for record in RECORDS]


def test_records_are_there_for_python(run: Path) -> None:
    """`engine.records` gives what the exports write."""
    assert list(engine.records(run)) == RECORDS


def test_run_without_records_is_an_empty_list(run: Path, tmp_path: Path) -> None:
    """A run that has only begun exports too: valid JSON with nothing in it."""
    segment = runs.segment(run)
    segment.write_bytes(segment.read_bytes().split(b"\n")[0] + b"\n")
    assert export(run, tmp_path / "data.json", "alpaca", Existing.REFUSE) == 0
    assert orjson.loads((tmp_path / "data.json").read_bytes()) == []


def test_existing_file_is_replaced_only_when_told(run: Path, tmp_path: Path) -> None:
    """Without `--force` a file that is there stays as it is, and the error says how to replace it."""
    out = tmp_path / "data.json"
    out.write_text("precious")
    with pytest.raises(PlanError, match="--force"):
        export(run, out, "alpaca", Existing.REFUSE)
    assert out.read_text() == "precious"
    export(run, out, "alpaca", Existing.REPLACE)
    assert orjson.loads(out.read_bytes()) == RECORDS


def test_unknown_format_lists_those_there_are(run: Path, tmp_path: Path) -> None:
    """A format that is none is told with all that are."""
    with pytest.raises(PlanError, match="'csv'; the formats are alpaca, jsonl"):
        export(run, tmp_path / "data.csv", "csv", Existing.REFUSE)


def test_damaged_journal_leaves_no_half_file(run: Path, tmp_path: Path) -> None:
    """An export that breaks off in the middle leaves the old file as it was, and nothing beside it."""
    segment = runs.segment(run)
    lines = segment.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b"friendly", b"hostile!")
    segment.write_bytes(b"\n".join(lines))
    out = tmp_path / "data.json"
    out.write_text("precious")
    with pytest.raises(JournalError, match="line 6"):
        export(run, out, "alpaca", Existing.REPLACE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "run"]
    assert out.read_text() == "precious"


@pytest.mark.parametrize("name", ["no_folder/data.json", "a_file/data.json", "run"])
def test_place_that_cannot_be_written_is_named(run: Path, tmp_path: Path, name: str) -> None:
    """A folder that is missing, one that is a file, and a file that is a folder are told as such."""
    (tmp_path / "a_file").touch()
    with pytest.raises(EngineError, match="cannot be written") as caught:
        export(run, tmp_path / name, "alpaca", Existing.REPLACE)
    assert str(tmp_path / name) in str(caught.value)


def test_full_disk_leaves_nothing_behind(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has no room the export says so, with the code for disks, and takes its half file away."""

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskError, match="No space left on device") as caught:
        export(run, tmp_path / "data.json", "alpaca", Existing.REFUSE)
    assert caught.value.exit_code == 7
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_texts_of_the_user_may_go(tmp_path: Path) -> None:
    """Seeds and templates that have gone since the run began are not missed: the run has its own copies."""
    seeds, templates = tmp_path / "seeds.jsonl", tmp_path / "templates"
    shutil.copy(seedfile.folder() / "self_instruct.en.jsonl", seeds)
    templates.mkdir()
    (templates / "propose.chat.txt").write_text("Invent tasks.\n---\n{tasks}\n{next}. to {last}.")
    run = runs.make(tmp_path / "run", seeds=str(seeds), options={"templates": str(templates)})
    seeds.unlink()
    shutil.rmtree(templates)
    assert list(engine.records(run)) == RECORDS
    assert "Invent tasks." in story(run, "instruct/0")


def test_filters_of_the_user_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a filter: whoever only reads a run judges nothing, so its module need not be importable."""
    module = tmp_path / "seeddrill_gone.py"
    module.write_text("def check(item):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    filters = ["length", "keywords", "output", "refusal", "seeddrill_gone:check"]
    run = runs.make(tmp_path / "run", options={"filters": filters})
    module.unlink()
    del sys.modules["seeddrill_gone"]
    assert list(engine.records(run)) == RECORDS


def test_files_to_avoid_may_change(tmp_path: Path) -> None:
    """Nor does it matter what has become of a file to avoid: the run goes by its own copy."""
    path = tmp_path / "bench.jsonl"
    path.write_text('"Explain the offside rule in football to a visitor."\n')
    run = runs.make(tmp_path / "run", options={"avoid": [str(path)]})
    path.write_text("no longer JSON")
    assert list(engine.records(run)) == RECORDS


def test_jsonl_carries_what_the_recipe_tells_of_a_record() -> None:
    """Provenance has the lanes and models of the steps, and beside them whatever the recipe adds."""
    record = Record(
        "instruct/3.0", {}, RECORDS[0], {"source": "a text", "scores": {"chrf": 0.5}}, {"instruct": "fast"}, {"instruct": "m"}
    )
    (line,) = jsonl([record])
    told = orjson.loads(line)["provenance"]
    assert told == {"lanes": {"instruct": "fast"}, "models": {"instruct": "m"}, "source": "a text", "scores": {"chrf": 0.5}}
