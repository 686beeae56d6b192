"""Plans: TOML, `--set` and keyword arguments say the same, and whatever is wrong is told with its key and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.faults import PlanError
from engine.core.types import LanePlan, Quota
from engine.plan import Plan, check, differences, from_data, load, options
from engine.recipes.self_instruct import Options

TEXT = """\
recipe = "self_instruct"
goal = 52_000

[options]
rouge_max = 0.6

[lanes.fast]
provider = "openai"
model = "gpt-4o-mini"
key = "env:OPENAI_API_KEY"
role = "propose"
tokens_per_minute = 250_000
"""
DATA: dict[str, Any] = {"recipe": "self_instruct", "goal": 10, "lanes": {"fast": {"provider": "openai"}}}


def written(folder: Path, text: str = TEXT) -> Path:
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(data: Any) -> str:
    """What is said of a plan that is not accepted."""
    with pytest.raises(PlanError) as caught:
        from_data(data)
    return str(caught.value)


def test_file_and_keywords_say_the_same(tmp_path: Path) -> None:
    """A plan from TOML equals the one made in Python; one role is a list of one, quota keys stand among the lane's own."""
    lane = LanePlan(
        provider="openai",
        model="gpt-4o-mini",
        key="env:OPENAI_API_KEY",
        role=("propose",),
        quota=Quota(tokens_per_minute=250_000),
    )
    assert load(written(tmp_path)) == Plan(recipe="self_instruct", goal=52_000, lanes={"fast": lane}, options={"rouge_max": 0.6})


@pytest.mark.parametrize(
    ("change", "read", "value"),
    [
        ("goal=1000", lambda plan: plan.goal, 1000),
        (" goal = 1_000", lambda plan: plan.goal, 1000),
        ('recipe="alpaca"', lambda plan: plan.recipe, "alpaca"),
        ("recipe=alpaca", lambda plan: plan.recipe, "alpaca"),
        ("options.rouge_max=0.5", lambda plan: plan.options["rouge_max"], 0.5),
        ("options.filters=['length', 'empty']", lambda plan: plan.options["filters"], ["length", "empty"]),
        ("options.topic=tea = leaves", lambda plan: plan.options["topic"], "tea = leaves"),
        ("lanes.fast.model=gpt-4o", lambda plan: plan.lanes["fast"].model, "gpt-4o"),
        ("lanes.fast.requests_per_minute=60", lambda plan: plan.lanes["fast"].quota.requests_per_minute, 60),
        ("lanes.fast.role=['propose', 'answer']", lambda plan: plan.lanes["fast"].role, ("propose", "answer")),
        ("lanes.slow={provider = 'local'}", lambda plan: plan.lanes["slow"], LanePlan(provider="local")),
        ("lanes.slow.provider=local", lambda plan: plan.lanes["slow"], LanePlan(provider="local")),
    ],
)
def test_set_changes_one_key(tmp_path: Path, change: str, read: Callable[[Plan], object], value: object) -> None:
    """`--set` takes what TOML takes, tables and lists too, and a bare word is a text."""
    assert read(load(written(tmp_path), [change])) == value


def test_later_change_wins(tmp_path: Path) -> None:
    """Several changes are made in their order."""
    assert load(written(tmp_path), ["goal=1", "goal=2"]).goal == 2


@pytest.mark.parametrize("change", ["goal", "=5", " =5", "goal.much=5", "lanes.fast.model.name=x"])
def test_change_that_is_none_is_refused(tmp_path: Path, change: str) -> None:
    """A change without a key or a value, or below a key that is no table, is told as it was written."""
    with pytest.raises(PlanError, match="--set") as caught:
        load(written(tmp_path), [change])
    assert change.strip() in str(caught.value)


@pytest.mark.parametrize(
    ("data", "offer"),
    [
        (DATA | {"gaol": 5}, "unknown key 'gaol' in the plan; did you mean 'goal'?"),
        (DATA | {"lane": {}}, "unknown key 'lane' in the plan; did you mean 'lanes'?"),
        (DATA | {"lanes": {"fast": {"provder": "x"}}}, "unknown key 'provder' in [lanes.fast]; did you mean 'provider'?"),
        (
            DATA | {"lanes": {"fast": {"provider": "x", "request_per_minute": 5}}},
            "unknown key 'request_per_minute' in [lanes.fast]; did you mean 'requests_per_minute'?",
        ),
        (DATA | {"lanes": {"fast": {"provider": "x", "quota": {}}}}, "unknown key 'quota' in [lanes.fast]"),
        (DATA | {"zzz": 5}, "known keys: backlog, budget, compress, cut_after, first_token, goal"),
    ],
)
def test_unknown_key_offers_the_nearest(data: dict[str, Any], offer: str) -> None:
    """A key that nothing reads is an error at every level, with the nearest name there is."""
    assert offer in refusal(data)


def test_unknown_option_offers_the_nearest() -> None:
    """The recipe's options are checked against the recipe's own names."""
    with pytest.raises(PlanError, match=r"unknown key 'rouge_mx' in \[options\]; did you mean 'rouge_max'\?"):
        options(Options, {"rouge_mx": 0.5})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (DATA | {"goal": "many"}, ["goal in the plan", "expected `int | null`, got `str`"]),
        (DATA | {"goal": 0}, ["goal in the plan", ">= 1"]),
        (DATA | {"goal": 1.5}, ["goal in the plan", "expected `int | null`"]),
        (DATA | {"timeout": 0}, ["timeout in the plan", "> 0"]),
        (DATA | {"grace": -1}, ["grace in the plan", ">= 0"]),
        (DATA | {"seeds": 5}, ["seeds in the plan", "expected `str | null`"]),
        (DATA | {"options": []}, ["options in the plan", "expected `object`"]),
        (DATA | {"lanes": []}, ["[lanes.NAME]"]),
        (DATA | {"lanes": {"fast": "openai"}}, ["[lanes.NAME]"]),
        (DATA | {"lanes": {}}, ["no lane", "[lanes.NAME]"]),
        (DATA | {"lanes": {"fast": {"provider": 5}}}, ["provider in [lanes.fast]", "expected `str`"]),
        (DATA | {"lanes": {"fast": {"model": "m"}}}, ["[lanes.fast] lacks 'provider'"]),
        (
            DATA | {"lanes": {"fast": {"provider": "x", "style": "verse"}}},
            ["style in [lanes.fast]", "'verse'", "chat, completion"],
        ),
        (
            DATA | {"lanes": {"fast": {"provider": "x", "concurrent": "all"}}},
            ["concurrent in [lanes.fast]", "expected `int | null`"],
        ),
        ({"goal": 1, "lanes": DATA["lanes"]}, ["the plan lacks 'recipe'"]),
    ],
)
def test_wrong_value_is_told_with_its_key(data: dict[str, Any], words: list[str]) -> None:
    """A missing key or a value of another type or size is named in one line."""
    told = refusal(data)
    assert "\n" not in told
    for word in words:
        assert word in told


@pytest.mark.parametrize("value", [0, -1, 0.0, float("nan")])
@pytest.mark.parametrize("key", ["requests_per_minute", "tokens_per_minute", "concurrent"])
def test_quota_is_above_zero(key: str, value: float) -> None:
    """No account may do nothing at all: that is a typing error, and no quota is written by leaving the key out."""
    assert key in refusal(DATA | {"lanes": {"fast": {"provider": "openai", key: value}}})


def test_key_itself_has_no_place_in_a_plan() -> None:
    """A key is told by where it is found; one that was pasted in is refused without being repeated."""
    told = refusal(DATA | {"lanes": {"fast": {"provider": "openai", "key": "sk-proj-12345"}}})
    assert "lanes.fast.key" in told
    assert "env:NAME or file:PATH" in told
    assert "sk-proj" not in told


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("env:ID env:SECRET", True),
        ("env:ID file:/run/my keys/secret env:TOKEN?", True),
        ("file:~/key", True),
        ("env:ID SECRET", False),
        ("ID env:SECRET", False),
        ("env:", False),
        ("file: ", False),
        ("env:ID=x", False),
        ("", False),
    ],
)
def test_key_names_places_and_nothing_else(key: str, good: bool) -> None:
    """A key of several parts has a place for each; a word beside them is no place."""
    data = DATA | {"lanes": {"fast": {"provider": "openai", "key": key}}}
    if good:
        assert from_data(data).lanes["fast"].key == key
    else:
        assert "lanes.fast.key" in refusal(data)


def test_lane_has_a_region() -> None:
    """A vendor's region is a key of the lane."""
    assert from_data(DATA | {"lanes": {"fast": {"provider": "x", "region": "eu-west-1"}}}).lanes["fast"].region == "eu-west-1"


def test_plan_made_in_python_is_checked_alike() -> None:
    """What no type can tell is checked for keyword arguments, too."""
    lane = LanePlan(provider="openai", key="sk-proj-12345")
    with pytest.raises(PlanError, match="env:NAME"):
        check(Plan(recipe="alpaca", goal=1, lanes={"fast": lane}))


def test_paths_start_where_the_plan_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds and templates are found beside the plan from any working directory; an absolute path stays."""
    (tmp_path / "plans").mkdir()
    (tmp_path / "elsewhere").mkdir()
    path = written(tmp_path / "plans", 'seeds = "mine/seeds.jsonl"\n' + TEXT.replace("rouge_max = 0.6", 'templates = "t"'))
    monkeypatch.chdir(tmp_path / "elsewhere")
    plan = load(Path("../plans/plan.toml"))
    assert plan.seeds == str(path.parent / "mine/seeds.jsonl")
    assert plan.options["templates"] == str(path.parent / "t")
    assert load(path, [f"seeds={tmp_path / 's.jsonl'}"]).seeds == str(tmp_path / "s.jsonl")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b'recipe = "a\n', "is not valid TOML"),
        (b'recipe = "\xff"\n', r"is not UTF-8 text \(byte 10\)"),
    ],
)
def test_file_that_is_no_plan_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A plan that is missing, no TOML or no text is reported by its path."""
    path = tmp_path / "plan.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PlanError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_differences_name_every_leaf() -> None:
    """Two trees are compared leaf by leaf; what is missing on one side is `None`."""
    old = {"seed": 0, "options": {"topic": "", "rouge_max": 0.7}, "templates": {"a": "1"}}
    new = {"seed": 0, "options": {"topic": "tea", "rouge_max": 0.7}, "templates": {"b": "1"}}
    assert differences(old, new) == ["options.topic: '' -> 'tea'", "templates.a: '1' -> None", "templates.b: None -> '1'"]
    assert differences(old, old) == []
