"""Every export is loaded by the library that trainers load it with, hostile texts included, from a folder and from a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.export import Choice, Existing, export
from engine.exports.formats import FORMATS, SHEET
from tests import runs
from tests.exports.examples import HOSTILE, LONG

ROOT = Path(__file__).resolve().parents[2]
COUNT = 36
DATA = [name for name in FORMATS if name != SHEET]
Loaded = dict[str, dict[str, list[Any]]]


def hostile(n: int) -> runs.Task:
    """A task in whose every text something hostile stands. No instruction is like another."""
    texts = [HOSTILE[(n + shift) % len(HOSTILE)] for shift in range(4)]
    return f"{n}: {texts[0]}", [(texts[1], f"{texts[2]} {n}"), ("", f"{LONG if n == 7 else texts[3]} {n}")]


EXPECTED = [
    {"instruction": instruction, "input": given, "output": output}
    for instruction, instances in map(hostile, range(COUNT))
    for given, output in instances
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """What `datasets` finds in every export of a hostile run, by format; folders have two splits, files are there as `FORMAT+`.

    One process for all: the library takes a second to import. It has no network, and may not look for any.
    """
    folder = tmp_path_factory.mktemp("loading")
    run = runs.known(folder / "run", map(hostile, range(COUNT)))
    places: dict[str, Path] = {}
    for name in DATA:
        places[name] = folder / name
        export(run, places[name], name, Existing.REFUSE, Choice(validation=0.2, settings=("seeds=true",)))
        places[f"{name}+"] = folder / f"file-{name}{FORMATS[name].suffix}"
        export(run, places[f"{name}+"], name, Existing.REFUSE)
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "PYTHONWARNINGS": "ignore"}
    said = subprocess.run(
        [sys.executable, "-m", "tests.exports.loader", *map(str, places.values())],
        cwd=ROOT,
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    found = json.loads(said.stdout)
    return {name: found[str(place)] for name, place in places.items()}


def simple(row: dict[str, Any], name: str) -> dict[str, str]:
    """The three fields as a row of a format has them."""
    match name:
        case "chat":
            turns = [turn["content"] for turn in row["messages"]]
        case "sharegpt":
            turns = [turn["value"] for turn in row["conversations"]]
        case "prompt_completion":
            turns = [row["prompt"].removesuffix("\n\n"), row["completion"]]
        case _:
            return {field: row[field] for field in ("instruction", "input", "output")}
    return {"asked": turns[0], "output": turns[1]}


def asked(row: dict[str, str]) -> dict[str, str]:
    return {"asked": f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"], "output": row["output"]}


@pytest.mark.parametrize("name", [name for name in DATA if name not in ("self_instruct", "finetune")])
def test_every_text_comes_back(loaded: Loaded, name: str) -> None:
    """All records in their order, to the last character, from a file."""
    (rows,) = loaded[f"{name}+"].values()
    flat = name in ("alpaca", "jsonl", "parquet")
    assert [simple(row, name) for row in rows] == [row if flat else asked(row) for row in EXPECTED]


def test_instructions_come_back_with_their_instances(loaded: Loaded) -> None:
    """A row an instruction, in order, with two instances and numbers where numbers are."""
    (rows,) = loaded["self_instruct+"].values()
    assert [row["instruction"] for row in rows] == [hostile(n)[0] for n in range(COUNT)]
    assert [tuple(pair.values()) for row in rows for pair in row["instances"]] == [
        (row["input"], row["output"]) for row in EXPECTED
    ]
    assert [row["request_idx"] for row in rows] == list(range(COUNT))
    assert all(len(row["most_similar"]) <= 10 for row in rows)
    assert all(isinstance(row["avg_similarity_score"], float) for row in rows)


def test_outputs_come_back_in_finetuning_rows(loaded: Loaded) -> None:
    """Each output ends one completion; what was the instruction stands in its prompt."""
    (rows,) = loaded["finetune+"].values()
    assert sorted(row["completion"].removesuffix("<|endoftext|>").removeprefix(" ") for row in rows) == sorted(
        row["output"].removeprefix(" ") for row in EXPECTED
    )
    assert all(any(row["instruction"].strip() in prompt for row in EXPECTED) for prompt in (row["prompt"] for row in rows))


@pytest.mark.parametrize("name", DATA)
def test_folder_is_known_by_its_card(loaded: Loaded, name: str) -> None:
    """The card names the splits: both are there, the seeds too, and nothing else in the folder is taken for data."""
    found = loaded[name]
    assert set(found) == {"train", "validation"}
    records = COUNT if name == "self_instruct" else 2 * COUNT
    assert sum(map(len, found.values())) >= records + 175


def test_provenance_has_its_types(loaded: Loaded) -> None:
    """Seconds are numbers, ids are texts, and seeds have neither, in lines and in columns alike."""
    for name in ("jsonl", "parquet"):
        rows = [row for part in loaded[name].values() for row in part]
        assert {row["id"].partition("/")[0] for row in rows} == {"instance", "seed"}
        for row in rows:
            given = row["provenance"]
            if row["id"].startswith("seed/"):
                assert set(given["lanes"].values()) == {None}
            else:
                n = int(row["id"].partition("/")[2].partition(".")[0])
                assert given["ids"]["instruct"] == f"instruct/{n}.0"
                assert given["times"]["instance"] == runs.SENT + 3 * n + 2
                assert given["models"]["classify"] == "m-main"
