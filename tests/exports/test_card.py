"""The card: a header that the Hub can read, figures that are right, licences as the plan states them, and no secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from engine import context
from engine.export import Choice, Existing, export
from engine.exports.card import File, Story, card
from engine.exports.formats import FORMATS
from engine.exports.gather import Figures
from engine.exports.settings import Settings
from engine.plan import from_data
from tests import runs

TASKS = [("Name a river.", [("", "Danube"), ("Country: Peru", "Amazon")]), ("Is it friendly?", [("Hello!", "yes")])]


def told(folder: Path, format: str, choice: Choice = Choice(), **changes: Any) -> tuple[dict[str, Any], str]:  # noqa: B008
    """The header and the text of the card of an export of `TASKS`."""
    run = runs.known(folder / "run", TASKS, **changes)
    export(run, folder / "data", format, Existing.REFUSE, choice)
    _, header, text = (folder / "data" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header), text


def test_header_is_what_the_hub_reads(tmp_path: Path) -> None:
    """Languages, size, tags and the files of the splits; a licence of the data only where the user gives one."""
    header, _ = told(tmp_path, "chat")
    assert header == {
        "pretty_name": "self_instruct data",
        "language": ["en"],
        "size_categories": ["n<1K"],
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "sft", "instruction-tuning", "self_instruct"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}],
    }
    choice = Choice(validation=0.5, settings=("license=cc-by-4.0", "seeds=true"))
    header, _ = told(tmp_path / "more", "alpaca", choice, options={"topic": 'Rivers: "all"\nof them # yes'})
    assert header["license"] == "cc-by-4.0"
    assert header["pretty_name"] == 'self_instruct: Rivers: "all" of them # yes'
    assert header["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.json"},
        {"split": "validation", "path": "validation.json"},
    ]


def test_figures_are_those_of_the_records(tmp_path: Path) -> None:
    """Records, instructions, inputs, classification, mean words, days."""
    _, text = told(tmp_path, "jsonl")
    for row in (
        "| `train.jsonl` | 3 |",
        "| records | 3 |",
        "| different instructions | 2 |",
        "| with an input | 2 (67%) |",
        "| of classification tasks | 1 (33%) |",
        "| words of an instruction, mean (a Chinese character counts as one) | 3.0 |",
        "| words of an input, mean (a Chinese character counts as one) | 1.5 |",
        "| in en | 3 |",
        "| answered | 2026-01-01 to 2026-01-01 (UTC) |",
        "175 seed tasks, the file that comes with Seeddrill",
        "seeddrill export DIR --format jsonl\n",
        'recipe = "self_instruct"',
        "Self-Instruct (Wang et al. 2022)",
    ):
        assert row in text
    assert "written by people" not in text


def test_models_are_told_with_the_licences_of_the_plan(tmp_path: Path) -> None:
    """Of each lane what the plan says, ours where it is our model, and that it says nothing."""
    lane = {"provider": "openai", "model": "m", "key": "env:A_SECRET_NAME", "base_url": "http://user:secret@10.0.0.9/v1"}
    lanes = {"main": lane | {"license": "Apache | 2.0"}, "spare": lane, "here": {"provider": "local"}}
    plan = from_data({"recipe": "alpaca", "goal": 1, "lanes": lanes})
    assert (plan.lanes["main"].license, plan.lanes["spare"].license) == ("Apache | 2.0", None)
    run = runs.known(tmp_path / "run", [*TASKS, TASKS[0]], lanes=tuple(lanes))
    body = orjson.loads((run / "plan.json").read_bytes())
    body["plan"]["lanes"] = {
        name: body["plan"]["lanes"][name] | {key: value for key, value in given.items() if key != "model"}
        for name, given in lanes.items()
    }
    body["plan"]["lanes"]["here"]["model"] = ""
    (run / "plan.json").write_bytes(orjson.dumps(body))
    export(run, tmp_path / "data", "jsonl", Existing.REFUSE)
    text = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert "| main | openai | m-main | instruct, classify, instance | 2 | Apache \\| 2.0 |" in text
    assert "| spare | openai | m-spare | instruct, classify, instance | 1 | not stated |" in text
    assert "| here | local | m-here | instruct, classify, instance | 2 | Gemma Terms of Use" in text
    for secret in ("secret", "A_SECRET_NAME", "10.0.0.9"):
        assert secret not in text


def test_run_over_documents_tells_them(tmp_path: Path) -> None:
    """Its input by names and hashes, no goal where there is none, and options within options as TOML reads them."""
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"text": "A text of a few words."}\n')
    data = {"recipe": "backtranslation", "input": {"path": str(corpus)}, "lanes": {"main": {"provider": "libretranslate"}}}
    loaded = context.load(from_data({**data, "options": {"language": "en", "gate": {"chrf_min": 0.2}}}))
    story = Story(
        loaded, Figures(), (File("train.jsonl", "train", 0, "0"),), FORMATS["jsonl"], Settings(), "seeddrill export DIR"
    )
    text = card(story)
    assert "## Input" in text
    assert "corpus.jsonl | 35 bytes," in text
    assert str(tmp_path) not in text
    plan = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])
    assert (plan["recipe"], "goal" in plan, plan["options"]["gate"]["chrf_min"]) == ("backtranslation", False, 0.2)


def test_run_without_records_has_a_card(tmp_path: Path) -> None:
    """With zeros in it."""
    run = runs.known(tmp_path / "run", [])
    export(run, tmp_path / "data", "chat", Existing.REFUSE)
    text = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert "| records | 0 |" in text
    assert "| with an input | 0 (none) |" in text
    assert "None: there are no records here." in text


@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.llama_factory is not None])
def test_llama_factory_is_told_keys_that_rows_have(tmp_path: Path, name: str) -> None:
    """Every column that `dataset_info.json` names is a key of every row, and every tag one of every turn."""
    run = runs.known(tmp_path / "run", TASKS)
    export(run, tmp_path / "data", name, Existing.REFUSE, Choice(settings=("system=s",) if name in ("chat", "sharegpt") else ()))
    (entry,) = orjson.loads((tmp_path / "data" / "dataset_info.json").read_bytes()).values()
    data = (tmp_path / "data" / entry["file_name"]).read_bytes()
    rows = orjson.loads(data) if name == "alpaca" else list(map(orjson.loads, data.splitlines()))
    assert len(rows) == 3
    for row in rows:
        assert set(entry["columns"].values()) == set(row)
        if entry.get("formatting") == "sharegpt":
            tags = entry["tags"]
            turns = row[entry["columns"]["messages"]]
            assert [turn[tags["role_tag"]] for turn in turns] == [tags["system_tag"], tags["user_tag"], tags["assistant_tag"]]
            assert all(set(turn) == {tags["role_tag"], tags["content_tag"]} for turn in turns)
