"""Every door on a run over documents, with the corpus gone: nobody needs it but the run itself."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine import app, context, forecast, planning, rundir, status
from engine.core.documents import Wanted
from engine.core.faults import JournalError, PlanError
from engine.core.http import HttpResponse
from engine.core.track import Frontier
from engine.diff import diff
from engine.export import Existing, export
from engine.plan import Plan, from_data, load
from engine.refold import refold
from engine.repair import repair
from engine.runtime.disk import Directory
from engine.runtime.pulse import RunState
from engine.runtime.segments import FOLDER
from engine.verify import Extent, verify
from engine.why import story
from tests import translator
from tests.drive import Drive
from tests.test_input_run import line_of
from tests.translator import corpus, plan, text

BAD = {
    "n3": b"",
    "n5": line_of("Too short.", id="tiny"),
    "n7": line_of(f"{text(2)} Again."),
    "n9": line_of("Ein Text in einer anderen Sprache.", language="de"),
}


def made(folder: Path, name: str = "run", count: int = 14, **changes: Any) -> Path:
    """A finished run over documents of which some are turned away; its corpus lies beside it."""
    path = folder / "corpus.jsonl"
    if not path.exists():
        corpus(path, count, **BAD)
    return run(folder / name, from_data(plan(path, **changes)))


def run(directory: Path, plan: Plan) -> Path:
    loaded = context.load(plan, kept=directory)
    directory.mkdir(exist_ok=True)
    disk = Directory(directory)
    rundir.prepare(loaded, disk, str(directory))
    drive = Drive(plan={}, loaded=loaded, disk=disk, answer=spoiled)  # type: ignore[arg-type]
    assert drive.start().state is RunState.DONE
    disk.close()
    return directory


def spoiled(body: dict[str, Any], count: int) -> HttpResponse:
    """One number is lost on the way back of one document."""
    if body.get("target") == "en" and "1004" in body["q"]:
        body = {**body, "q": body["q"].replace("1004", "104")}
    return translator.answer(body, count)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = made(tmp_path_factory.mktemp("input"))
    (directory.parent / "corpus.jsonl").rename(directory.parent / "moved.jsonl")
    return directory


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_status_counts_documents_and_records(finished: Path) -> None:
    """Documents that are settled, records, and why documents were turned away."""
    figures = status.fold(finished)
    assert (figures["documents"], figures["records"], figures["goal"], figures["instructions"]) == (14, 9, None, None)
    assert figures["steps"]["translate"]["dropped"] == {"empty": 1, "too_short": 1, "duplicate": 1, "language": 1}
    assert "9 records, 14 documents settled" in status.as_text(finished)


def test_why_tells_of_documents_by_number(finished: Path) -> None:
    """A document that was asked about has its story, one that was not has its reason; both say whose it is."""
    told = story(finished, "input/2")
    assert f"About input/2.0 (your id: doc-2): {text(2)}" in told
    assert "is the one in the journal" in told
    assert "translate/2.0 kept" in told
    gone = story(finished, "translate/5")
    assert "translate/5, turned away" in gone
    assert "About input/5.0 (your id: tiny): Too short." in gone
    assert "dropped, too_short (10)" in gone
    assert "Prompt" not in gone
    assert "duplicate of input/2.0" in story(finished, "input/7")
    assert text(2) in story(finished, "instruct/2")


def test_verify_finds_nothing_to_say(finished: Path) -> None:
    """Prompts, verdicts and every document that was turned away are worked out again, without the corpus."""
    found = verify(finished, Extent.ALL)
    assert found.differences == []
    assert found.checks["items judged again before their call"] == 14
    assert found.checks["prompts built again, hash compared"] == 10 + 10 + 9


def rewritten(directory: Path, change: Any) -> None:
    """Changes settled lines of the journal and mends their checksums."""
    from engine.core import lines

    path = directory / FOLDER / "00000.jsonl"
    kept = []
    for line in path.read_bytes().splitlines():
        body = orjson.loads(line)
        del body["c"]
        kept.append(lines.seal(change(body) or body))
    path.write_bytes(b"".join(kept))
    (directory / "manifest.json").unlink()


def other_reason(body: dict[str, Any]) -> dict[str, Any] | None:
    return {**body, "dropped": [[0, {}, "symbols (0.9)"]]} if body.get("i") == 5 and "item" in body else None


def other_text(body: dict[str, Any]) -> dict[str, Any] | None:
    return {**body, "item": {**body["item"], "text": text(99)}} if body.get("i") == 2 and "item" in body else None


@pytest.mark.parametrize(
    ("change", "words"), [(other_reason, "it was symbols"), (other_text, "is not the one that was sent")], ids=["reason", "text"]
)
def test_verify_finds_what_was_changed(copy: Path, change: Any, words: str) -> None:
    """Another reason for a document that was turned away, or another text for one that was asked about, is a difference."""
    rewritten(copy, change)
    assert any(words in difference for difference in verify(copy, Extent.ALL).differences)


def test_export_has_records_with_their_source(finished: Path, tmp_path: Path) -> None:
    """Records name the user's document, what it said, and who answered each step."""
    assert export(finished, tmp_path / "out.jsonl", "jsonl", Existing.REFUSE).records == 9
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["provenance"]["doc"] == "doc-2")
    assert first["provenance"]["source"] == text(2)
    assert first["provenance"]["meta"] == {"topic": 2}
    assert first["provenance"]["lanes"] == {"translate": "mt", "return": "mt", "instruct": "llm"}
    assert first["output"] == text(2)


def test_export_ends_at_the_goal(finished: Path, copy: Path) -> None:
    """Where the goal is lowered afterwards, an export has so many records."""
    body = orjson.loads((copy / "plan.json").read_bytes())
    body["plan"]["goal"] = 4
    (copy / "plan.json").write_bytes(orjson.dumps(body))
    assert len(list(rundir.records(copy))) == 4


def test_refold_judges_documents_again(finished: Path, tmp_path: Path) -> None:
    """Under a stricter gate answered documents are turned away, their answers paid; under a laxer one, what was turned away is
    left for the next run to ask."""
    told = refold(finished, tmp_path / "strict", ["options.documents.min_characters=162"])
    strict = status.fold(tmp_path / "strict")
    assert strict["documents"] == 14
    assert strict["steps"]["translate"]["dropped"]["too_short"] > 1
    assert 0 < strict["records"] < 9
    assert strict["lanes"]["mt"]["calls"] == status.fold(finished)["lanes"]["mt"]["calls"]
    assert verify(tmp_path / "strict", Extent.ALL).differences == []
    assert "folded again" in told
    refold(finished, tmp_path / "lax", ["options.documents.min_characters=5", "options.documents.rouge_max=1.0"])
    lax = status.fold(tmp_path / "lax")
    assert lax["documents"] == 12
    assert verify(tmp_path / "lax", Extent.ALL).differences == []
    assert "dropped now as too_short" in diff(finished, tmp_path / "strict", 5)


def test_refold_is_completed_by_a_run(finished: Path, tmp_path: Path) -> None:
    """What a laxer gate lets in is asked about by a run over the same corpus, and nothing else is."""
    shutil.copy(finished.parent / "moved.jsonl", tmp_path / "corpus.jsonl")
    changes = {"min_characters": 5, "rouge_max": 1.0}
    refold(finished, tmp_path / "lax", [f"options.documents.{key}={value}" for key, value in changes.items()])
    run(tmp_path / "lax", from_data(plan(tmp_path / "corpus.jsonl", options={"documents": changes})))
    figures = status.fold(tmp_path / "lax")
    assert (figures["documents"], figures["records"]) == (14, 11)
    assert verify(tmp_path / "lax", Extent.ALL).differences == []


def test_refold_cannot_change_the_input(finished: Path, tmp_path: Path) -> None:
    """Other documents are another run."""
    with pytest.raises(PlanError, match=r"\[input\] cannot change"):
        refold(finished, tmp_path / "new", ["input.encoding=big5"])


def test_repair_keeps_what_can_be_read(copy: Path) -> None:
    """Of a journal that lost a line, all answers stay that do not rest on it, documents that were turned away among them."""
    path = copy / FOLDER / "00000.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    gone = next(n for n, line in enumerate(lines) if b'"s":"translate","i":2,' in line)
    path.write_bytes(b"".join([*lines[:gone], b"x" + lines[gone], *lines[gone + 1 :]]))
    repair(copy, lambda shown: True)
    figures = status.fold(copy)
    assert figures["documents"] == 12, "the lost one, and its copy, which is one no more"
    assert figures["records"] == 8
    assert verify(copy, Extent.ALL).differences == []


# Identity


def test_another_input_is_refused_with_a_diff(tmp_path: Path) -> None:
    """A corpus that has changed, or is read in another way, does not belong to the run: the difference is told by file."""
    directory = made(tmp_path)
    path = tmp_path / "corpus.jsonl"
    with path.open("ab") as file:
        file.write(line_of(text(99)) + b"\n")
    with pytest.raises(JournalError, match=r"input\.files\.0 corpus\.jsonl: '\d+ bytes, \w+' -> '\d+ bytes"):
        run(directory, from_data(plan(path)))
    corpus(path, 14, **BAD)
    with pytest.raises(JournalError, match=r"input\.language: None -> 'en'"):
        run(directory, from_data(plan(path, input={"path": str(path), "language": "en"})))
    with pytest.raises(JournalError, match=r"options\.sample: None -> 5"):
        run(directory, from_data(plan(path, options={"sample": 5})))
    (tmp_path / "other").mkdir()
    moved = path.rename(tmp_path / "other" / "corpus.jsonl")
    run(directory, from_data(plan(moved)))


def test_finished_run_goes_on_only_with_its_corpus(tmp_path: Path) -> None:
    """A run whose corpus is gone says so when it would have to read on."""
    path = corpus(tmp_path / "corpus.jsonl", 6)
    directory = run(tmp_path / "run", from_data(plan(path, goal=2)))
    path.unlink()
    loaded = context.load(from_data(plan(path, goal=5)), kept=directory)
    journal = app.opened_journal  # as a run opens it
    assert journal is not None
    agenda = app.empty_agenda(loaded)
    with pytest.raises(PlanError, match="not where"):
        app.reader(loaded, agenda, directory)


def test_records_are_counted_once_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sample is drawn from is counted at the first start and noted beside the plan."""
    path = corpus(tmp_path / "corpus.jsonl", 40)
    loaded = context.load(from_data(plan(path, options={"sample": 6})))
    directory = tmp_path / "run"
    directory.mkdir()
    disk = Directory(directory)
    rundir.prepare(loaded, disk, str(directory))
    assert loaded.source is not None
    assert rundir.count(loaded, disk, str(directory)) == 40
    assert orjson.loads((directory / "plan.json").read_bytes())["records"] == 40
    rundir.prepare(loaded, disk, str(directory))
    monkeypatch.setattr(type(loaded.source), "count", lambda self: pytest.fail("counted again"))
    assert rundir.count(loaded, disk, str(directory)) == 40
    reading = app.reader(loaded, app.empty_agenda(loaded), directory)
    assert reading is not None
    assert len(reading(100)) == 6


# Before a run


def written(tmp_path: Path, **changes: Any) -> Plan:
    path = corpus(tmp_path / "corpus.jsonl", 30, **BAD)
    lanes = {"mt": {**translator.TRANSLATOR, "price": {"characters": 10.0}}, "llm": {**translator.WRITER, "price": 0}}
    return from_data(plan(path, lanes=lanes, **changes))


def test_estimate_counts_documents(tmp_path: Path) -> None:
    """Calls, characters and money of a whole corpus, of a sample, and of a goal."""
    whole = forecast.text(written(tmp_path), None)
    assert whole.startswith("Estimate of the whole run, 30 documents, a guess:")
    calls = next(line for line in whole.splitlines() if line.strip().startswith("calls")).split()[1:]
    low, high = (int(one.replace(",", "")) for one in calls)
    assert low < 3 * 26 < high
    characters = next(line for line in whole.splitlines() if line.strip().startswith("characters")).split()[1:]
    low, high = (int(one.replace(",", "")) for one in characters)
    real = sum(2 * len(text(n)) for n in range(30) if f"n{n}" not in BAD)
    assert low <= real * 1.1
    assert real * 0.9 <= high
    assert "Estimate of the whole run, 10 documents, a guess:" in forecast.text(written(tmp_path, options={"sample": 10}), None)
    assert "Estimate of the whole run, 5 records of 30 documents" in forecast.text(written(tmp_path, goal=5), None)


def test_estimate_from_a_pilot_run(tmp_path: Path) -> None:
    """A pilot's own figures, documents that it turned away included, scale to the whole corpus."""
    path = corpus(tmp_path / "corpus.jsonl", 60)
    pilot = run(tmp_path / "pilot", from_data(plan(path, options={"sample": 12})))
    told = forecast.text(from_data(plan(path)), pilot)
    assert told.startswith(f"Estimate of the whole run, 60 documents, from {pilot}:")
    calls = next(line for line in told.splitlines() if line.strip().startswith("calls")).split()[1:]
    low, high = (int(one.replace(",", "")) for one in calls)
    assert low <= 180 <= high


def test_plan_check_says_what_would_be_asked(tmp_path: Path) -> None:
    """The check names the documents, how many of the first would be asked about, and shows the first requests as sent."""
    told = planning.check(written(tmp_path), 2)
    path = tmp_path / "corpus.jsonl"
    assert f"backtranslation, all documents of {path} ({path.stat().st_size / 1000:.3g} KB), seed 0." in told
    assert "goal" not in told
    assert "Of the first 30 documents 27 would be asked about (empty 1, too_short 1, language 1)." in told
    assert "--- translate/0, to mt" in told
    assert text(0) in told
    assert "Prompts of return and instruct need answers first" in told


def test_plan_check_says_how_far_it_goes(tmp_path: Path) -> None:
    """A goal counts records, a sample documents, and the size is that of all files together."""
    corpus(tmp_path / "a.jsonl", 10)
    corpus(tmp_path / "b.jsonl", 10)
    size = sum((tmp_path / name).stat().st_size for name in ("a.jsonl", "b.jsonl"))
    both = {"path": [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]}
    told = planning.check(from_data(plan(tmp_path, input=both, goal=1500, options={"sample": 12})), 0)
    assert f"a sample of 12 documents of 2 files ({size / 1000:.3g} KB), until there are 1,500 records, seed 0." in told


def test_plan_file_names_its_input_from_where_it_lies(tmp_path: Path) -> None:
    """Paths under [input] start where the plan lies, a list of them too."""
    corpus(tmp_path / "a.jsonl", 2)
    corpus(tmp_path / "b.jsonl", 3)
    (tmp_path / "plan.toml").write_text(
        'recipe = "backtranslation"\n[input]\npath = ["a.jsonl", "b.jsonl"]\n[options]\nlanguage = "en"\n'
        '[lanes.mt]\nprovider = "libretranslate"\n[lanes.llm]\nprovider = "local"\n'
    )
    loaded = context.load(load(tmp_path / "plan.toml"))
    assert loaded.source is not None
    assert [document.item["text"] for document in loaded.source.open(Wanted(Frontier())).take(9)] == [
        text(n) for n in (0, 1, 0, 1, 2)
    ]
    with pytest.raises(PlanError, match="unknown key 'pathh'"):
        load(tmp_path / "plan.toml", ["input.pathh=x"])
    with pytest.raises(PlanError, match="encoding"):
        load(tmp_path / "plan.toml", ["input.encoding=latin1"])


def test_augment_reads_an_export(finished: Path, tmp_path: Path) -> None:
    """A finished run's export, in Alpaca's form too, is the input of `augment`; children name their parents."""
    for name, format in (("out.json", "alpaca"), ("out.jsonl", "jsonl")):
        export(finished, tmp_path / name, format, Existing.REFUSE)
        options = {**translator.OPTIONS, "language": "en"}
        data = plan(tmp_path / name, recipe="augment", options=options, lanes={"mt": translator.TRANSLATOR})
        loaded = context.load(from_data({**data, "lanes": {"mt": translator.TRANSLATOR}}))
        loaded = replace(loaded, context=replace(loaded.context, identify=lambda text: None))
        drive = Drive(plan={}, loaded=loaded, answer=translator.answer)
        pulse = drive.start()
        assert pulse.state is RunState.DONE
        assert pulse.documents == 9
        assert pulse.records == 9
