"""The page on writing a provider says what is true: its examples are providers, and its exchanges are read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from engine.core.faults import FaultKind
from engine.core.http import HttpResponse
from engine.core.types import Completion, Decoding
from providers import contract

PAGE = (Path(__file__).parents[2] / "docs" / "writing-a-provider.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|json)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CODE = [code for kind, code in BLOCKS if kind == "python"]
(LINES,) = [text for kind, text in BLOCKS if kind == "json"]


def made(code: str) -> Any:
    """The provider that a block of the page defines."""
    module: dict[str, Any] = {"__name__": __name__}
    exec(code, module)
    return module["PROVIDER"]


@pytest.mark.parametrize("code", CODE[:2], ids=["profile", "dialect"])
def test_examples_are_providers(code: str) -> None:
    """The contract finds nothing wrong with their form."""
    contract.check_form(made(code))


def test_example_hears_what_its_exchanges_say() -> None:
    """They are compared by the very function that the page calls; only there are too few of them, and it says so."""
    provider, exchanges = made(CODE[1]), contract.read(LINES)
    assert len(exchanges) == 3
    with pytest.raises(AssertionError, match="recorded faults are too few"):
        contract.check(provider, exchanges)
    row = json.loads(LINES.splitlines()[0])
    row["wanted"]["tokens_out"] = 5
    with pytest.raises(AssertionError, match="tokens_out is 4, not 5"):
        contract.check(provider, contract.read(json.dumps(row)))


def test_example_of_a_profile_has_its_code() -> None:
    """Its own error code means what it says."""
    (fault,) = made(CODE[0]).decode(
        (Completion("x", Decoding(max_tokens=5)),), HttpResponse(429, {}, b'{"error": {"code": "credits_gone"}}')
    )
    assert fault.kind is FaultKind.QUOTA
