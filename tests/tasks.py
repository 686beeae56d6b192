"""Seed tasks and texts to make small seed files of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from engine.core.types import Item

INSTRUCTIONS = ("Name three rivers of Austria.", "Explain why bread dough rests.", "Sort these words by length.")


def seed(n: int = 0, **changes: Any) -> Item:
    """A good seed task, with changes; `None` takes a key away."""
    whole = {
        "id": f"seed_task_{n}",
        "name": f"task_{n}",
        "instruction": INSTRUCTIONS[n],
        "instances": [{"input": "", "output": "Danube, Inn, Mur."}],
        "is_classification": False,
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


TEXTS = (
    "Knead the dough, cover it and wait until it has doubled.",
    "The Danube flows through ten countries to the Black Sea.",
    "Please sort these cards by colour, then by size.",
)


def text(n: int = 0, **changes: Any) -> Item:
    """A good text, with changes; `None` takes a key away."""
    whole = {"id": f"en-{n:03}", "text": TEXTS[n], "language": "en", **changes}
    return {key: value for key, value in whole.items() if value is not None}


def written(folder: Path, *lines: Item | bytes) -> Path:
    """A seed file with these lines: tasks and texts, or bytes as they are."""
    path = folder / "seeds.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines))
    return path
