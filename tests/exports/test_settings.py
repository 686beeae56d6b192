"""Settings: what `--set` says, in words of the user."""

from __future__ import annotations

import pytest

from engine.core.faults import PlanError
from engine.exports.settings import Settings, settings


def test_settings_are_read_as_they_are_typed() -> None:
    """Texts stand for themselves or in quotes as TOML has them, numbers are texts where a text is wanted."""
    assert settings((), "chat", ("system",)) == Settings()
    said = settings(("system=You are = brief.", "seeds=true", "license=mit"), "chat", ("system",))
    assert said == Settings(system="You are = brief.", seeds=True, license="mit")
    assert settings(('system="two\\nlines"',), "chat", ("system",)).system == "two\nlines"
    assert settings(("end=5", "style=alpaca"), "finetune", ("end", "style")) == Settings(end="5", style="alpaca")
    assert settings(("end=",), "finetune", ("end",)).end == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("system", "takes KEY=VALUE"),
        ("=x", "takes KEY=VALUE"),
        ("sytem=x", "did you mean 'system'"),
        ("colour=red", "it has seeds, license, system"),
        ("seeds=maybe", "Expected `bool`"),
    ],
)
def test_setting_that_is_none(change: str, words: str) -> None:
    """A key that the format does not have, or a value that is none, is told with what there is."""
    with pytest.raises(PlanError, match=words):
        settings((change,), "chat", ("system",))


def test_style_is_one_of_two() -> None:
    """Another one is told with both."""
    with pytest.raises(PlanError, match="Invalid enum value 'gpt'"):
        settings(("style=gpt",), "finetune", ("style",))
