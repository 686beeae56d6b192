"""A make-believe model: answers every prompt of self_instruct in the form that was asked for, the same prompt always alike."""

from __future__ import annotations

from random import Random
from typing import Any

from engine.core.http import HttpResponse
from engine.core.rng import stream
from tests.fakes import answered

_VERBS = (
    "Explain",
    "Compare",
    "Rewrite",
    "Summarise",
    "Translate",
    "List",
    "Describe",
    "Compute",
    "Sort",
    "Name",
    "Draft",
    "Rank",
)
_THINGS = (
    *("harbour", "bakery", "violin", "glacier", "contract", "recipe", "orchard", "telescope", "bridge", "poem", "ledger"),
    *("festival", "engine", "garden", "lecture", "market", "compass", "novel", "railway", "potion", "dialect", "lantern"),
)


def prompt_of(body: dict[str, Any]) -> str:
    """The words of a request's body, chat or completion."""
    return str(body.get("prompt") or "\n".join(turn["content"] for turn in body["messages"]))


def task(rng: Random) -> str:
    """A new instruction, seldom near another one."""
    first, second, *others = rng.sample(_THINGS, rng.randint(5, 8))
    return f"{rng.choice(_VERBS)} the {first} of a {second} with {' '.join(others)}."


def step_of(body: dict[str, Any]) -> str:
    """Which step a prompt belongs to."""
    prompt = prompt_of(body)
    if prompt.endswith("Is it classification?"):
        return "classify"
    return "instance" if "Class label:" in prompt or "Example 1\n" in prompt else "instruct"


def answer(body: dict[str, Any], count: int) -> HttpResponse:
    """What a good model would say."""
    rng = stream(0, prompt_of(body))
    match step_of(body):
        case "classify":
            return answered(rng.choice((" Yes", " No", " No")), tokens=(400, 1))
        case "instruct":
            return answered("".join(f"\n{n}. {task(rng)}" for n in range(9, 16)).removeprefix("\n9."), tokens=(300, 150))
        case _ if "Class label:" in prompt_of(body):
            return answered("Class label: yes\nText: fine\nClass label: no\nText: not so fine", tokens=(900, 30))
        case _:
            return answered(f"Example 1\nText: about {rng.random()}\nOutput: It is {rng.random()}.", tokens=(900, 40))
