"""The bench of documents, few of them: a real process, the simulator in another one, and a real journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.documents import documents
from engine import verify


def test_killed_run_settles_each_document_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 texts, killed twice on their way through two translators and a model, each is settled once in every step, and none
    is translated again but what was under way."""
    monkeypatch.setattr(verify, "PAIRS", 2_000)  # rouge_score has its day elsewhere
    told = documents(300, 2, 5, tmp_path)
    assert told["broken"] == []
    assert (told["documents"], told["kills"], told["needless"], told["verified"]) == (300, 2, 0, True)
    assert told["records"] + told["dropped"] == 300
    assert all(lost >= 0 for lost in told["lost"])
