"""Exports: a run's records as files, whole or not at all, and in the order of the journal."""

from __future__ import annotations

import errno
import re
import shutil
import sys
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest

import engine
from engine import progress, rundir, seedfile
from engine.core import documents
from engine.core.documents import InputPlan, Wanted
from engine.core.faults import DiskError, EngineError, JournalError, PlanError
from engine.core.track import Frontier
from engine.export import Choice, Existing, export
from engine.exports.formats import FORMATS
from engine.runtime.journal import Lock
from engine.runtime.source import Source, found
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


TASKS = [(f"Name river number {n}.", [("", f"River {n}."), (f"Country: {n}", f"Other {n}.")][: 1 + n % 2]) for n in range(40)]
"""Forty instructions with one or two instances each."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return runs.make(tmp_path / "run")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A run of sixty records, made by two lanes."""
    return runs.known(tmp_path / "many", TASKS, lanes=("main", "spare"))


def lines(path: Path) -> list[Any]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_alpaca_is_a_list_of_records(run: Path, tmp_path: Path) -> None:
    """The published form: one JSON list, the three fields of each record in their order."""
    out = tmp_path / "data.json"
    assert export(run, out, "alpaca", Existing.REFUSE).records == 3
    assert orjson.loads(out.read_bytes()) == RECORDS
    assert [list(record) for record in orjson.loads(out.read_bytes())] == [["instruction", "input", "output"]] * 3


def test_jsonl_says_where_each_record_comes_from(run: Path, tmp_path: Path) -> None:
    """A record a line, with the id that `why` takes, and the lane and model of every step."""
    out = tmp_path / "data.jsonl"
    assert export(run, out, "jsonl", Existing.REFUSE).records == 3
    rows = lines(out)
    assert [row["id"] for row in rows] == ["instance/0.0", "instance/0.1", "instance/1.0"]
    assert [{name: row[name] for name in RECORDS[0]} for row in rows] == RECORDS
    steps = ("instruct", "classify", "instance")
    assert [row["provenance"] for row in rows] == [
        {
            "ids": dict(zip(steps, (*ids, row["id"]), strict=True)),
            "lanes": dict.fromkeys(steps, "main"),
            "models": dict.fromkeys(steps, "m-1-2026"),
            "times": dict.fromkeys(steps, runs.SENT),
        }
        for row, ids in zip(rows, [("instruct/0.0", "classify/0.0")] * 2 + [("instruct/0.2", "classify/1.0")], strict=True)
    ]


def test_records_are_there_for_python(run: Path) -> None:
    """`engine.records` gives what the exports write."""
    assert list(engine.records(run)) == RECORDS


def test_run_without_records_is_an_empty_list(run: Path, tmp_path: Path) -> None:
    """A run that has only begun exports too: valid JSON with nothing in it."""
    segment = runs.segment(run)
    segment.write_bytes(segment.read_bytes().split(b"\n")[0] + b"\n")
    assert export(run, tmp_path / "data.json", "alpaca", Existing.REFUSE).records == 0
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
    """A format that is none is told with the nearest, and with all that are."""
    with pytest.raises(PlanError, match=r"'shargpt'; did you mean 'sharegpt'\? the formats are alpaca, chat, .*, csv"):
        export(run, tmp_path / "data.json", "shargpt", Existing.REFUSE)
    with pytest.raises(PlanError, match="'xml'; the formats are alpaca"):
        export(run, tmp_path / "data.xml", "xml", Existing.REFUSE)


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


def test_missing_folders_are_made(run: Path, tmp_path: Path) -> None:
    """A place in folders that are not there yet is a place."""
    export(run, tmp_path / "new" / "deeper" / "data.json", "alpaca", Existing.REFUSE)
    assert [path.name for path in (tmp_path / "new" / "deeper").iterdir()] == ["data.json"]


@pytest.mark.parametrize("name", ["a_file/data.json", "a_file/deeper/data.json", "run", "run.json"])
def test_place_that_cannot_be_written_is_named(run: Path, tmp_path: Path, name: str) -> None:
    """A folder that is a file, or lies in one, and a file that is a folder are told as such."""
    (tmp_path / "a_file").touch()
    (tmp_path / "run.json").mkdir()
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


# Data sets


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_is_a_data_set(many: Path, tmp_path: Path) -> None:
    """A name without an ending is a folder: both sides of the split, what trainers have to be told, a card, and right sums."""
    written = export(many, tmp_path / "data", "sharegpt", Existing.REFUSE, Choice(validation=0.2))
    found = files(tmp_path / "data")
    assert set(found) == {"train.jsonl", "validation.jsonl", "dataset_info.json", "README.md", "SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in found.pop("SHA256SUMS").decode().splitlines())
    assert sums == {name: sha256(data).hexdigest() for name, data in found.items()}
    rows = [len(found[name].splitlines()) for name in ("train.jsonl", "validation.jsonl")]
    assert (sum(rows), rows) == (60, [file.rows for file in written.files])
    assert all(rows)
    info = orjson.loads(found["dataset_info.json"])
    assert {name: entry["file_name"] for name, entry in info.items()} == {
        "seeddrill": "train.jsonl",
        "seeddrill_validation": "validation.jsonl",
    }
    assert written.text().startswith(f"60 records written to {tmp_path / 'data'}: train.jsonl ({rows[0]}), validation.jsonl")


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_same_journal_gives_the_same_bytes(many: Path, tmp_path: Path, format: str) -> None:
    """Every format, card and sums included, is a function of the run: nothing in it says when or where it was made."""
    choice = Choice(validation=0.0 if format == "csv" else 0.2)
    outs = [tmp_path / (f"{name}.csv" if format == "csv" else name) for name in ("one", "two")]
    for out in outs:
        export(many, out, format, Existing.REFUSE, choice)
    one, two = (files(out) if out.is_dir() else {"": out.read_bytes()} for out in outs)
    assert one == two
    assert not [name for name, data in one.items() if str(tmp_path).encode() in data]


@pytest.mark.parametrize("format", ["alpaca", "chat", "jsonl", "finetune", "self_instruct"])
def test_split_parts_no_instruction(many: Path, tmp_path: Path, format: str) -> None:
    """In every form the two files share no instruction, and together they have all of them."""
    out = tmp_path / "data.jsonl"
    export(many, out, format, Existing.REFUSE, Choice(validation=0.3))
    sides = [
        {re.findall(r"river number (\d+)", line)[0] for line in text.splitlines() if "river number" in line}
        for text in (out.read_text(), (tmp_path / "data.validation.jsonl").read_text())
    ]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {str(n) for n in range(40)}


def test_split_stays_while_the_run_grows(tmp_path: Path) -> None:
    """What was kept for validation once is never trained on later."""
    before: list[set[str]] = [set(), set()]
    for n, run in enumerate(runs.known(tmp_path / f"run{size}", TASKS[:size]) for size in (20, 30, 40)):
        out = tmp_path / f"data{n}.jsonl"
        export(run, out, "jsonl", Existing.REFUSE, Choice(validation=0.3))
        sides = [{row["id"] for row in lines(path)} for path in (out, out.with_name(f"data{n}.validation.jsonl"))]
        assert all(old <= new for old, new in zip(before, sides, strict=True))
        before = sides


def test_split_that_leaves_one_side_empty_is_refused(run: Path, tmp_path: Path) -> None:
    """A file without a row makes trainers stumble: too few records for that share are told, and nothing is written."""
    with pytest.raises(PlanError, match="of 3 records aside and leaves"):
        export(run, tmp_path / "data.json", "alpaca", Existing.REFUSE, Choice(validation=0.001))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_either_of_two_files_is_in_the_way(many: Path, tmp_path: Path) -> None:
    """The second file is as precious as the first; replaced, both are new."""
    second = tmp_path / "data.validation.json"
    second.write_text("precious")
    with pytest.raises(PlanError, match=r"data.validation.json exists"):
        export(many, tmp_path / "data.json", "alpaca", Existing.REFUSE, Choice(validation=0.2))
    assert second.read_text() == "precious"
    export(many, tmp_path / "data.json", "alpaca", Existing.REPLACE, Choice(validation=0.2))
    assert len(orjson.loads(second.read_bytes())) + len(orjson.loads((tmp_path / "data.json").read_bytes())) == 60


def test_conditions_choose_records(many: Path, tmp_path: Path) -> None:
    """By lane and by nearness; all conditions hold together. One that fits nothing, or names nothing, writes nothing."""

    def taken(*where: str) -> set[str]:
        export(many, tmp_path / "data.jsonl", "jsonl", Existing.REPLACE, Choice(where=where))
        return {row["id"] for row in lines(tmp_path / "data.jsonl")}

    everything = taken()
    spare = taken("lane=spare")
    assert {id.split("/")[1].split(".")[0] for id in spare} == {str(n) for n in range(1, 40, 2)}
    assert taken("lane!=spare") == everything - spare
    assert taken("nearest<0.5") == {"instance/0.0"}
    assert taken("nearest>=0.5", "lane=main") == everything - spare - {"instance/0.0"}
    (tmp_path / "data.jsonl").unlink()
    for where, words in (
        (("nearest>1",), "none of 60 records fits --where nearest>1"),
        (("lane=mian",), "did you mean 'main'"),
        (("lane=main", "chrf>0"), "no record has a score 'chrf'"),
    ):
        with pytest.raises(PlanError, match=words):
            taken(*where)
    assert not (tmp_path / "data.jsonl").exists()


def test_seeds_come_along(many: Path, tmp_path: Path) -> None:
    """Behind the records, whatever the conditions are, and told apart by their ids."""
    export(many, tmp_path / "data.jsonl", "jsonl", Existing.REFUSE, Choice(where=("lane=main",), settings=("seeds=true",)))
    ids = [row["id"] for row in lines(tmp_path / "data.jsonl")]
    assert ids[:20] == [f"instance/{n}.0" for n in range(0, 40, 2)]
    assert len(ids) >= 20 + 175
    assert all(id.startswith("seed/") for id in ids[20:])


def test_review_sheet_is_a_sample(many: Path, tmp_path: Path) -> None:
    """One record of each of so many instructions, in one file, whose place is the run directory unless another is named."""
    written = export(many, None, "csv", Existing.REFUSE, Choice(sample=10))
    assert written.path == many / "exports" / "review.csv"
    rows = written.path.read_bytes().decode("utf-8-sig").split("\r\n")
    assert len(rows) == 1 + 10 + 1
    assert len({row.split(",")[1] for row in rows[1:-1]}) == 10
    for out, choice in ((tmp_path / "sheets", Choice()), (tmp_path / "a.csv", Choice(validation=0.1))):
        with pytest.raises(PlanError, match="a review sheet is one file"):
            export(many, out, "csv", Existing.REFUSE, choice)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(validation=1.0), "--validation is a share"),
        (Choice(validation=-0.1), "--validation"),
        (Choice(sample=0), "--sample"),
    ],
)
def test_choice_that_is_none(run: Path, tmp_path: Path, choice: Choice, words: str) -> None:
    """Shares and sizes outside their range are told."""
    with pytest.raises(PlanError, match=words):
        export(run, tmp_path / "data", "alpaca", Existing.REFUSE, choice)


def test_command_on_the_card_is_the_one_that_was_given() -> None:
    """With everything that was chosen, quoted for a shell; of a file only its name."""
    choice = Choice(("chrf>=0.4",), 5, 0.05, ("templates=/home/me/own.toml", "end=</s>"))
    assert choice.command("finetune") == (
        "seeddrill export DIR --format finetune --validation 0.05 --sample 5 --where 'chrf>=0.4' --set templates=own.toml "
        "--set 'end=</s>'"
    )


def test_place_of_its_own(run: Path) -> None:
    """Without a place the export lies in the run directory, which stays a run directory."""
    written = export(run, None, "chat", Existing.REFUSE)
    assert written.path == run / "exports" / "chat"
    assert (written.path / "train.jsonl").is_file()
    with pytest.raises(PlanError, match="--force"):
        export(run, None, "chat", Existing.REFUSE)
    assert export(run, None, "chat", Existing.REPLACE).records == 3


def test_what_takes_long_is_told(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Reading, comparing and writing each say how far they are, on stderr; what is over sooner says nothing."""
    export(many, tmp_path / "a.jsonl", "self_instruct", Existing.REFUSE)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", -1.0)
    export(many, tmp_path / "b.jsonl", "self_instruct", Existing.REFUSE)
    said = capfd.readouterr().err
    for words in ("comparing instructions, lines read: 0", "records read: 0", "rows of b.jsonl written: 0"):
        assert words in said


@pytest.mark.parametrize("format", ["alpaca", "chat", "sharegpt", "jsonl", "parquet"])
def test_export_is_the_input_of_another_run(many: Path, tmp_path: Path, format: str) -> None:
    """A recipe over records reads what was exported: all of it, with the ids where the form has them."""
    out = tmp_path / f"data{FORMATS[format].suffix}"
    export(many, out, format, Existing.REFUSE)
    plan = InputPlan(path=str(out))
    read = Source(plan, found(plan), documents.RECORDS).open(Wanted(Frontier())).take(100)
    assert [document.flaw for document in read] == [None] * 60
    assert [document.item["output"] for document in read] == [output for _, pairs in TASKS for _, output in pairs]
    assert [document.item["instruction"].partition("\n\n")[0] for document in read] == [
        text for text, pairs in TASKS for _ in pairs
    ]
    assert [document.item["doc"] for document in read[:2]] == (
        ["instance/0.0", "instance/1.0"] if format in ("jsonl", "parquet") else [None, None]
    )


# A run that goes on


def test_run_that_writes_is_neither_locked_nor_torn(tmp_path: Path) -> None:
    """While another thread appends and seals, every export holds whole records, each a prefix of the next; the lock stays with
    the run, and half a line at the end of the journal is not there yet."""
    run = runs.known(tmp_path / "run", TASKS[:1])
    done: list[list[Any]] = []
    with Lock(run):
        held = (run / "lock").read_bytes()
        writer = Thread(target=grow, args=(run,))
        writer.start()
        while not done or writer.is_alive():
            done.append(exported(run, tmp_path / "data.jsonl"))
        writer.join()
        done.append(exported(run, tmp_path / "data.jsonl"))
        assert (run / "lock").read_bytes() == held
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(done))
    assert len(done[-1]) == 60
    with runs.segment(run).open("ab") as file:
        file.write(b'{"s":"instruct","i":40,"of":null')
    assert exported(run, tmp_path / "data.jsonl") == done[-1]


def exported(run: Path, out: Path) -> list[Any]:
    export(run, out, "jsonl", Existing.REPLACE)
    return lines(out)


def grow(run: Path) -> None:
    """Append the other tasks as a run that goes on does, with lines torn in two for a moment."""
    with runs.segment(run).open("ab", buffering=0) as file:
        for n, task in enumerate(TASKS[1:], 1):
            for line in runs.settled(n, task):
                file.write(line[:40])
                file.write(line[40:])


def test_what_is_made_meanwhile_is_for_the_next_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where instructions are compared first, those that come after are left out: every row has its neighbours."""
    run = runs.known(tmp_path / "run", TASKS[:5])
    records = rundir.records

    def late(directory: Path) -> Any:
        grow_to(run, 8)
        return records(directory)

    monkeypatch.setattr(rundir, "records", late)
    export(run, tmp_path / "data.jsonl", "self_instruct", Existing.REFUSE)
    rows = lines(tmp_path / "data.jsonl")
    assert [row["id"] for row in rows] == [f"instruct/{n}.0" for n in range(5)]
    assert all(row["most_similar"] for row in rows)


def grow_to(run: Path, size: int) -> None:
    with runs.segment(run).open("ab") as file:
        for n in range(5, size):
            file.write(b"".join(runs.settled(n, TASKS[n])))
