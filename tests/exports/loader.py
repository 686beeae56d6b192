"""A process of its own that loads exports as a trainer would, with the library `datasets`, and says what it found.

`python -m tests.exports.loader PLACE...`: each a folder, or a file; prints a JSON object of place, split and rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, load_dataset


def loaded(place: Path) -> dict[str, list[Any]]:
    """The rows by split."""
    if place.is_dir():
        found = load_dataset(str(place))
    else:
        found = load_dataset("parquet" if place.suffix == ".parquet" else "json", data_files=str(place))
    assert isinstance(found, DatasetDict)
    return {str(split): rows(part) for split, part in found.items()}


def rows(part: Dataset) -> list[Any]:
    return part.to_list()


if __name__ == "__main__":
    json.dump({place: loaded(Path(place)) for place in sys.argv[1:]}, sys.stdout)
