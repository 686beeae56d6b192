"""Exports against the trainers that they are for. One JSON line a check; run by hand, without a network.

    python -m venv trainers && trainers/bin/pip install . trl transformers torch
    trainers/bin/python bench/trainers.py [--quick]

- **TRL**: `SFTTrainer` trains a tiny model of random weights for two steps on each form that it takes, and evaluates it on the
  validation file. `learned` is the text behind the labels of one example: it has to be the answer and nothing of the prompt.
- **LLaMA-Factory**: `dataset_info.json` and rows by the rules of its `data/README.md`; where `llamafactory` is installed, its own
  loader reads the folder as well, and `read` says what it made of the first row.
- **Axolotl**: rows by the rules of its documentation of dataset formats; where `axolotl` is installed, its own prompt strategy
  reads them as well.
- **OpenAI**: the fine-tuning file by the rules of its guide and of the check that its cookbook publishes.

The data are the seed tasks that come with the product. `--quick` leaves TRL out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import orjson

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from engine import seedfile
from engine.export import Choice, Existing, export
from tests import runs

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ message.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORMS: dict[str, dict[str, Any]] = {
    "chat": {"assistant_only_loss": True},
    "prompt_completion": {"completion_only_loss": True},
    "finetune": {"completion_only_loss": True},
}
"""Forms that TRL takes as they are, and what it has to be told."""
ENTRY = {"file_name", "formatting", "columns", "tags"}
COLUMNS = {"prompt", "query", "response", "history", "messages", "system", "tools"}
TAGS = {"role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag"}
"""What may stand in `dataset_info.json` of a data set of texts (LLaMA-Factory, `data/README.md`)."""


def tasks() -> Iterator[runs.Task]:
    """The seed tasks."""
    found, faults = seedfile.parse((seedfile.folder() / "self_instruct.en.jsonl").read_bytes())
    assert not faults
    for seed in found:
        yield seed["instruction"], [(pair["input"], pair["output"]) for pair in seed["instances"]]


def rows(path: Path) -> list[Any]:
    data = path.read_bytes()
    found: list[Any] = orjson.loads(data) if path.suffix == ".json" else list(map(orjson.loads, data.splitlines()))
    return found


# OpenAI


def openai(folder: Path, form: str) -> dict[str, Any]:
    """Raises `AssertionError` where a file breaks a rule."""
    count = 0
    for name in ("train.jsonl", "validation.jsonl"):
        path = folder / name
        assert path.stat().st_size < 512 << 20, "a file has 512 MB at the most"
        for row in rows(path):
            count += 1
            assert set(row) == {"messages"}
            messages = row["messages"]
            assert all(set(message) == {"role", "content"} for message in messages)
            assert all(isinstance(message["content"], str) and message["content"] for message in messages)
            assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert count >= 10, "ten examples at the least"
    return {"rows": count}


# LLaMA-Factory


def llama_factory(folder: Path, form: str) -> dict[str, Any]:
    info = orjson.loads((folder / "dataset_info.json").read_bytes())
    count = 0
    for entry in info.values():
        assert set(entry) <= ENTRY
        assert set(entry["columns"]) <= COLUMNS
        assert set(entry.get("tags", {})) <= TAGS
        for row in rows(folder / entry["file_name"]):
            count += 1
            assert set(entry["columns"].values()) <= set(row)
            if entry.get("formatting") == "sharegpt":
                _alternating(row[entry["columns"]["messages"]], entry["tags"])
    assert set(info) == {"seeddrill", "seeddrill_validation"}
    return {"rows": count} | (_read_by_llama_factory(folder) if importlib.util.find_spec("llamafactory") else {})


def _alternating(turns: list[dict[str, str]], tags: dict[str, str]) -> None:
    """A system message may come first; then people in odd places, the model in even ones."""
    if turns[0][tags["role_tag"]] == tags["system_tag"]:
        turns = turns[1:]
    assert turns
    assert len(turns) % 2 == 0
    for n, turn in enumerate(turns):
        assert turn[tags["role_tag"]] == tags["assistant_tag" if n % 2 else "user_tag"]
        assert isinstance(turn[tags["content_tag"]], str)


def _read_by_llama_factory(folder: Path) -> dict[str, Any]:
    from datasets import load_dataset
    from llamafactory.data.converter import align_dataset
    from llamafactory.data.parser import get_dataset_list
    from llamafactory.hparams import DataArguments
    from transformers import TrainingArguments

    (attributes,) = get_dataset_list(["seeddrill"], str(folder))
    loaded = load_dataset("json", data_files=str(folder / attributes.dataset_name), split="train")
    with tempfile.TemporaryDirectory() as aside:
        arguments = DataArguments(dataset="seeddrill", dataset_dir=str(folder))
        aligned = align_dataset(loaded, attributes, arguments, TrainingArguments(output_dir=aside, report_to=[], use_cpu=True))
    assert len(aligned) == len(rows(folder / attributes.dataset_name))
    assert all(row["_prompt"] and row["_response"] for row in aligned)
    first = aligned[0]
    return {"read": {"prompt": first["_prompt"], "response": first["_response"], "system": first["_system"]}}


# Axolotl


def axolotl(folder: Path, form: str) -> dict[str, Any]:
    """`chat_template` reads lists of turns, `alpaca` the three fields."""
    found = rows(next(folder.glob("train.*")))
    config: dict[str, Any] = {"path": "train.jsonl", "type": "chat_template"}
    match form:
        case "alpaca":
            config = {"path": "train.json", "type": "alpaca"}
            assert all({"instruction", "input", "output"} == set(row) for row in found)
        case "chat":
            config["field_messages"] = "messages"
            assert all({"role", "content"} == set(turn) for row in found for turn in row["messages"])
        case _:
            config |= {"field_messages": "conversations", "message_property_mappings": {"role": "from", "content": "value"}}
            assert all({"from", "value"} == set(turn) for row in found for turn in row["conversations"])
            assert {turn["from"] for row in found for turn in row["conversations"]} <= {"system", "human", "gpt"}
    return {"rows": len(found), "config": config} | (
        _read_by_axolotl(found, config) if importlib.util.find_spec("axolotl") else {}
    )


def _read_by_axolotl(found: list[Any], config: dict[str, Any]) -> dict[str, Any]:
    """What its prompt strategy for this type learns of each row: the answer, and the mark of its end."""
    from axolotl.prompt_strategies import chat_template
    from axolotl.prompt_tokenizers import AlpacaPromptTokenizingStrategy
    from axolotl.prompters import AlpacaPrompter, PromptStyle
    from axolotl.utils.dict import DictDefault

    tokenizer = _tokenizer([str(row) for row in found])
    if config["type"] == "alpaca":
        strategy = AlpacaPromptTokenizingStrategy(AlpacaPrompter(PromptStyle.INSTRUCT.value), tokenizer, False, 2048)
    else:
        strategy = chat_template.load(tokenizer, DictDefault(sequence_len=2048, train_on_inputs=False), DictDefault(config))
    learned = ""
    for row in found:
        made = strategy.tokenize_prompt(row)
        learned = tokenizer.decode([label for label in made["labels"] if label != -100])
        turns = row.get("messages") or row.get("conversations")
        answer = row["output"] if turns is None else list(turns[-1].values())[1]
        assert learned.strip().startswith(answer.strip()), (learned, answer)
    return {"learned": learned}


# TRL


def trl(folder: Path, form: str) -> dict[str, Any]:
    """Two steps on the training file, an evaluation on the other."""
    from datasets import load_dataset
    from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    data = load_dataset(str(folder))
    tokenizer = _tokenizer([str(list(row.values())) for row in rows(folder / "train.jsonl")])
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with tempfile.TemporaryDirectory() as aside:
        arguments = SFTConfig(
            output_dir=aside,
            max_steps=2,
            logging_steps=1,
            per_device_train_batch_size=2,
            per_device_eval_batch_size=8,
            max_length=512,
            report_to=[],
            use_cpu=True,
            bf16=False,
            seed=1,
            disable_tqdm=True,
            save_strategy="no",
            dataloader_pin_memory=False,
            **FORMS[form],
        )
        trainer = SFTTrainer(
            model=LlamaForCausalLM(config),
            args=arguments,
            train_dataset=data["train"],
            eval_dataset=data["validation"],
            processing_class=tokenizer,
        )
        trainer.remove_callback(PrinterCallback)  # it writes where the figures go
        trainer.train()
        losses = [round(entry["loss"], 3) for entry in trainer.state.log_history if "loss" in entry]
        batch = next(iter(trainer.get_eval_dataloader()))
        labels = batch["labels"][0]
        learned = tokenizer.decode(labels[labels != -100])
        evaluated = round(trainer.evaluate()["eval_loss"], 3)
    assert len(losses) == 2
    first = data["validation"][0]
    answer = first["messages"][-1]["content"] if form == "chat" else first["completion"]
    assert learned.strip().startswith(answer.strip()[:200]), (learned, answer)
    return {
        "rows": {name: len(part) for name, part in data.items()},
        "losses": losses,
        "validation": evaluated,
        "learned": learned,
    }


def _tokenizer(texts: list[str]) -> Any:
    """Bytes in pairs, learnt from the data itself; a chat template in the form of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, special_tokens=special, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", pad_token="<|pad|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description="Exports against the trainers that they are for.")
    parser.add_argument("--quick", action="store_true", help="leave TRL out")
    quick = parser.parse_args().quick
    failed = False
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run = runs.known(place / "run", tasks())
        for form in ("alpaca", "chat", "sharegpt", "prompt_completion", "finetune"):
            settings = ("system=You answer briefly.",) if form in ("chat", "sharegpt") else ()
            export(run, place / form, form, Existing.REFUSE, Choice(validation=0.1, settings=settings))
        checks: list[tuple[str, str, Callable[[Path, str], dict[str, Any]]]] = [("openai", "chat", openai)]
        checks += [("llamafactory", form, llama_factory) for form in ("alpaca", "chat", "sharegpt")]
        checks += [("axolotl", form, axolotl) for form in ("alpaca", "chat", "sharegpt")]
        checks += [] if quick else [("trl", form, trl) for form in FORMS]
        for library, form, check in checks:
            try:
                with redirect_stdout(sys.stderr):  # trainers talk
                    found = check(place / form, form)
            except AssertionError as error:
                found, failed = {"broken": repr(error)}, True
            print(orjson.dumps({"trainer": library, "version": _version(library), "form": form, **found}).decode(), flush=True)
    sys.exit(failed)


def _version(library: str) -> str | None:
    """Of the library where it is installed; `None`: the check went by its documentation alone."""
    try:
        return importlib.metadata.version(library) if library != "openai" else None
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
