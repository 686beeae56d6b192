"""A make-believe translator and writer for recipes over documents: the same text always alike, every round trip faithful.

The translation is the simulator's cipher, which can be turned back, so most checks of the round trip are off in `OPTIONS`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson

from engine.core.http import HttpResponse
from engine.core.rng import stream
from providers.simulator.cipher import translated
from tests.fakes import answered

_WORDS = [
    "harbour",
    "bakery",
    "violin",
    "glacier",
    "contract",
    "orchard",
    "telescope",
    "bridge",
    "poem",
    "ledger",
    "festival",
    "engine",
    "garden",
    "lecture",
    "market",
    "compass",
    "novel",
    "railway",
    "potion",
    "dialect",
    "lantern",
    "window",
    "copper",
    "meadow",
    "signal",
    "thunder",
    "velvet",
    "canyon",
    "orbit",
    "pepper",
    "quarry",
    "ribbon",
    "saddle",
    "temple",
    "umbrella",
    "valley",
    "walnut",
    "yellow",
    "zephyr",
    "anchor",
    "beacon",
    "candle",
    "desert",
    "ember",
    "feather",
    "goblet",
    "hammer",
    "island",
    "jungle",
    "kettle",
]

OPTIONS: dict[str, Any] = {
    "language": "en",
    "gate": {
        "rouge_max": 1.0,
        "language_max": 1.0,
        "unfinished": False,
        "copied_max": 1000,
        "untranslated_max": 1.0,
        "script_max": 1.0,
    },
}
TRANSLATOR = {"provider": "libretranslate", "base_url": "http://127.0.0.1:9", "concurrent": 8}
BATCHES = {"provider": "deepl", "base_url": "http://127.0.0.1:9", "concurrent": 4}
"""A vendor that takes several texts a request."""
WRITER = {"provider": "local", "base_url": "http://127.0.0.1:9/v1", "concurrent": 8}
LANES = {"mt": TRANSLATOR, "llm": WRITER}


def text(n: int) -> str:
    """The n-th text: words that hardly any other one has in the same order."""
    words = stream(0, "text", n).sample(_WORDS, 16)
    return f"In {1000 + n} the {' '.join(words[:8])} was old. The {' '.join(words[8:])} of number {n} is new."


def corpus(path: Path, count: int, **replaced: bytes) -> Path:
    """A file of JSON lines with so many documents; `replaced` are lines that stand in the place of others, as `n3=b"..."`."""
    lines = [json.dumps({"id": f"doc-{n}", "text": text(n), "topic": n % 5}).encode() for n in range(count)]
    for name, line in replaced.items():
        lines[int(name[1:])] = line
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def plan(path: Path, **changes: Any) -> dict[str, Any]:
    """A plan of `backtranslation` over a corpus."""
    options = {**OPTIONS, **changes.pop("options", {})}
    return {"recipe": "backtranslation", "lanes": LANES, "input": {"path": str(path)}, "options": options, **changes}


def answer(body: dict[str, Any], count: int) -> HttpResponse:
    """What a translator, or a model that writes instructions, says."""
    if "target_lang" in body:
        return deepl([translated(one, body["target_lang"]) for one in body["text"]])
    if "q" in body:
        return HttpResponse(200, {}, orjson.dumps({"translatedText": translated(body["q"], body["target"])}), 1.0, 0.5)
    prompt = str(body.get("prompt") or "\n".join(turn["content"] for turn in body["messages"]))
    return answered(" " + instruction(prompt.rstrip().splitlines()[-2:]))


def deepl(texts: list[Any]) -> HttpResponse:
    """DeepL's answer with these translations."""
    return HttpResponse(200, {}, orjson.dumps({"translations": [{"text": one} for one in texts]}), 1.0, 0.5)


def instruction(about: list[str]) -> str:
    rng = stream(0, *about)
    words = ["".join(rng.choice(pair) for pair in ("bdfgklmnprst", "aeiou") * 3) for _ in range(9)]
    return f"Explain {' '.join(words)}."


def step_of(body: dict[str, Any]) -> str:
    """Which step a request belongs to."""
    target = str(body.get("target") or body.get("target_lang") or "")
    if not target:
        return "instruct"
    return "translate" if target.lower().startswith("zh") else "return"
