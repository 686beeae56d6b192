"""The formats: what a row is, how rows become a file, and what a trainer has to be told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from engine.core.faults import PlanError
from engine.exports import encode, finetune, rows, sheet
from engine.exports.encode import Encode
from engine.exports.rows import Rows, each


@dataclass(frozen=True, slots=True)
class Format:
    """One way to lay out records."""

    says: str
    """In a few words."""
    suffix: str
    rows: Rows
    encode: Encode
    settings: tuple[str, ...] = ()
    """What `--set` may say for it alone."""
    compares: bool = False
    """It tells every instruction's neighbours."""
    llama_factory: Mapping[str, Any] | None = None
    """The entry of `dataset_info.json` by which LLaMA-Factory reads it, the file's name left out."""


def _columns(**names: str) -> Mapping[str, Any]:
    return MappingProxyType({"columns": names})


def _turns(column: str, role: str, content: str, user: str, assistant: str) -> Mapping[str, Any]:
    """Chats, as LLaMA-Factory's `data/README.md` wants their keys told."""
    tags = {"role_tag": role, "content_tag": content, "user_tag": user, "assistant_tag": assistant, "system_tag": "system"}
    return MappingProxyType({"formatting": "sharegpt", "columns": {"messages": column}, "tags": tags})


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "alpaca": Format(
            "a JSON list of instruction, input, output",
            ".json",
            each(rows.alpaca),
            encode.json_list,
            llama_factory=_columns(prompt="instruction", query="input", response="output"),
        ),
        "chat": Format(
            "messages, a chat a line: TRL, OpenAI fine-tuning, Axolotl",
            ".jsonl",
            rows.chat,
            encode.json_lines,
            settings=("system",),
            llama_factory=_turns("messages", "role", "content", "user", "assistant"),
        ),
        "sharegpt": Format(
            "conversations, a chat a line: LLaMA-Factory, Axolotl",
            ".jsonl",
            each(rows.sharegpt),
            encode.json_lines,
            settings=("system",),
            llama_factory=_turns("conversations", "from", "value", "human", "gpt"),
        ),
        "prompt_completion": Format(
            "prompt and completion",
            ".jsonl",
            each(rows.prompt_completion),
            encode.json_lines,
            llama_factory=_columns(prompt="prompt", response="completion"),
        ),
        "self_instruct": Format(
            "an instruction a line with its instances, its ten nearest neighbours and its mean score",
            ".jsonl",
            rows.self_instruct,
            encode.json_lines,
            compares=True,
        ),
        "finetune": Format(
            "prompt and completion from the templates of Self-Instruct or Alpaca, shuffled",
            ".jsonl",
            finetune.finetune,
            encode.json_lines,
            settings=("style", "templates", "end"),
            llama_factory=_columns(prompt="prompt", response="completion"),
        ),
        "jsonl": Format("a record a line with where it comes from", ".jsonl", each(rows.jsonl), encode.json_lines),
        "parquet": Format("the same in columns (needs pyarrow)", ".parquet", each(rows.jsonl), encode.parquet),
        "csv": Format("a review sheet for a spreadsheet", ".csv", each(sheet.review), encode.spreadsheet),
    }
)

SHEET = "csv"
"""The format that is for people and no data set."""


def find(name: str) -> Format:
    """The format of that name; raises `PlanError` with those there are."""
    if name not in FORMATS:
        near = get_close_matches(name, FORMATS, n=1, cutoff=0.5)
        offer = f"; did you mean {near[0]!r}?" if near else ""
        raise PlanError(f"there is no format {name!r}{offer or ';'} the formats are {', '.join(FORMATS)}")
    return FORMATS[name]
