"""The corpus as a whole: its files, its identity, one pass over it, and the first look that finds mistakes before a call."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engine.core.documents import LARGEST, RECORDS, TEXTS, InputPlan, Wanted
from engine.core.faults import PlanError
from engine.core.track import Frontier
from engine.runtime.source import MANY_FILES, Source, found, identity

CHINESE = "春天到了，公园里的樱花开得正好，许多家庭带着孩子来散步。"


def source(path: Path | list[Path], reads: tuple[str, ...] = TEXTS, **named: Any) -> Source:
    plan = InputPlan(path=tuple(map(str, path)) if isinstance(path, list) else str(path), **named)
    return Source(plan, found(plan), reads)


def settled(*numbers: int) -> Frontier:
    made = Frontier()
    for number in numbers:
        made.add(number)
    return made


def jsonl(path: Path, texts: list[str], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, **more}) + "\n" for text in texts))
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder of ten records in files of three kinds, one of them in a folder of its own, and what is not read."""
    folder = tmp_path / "corpus"
    jsonl(folder / "b.jsonl", ["b0", "b1", "b2"])
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"a0\n\na1\n"))
    jsonl(folder / "c" / "c.jsonl", ["c0", "c1", "c2", "c3"])
    (folder / "d.json").write_text('[{"text": "d0"}]')
    (folder / "notes.pdf").write_bytes(b"%PDF")
    jsonl(folder / ".hidden" / "x.jsonl", ["x"])
    return folder


def test_folder_is_read_in_the_order_of_names(corpus: Path) -> None:
    """Files of every kind follow each other by name, records are numbered through, and other files are left alone."""
    reading = source(corpus).open(Wanted(Frontier()))
    documents = reading.take(100)
    assert [document.number for document in documents] == list(range(10))
    assert [document.item["text"] for document in documents] == ["a0", "a1", "b0", "b1", "b2", "c0", "c1", "c2", "c3", "d0"]
    assert reading.take(100) == []
    assert source(corpus).count() == 10


@pytest.mark.parametrize("first", range(11))
def test_reading_begins_behind_what_is_settled(corpus: Path, first: int) -> None:
    """Whatever lies before the lowest unsettled record is passed over, whole files too, and what is settled above it as well."""
    texts = ["a0", "a1", "b0", "b1", "b2", "c0", "c1", "c2", "c3", "d0"]
    documents = source(corpus).open(Wanted(settled(*range(first), first + 2))).take(100)
    assert [document.item["text"] for document in documents] == [texts[n] for n in range(first, 10) if n != first + 2]


def test_batches_are_bounded_by_number_and_by_size(tmp_path: Path) -> None:
    """A batch never holds more than was asked for, nor much more than some megabytes."""
    path = jsonl(tmp_path / "a.jsonl", ["x" * 3_000_000] * 5)
    reading = source(path).open(Wanted(Frontier()))
    assert [len(reading.take(most)) for most in (1, 100, 100, 100)] == [1, 3, 1, 0]


def test_only_the_sample_is_read(tmp_path: Path) -> None:
    """Documents of a sample keep their record numbers, whatever file they are in."""
    paths = [jsonl(tmp_path / f"{n}.jsonl", [f"{n}-{k}" for k in range(50)]) for n in range(4)]
    documents = source(paths).open(Wanted(settled(60), [3, 49, 50, 60, 199])).take(100)
    assert [(document.number, document.item["text"]) for document in documents] == [
        (3, "0-3"),
        (49, "0-49"),
        (50, "1-0"),
        (199, "3-49"),
    ]


def test_documents_with_flaws_are_given_among_the_others(tmp_path: Path) -> None:
    """Empty, binary, mis-encoded and huge records do not end the reading: each comes under its number with its reason."""
    lines = [b"good", b"", b"\0\1\2", CHINESE.encode("gb18030"), b"x" * 5_000_000, b"good"]
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join(lines))
    documents = source(path, document="line").open(Wanted(Frontier())).take(100)
    assert [document.flaw for document in documents] == [None, "empty", "binary", "undecodable", "too_large", None]
    assert sum(len(json.dumps(document.item)) for document in documents) < 1000
    assert LARGEST < 5_000_000


def test_missing_and_empty_places_are_plan_errors(tmp_path: Path) -> None:
    """A path that leads nowhere, and a folder without a file that can be read, are named."""
    with pytest.raises(PlanError, match="nowhere is not there"):
        source(tmp_path / "nowhere")
    with pytest.raises(PlanError, match="has no file with one of the endings"):
        source(tmp_path)
    with pytest.raises(PlanError, match="names no file"):
        source([])


def test_file_that_breaks_off_names_its_record(tmp_path: Path) -> None:
    """A packed file that was cut short stops the run with the place up to which it was read."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(b'{"text": "%d"}\n' % n**3 for n in range(5000)))[:-100])
    reading = source(path).open(Wanted(Frontier()))
    with pytest.raises(PlanError, match=r"a\.jsonl\.gz cannot be read"):
        while reading.take(500):
            pass


# Identity


def marks(path: Path | list[Path], **named: Any) -> dict[str, Any]:
    chosen = source(path, **named)
    return identity(chosen.plan, chosen.files)


def test_identity_knows_what_matters_and_not_where_it_lies(corpus: Path, tmp_path: Path) -> None:
    """A corpus may move; a changed first or last MiB, a file more, another order, encoding or field are another input."""
    before = marks(corpus)
    moved = corpus.rename(tmp_path / "elsewhere")
    assert marks(moved) == before
    assert marks(moved, encoding="big5") != before
    assert marks(moved, fields={"text": "body"}) != before
    assert marks(moved, document="line") != before
    assert marks(moved, language="en") != before
    files = [moved / "b.jsonl", moved / "c" / "c.jsonl"]
    assert marks(files) != marks(files[::-1])
    jsonl(moved / "e.jsonl", ["e0"])
    assert marks(moved) != before


@pytest.mark.parametrize(("place", "seen"), [(0, True), (-1, True), (1_500_000, False)])
def test_identity_reads_both_ends_of_a_large_file(tmp_path: Path, place: int, seen: bool) -> None:
    """Of a large file the first and the last MiB are hashed, whatever its size."""
    path = tmp_path / "a.txt"
    data = bytearray(b"x" * 3_000_000)
    path.write_bytes(data)
    before = marks(path)
    data[place] = ord("y")
    path.write_bytes(data)
    assert (marks(path) != before) is seen


def test_identity_of_very_many_files_stays_small(tmp_path: Path) -> None:
    """Beyond a thousand files the identity names their number and one hash of all."""
    for n in range(MANY_FILES + 1):
        (tmp_path / f"{n:05}.txt").write_bytes(b"text %d" % n)
    before = marks(tmp_path)["files"]
    assert list(before) == [f"all {MANY_FILES + 1}"]
    (tmp_path / "00007.txt").write_bytes(b"text 8")
    assert marks(tmp_path)["files"] != before


# A first look


def test_wrong_encoding_stops_with_the_likely_one(tmp_path: Path) -> None:
    """A corpus in another encoding than the plan's is refused before anything is asked, and the error names the right one."""
    path = tmp_path / "a.txt"
    path.write_bytes("\n\n".join([CHINESE] * 300).encode("gb18030"))
    with pytest.raises(PlanError, match=r'300 of the first 300 documents .* do not decode as utf-8; .* set encoding = "gb18030"'):
        source(path).look()
    assert source(path, encoding="gb18030").look().good[0].item["text"] == CHINESE


def test_mistaken_encoding_that_decodes_is_found_too(tmp_path: Path) -> None:
    """UTF-8 read as GB18030 decodes to nonsense without one error; it is refused all the same."""
    path = tmp_path / "a.txt"
    path.write_bytes("\n\n".join([CHINESE] * 20).encode())
    with pytest.raises(PlanError, match='look like utf-8: set encoding = "utf-8"'):
        source(path, encoding="gb18030").look()


@pytest.mark.parametrize(
    ("bad", "good", "stops"), [(51, 949, True), (50, 950, False), (10, 90, True), (9, 20, False), (2, 0, True)]
)
def test_few_undecodable_documents_do_not_stop_a_run(tmp_path: Path, bad: int, good: int, stops: bool) -> None:
    """More than 5% of the first thousand stop a run; a few in a small corpus are skipped, unless there is nothing else."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join([b"caf\xe9 au lait"] * bad + [b"plain text"] * good + [b"\xff"] * 100 * (good + bad == 1000)))
    if stops:
        with pytest.raises(PlanError, match="none of utf-8, gb18030 and big5: convert them to UTF-8"):
            source(path, document="line").look()
    else:
        assert len(source(path, document="line").look().good) == good


def test_wrong_column_names_stop_with_those_that_are_there(tmp_path: Path) -> None:
    """Where no record has the field that the recipe reads, the error names the columns and the key that maps them."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"doc_id": 1, "content": "Hello."}\n' * 5)
    with pytest.raises(PlanError, match=r'5 no_text.*columns are content, doc_id.*fields = \{text = "COLUMN"\}'):
        source(path).look()
    assert len(source(path, fields={"text": "content"}).look().good) == 5
    with pytest.raises(PlanError, match="instruction, input, output"):
        source(path, RECORDS).look()


def test_input_without_a_document_is_refused(tmp_path: Path) -> None:
    """There is nothing to ask about in an empty file."""
    (tmp_path / "a.txt").write_bytes(b"\n\n")
    with pytest.raises(PlanError, match="no documents in it"):
        source(tmp_path / "a.txt").look()
