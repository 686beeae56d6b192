"""What `--set` says of an export: KEY=VALUE, each key with its type and the formats that know it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.core.faults import PlanError


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An export's own choices."""

    seeds: bool = False
    """The seed tasks come along, behind the records."""
    license: str | None = None
    """Of the data set, for its card: an SPDX name."""
    system: str | None = None
    """What the system says in every chat."""
    style: Literal["self_instruct", "alpaca"] = "self_instruct"
    """Whose templates `finetune` fills in."""
    templates: str | None = None
    """A TOML file with templates of one's own for `finetune`."""
    end: str | None = None
    """What `finetune` writes at the end of a completion; by default `<|endoftext|>` with our templates in Self-Instruct's style,
    else nothing."""


EVERYWHERE = ("seeds", "license")


def settings(changes: Sequence[str], format: str, own: tuple[str, ...]) -> Settings:
    """The settings that `changes` say, for a format that has `own` ones. Raises `PlanError`."""
    known = (*EVERYWHERE, *own)
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        key = key.strip()
        if not equals or not key:
            raise PlanError(f"--set takes KEY=VALUE, not {change!r}; the format {format} has {', '.join(known)}")
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            offer = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise PlanError(f"--set {change!r}: the format {format} has no setting {key!r}; {offer}")
        values[key] = _value(key, value)
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise PlanError(f"--set: {error}") from error


def _value(key: str, text: str) -> Any:
    """A text stands for itself, and may be written as TOML does, in quotes, for what a shell cannot say."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, str) or key == "seeds" else text


class Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts with the places `{instruction}` and, where there is an input, `{input}`."""

    with_input: tuple[str, ...]
    without_input: tuple[str, ...]


def templates(path: Path) -> Templates:
    """The user's own templates; raises `PlanError`."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=Templates)
    except OSError as error:
        raise PlanError(f"the templates {path} cannot be read: {error.strerror or error}") from error
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(
            f"the templates {path} are not usable: {error}. The file is TOML with two lists of texts, with_input and "
            "without_input"
        ) from error
    for name, place in (("with_input", "{input}"), ("without_input", "{instruction}")):
        texts: tuple[str, ...] = getattr(found, name)
        if not texts or not all(place in text and "{instruction}" in text for text in texts):
            raise PlanError(f"the templates {path}: every text of {name} needs {{instruction}}, and with_input {{input}} as well")
    return found
