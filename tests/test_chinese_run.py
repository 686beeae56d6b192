"""Whole runs in Chinese: against the simulator's Chinese grammar in virtual time, and what is exported of one."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.core.score import rouge_l
from engine.core.text import has_cjk, words
from engine.export import Existing, export
from engine.runtime.pulse import RunState
from tests import runs
from tests.simulated import HOME, Simulation

BAD = "[answers]\nnear_duplicates = 0.1\nrefused = 0.01\nmalformed = 0.01\ntruncated = 0.03\n"
SCRIPT = f"""{BAD}
[accounts.a]
prefix = "/a"
[[accounts.a.limits]]
kind = "sliding"
limit = 600
[accounts.a.weather]
first_byte = {{ lognormal = [0.8, 0.4] }}
tokens_per_second = {{ uniform = [60, 140] }}
errors = {{ 500 = 0.01 }}
"""


def plan(recipe: str, goal: int, style: str) -> dict[str, Any]:
    lane = {"provider": "openai", "model": "m", "style": style, "base_url": f"{HOME}/a/v1", "requests_per_minute": 600}
    return {"recipe": recipe, "goal": goal, "lanes": {"a": lane}, "options": {"language": "zh"}}


def kept(sim: Simulation, step: str) -> list[dict[str, Any]]:
    return [item for line in sim.settled() if line["s"] == step for item in line.get("kept", ())]


def dropped(sim: Simulation, step: str) -> list[tuple[dict[str, Any], str]]:
    return [(item, reason) for line in sim.settled() if line["s"] == step for _, item, reason in line.get("dropped", ())]


def no_two_alike(texts: list[str]) -> bool:
    """By brute force, with every character for a word."""
    tokens = [words(text) for text in texts]
    return all(rouge_l(one, other) <= 0.7 for one, other in combinations(tokens, 2))


@pytest.mark.parametrize("style", ["completion", "chat"])
def test_self_instruct_grows_in_chinese(style: str) -> None:
    """300 instructions, over a kill and a resume: all in Chinese, no two alike, near duplicates dropped, some of
    both kinds, and hardly anything refused."""
    sim = Simulation(SCRIPT, plan("self_instruct", 300, style))
    sim.die(20)
    lived = sim.live()
    assert lived.pulse.state is RunState.DONE
    instructions = [item["instruction"] for item in kept(sim, "instruct")]
    assert len(instructions) >= 300
    assert all(has_cjk(text) for text in instructions)
    assert no_two_alike(instructions)
    near = [reason for _, reason in dropped(sim, "instruct") if reason.startswith("duplicate")]
    assert len(near) >= 0.05 * len(instructions)
    kinds = [item["is_classification"] for item in kept(sim, "classify")]
    assert 0.1 * len(kinds) < sum(kinds) < 0.6 * len(kinds)
    assert len(kept(sim, "instance")) > 300
    assert lived.books["a"]["refused"].get("rate", 0) < 5, "what was in flight at the kill is not remembered"


@pytest.mark.parametrize("style", ["completion", "chat"])
def test_alpaca_grows_in_chinese(style: str) -> None:
    """200 tasks with input and output, about half of them without input, no two instructions alike."""
    sim = Simulation(SCRIPT, plan("alpaca", 200, style))
    lived = sim.live()
    assert lived.pulse.state is RunState.DONE
    tasks = kept(sim, "generate")
    assert len(tasks) >= 200
    assert no_two_alike([task["instruction"] for task in tasks])
    assert all(has_cjk(task["output"]) for task in tasks)
    assert 0.3 < sum(not task["input"] for task in tasks) / len(tasks) < 0.7


ANSWERS: runs.Answers = {
    ("instruct", 0, 0): "好的：\n\n9、说出流经武汉的三条河。\n10、太短\n11、判断这条评论是否友好。\n12、说出流经大武汉的三条河。",
    ("instruct", 1, 0): "9. 画一张港口的简图。\n10. 面团为什么要醒一醒？",
    ("classify", 0, 0): "否。",
    ("classify", 1, 0): "是的",
    ("classify", 2, 0): "不是分类任务。",
    ("instance", 0, 0): "输出：长江、汉江、府河。",
    ("instance", 1, 0): "类别标签：友好\n评论：今天真开心！\n类别标签：不友好\n评论：再也不来了。",
    ("instance", 2, 0): "示例1\n输入：无\n输出：让面筋松弛下来，更好擀开。",
}


def test_a_run_in_chinese_is_exported_as_it_was_written(tmp_path: Path) -> None:
    """Records carry their Chinese unescaped and unfolded; kinds, labels and full-width marks were understood on the way."""
    folder = runs.make(tmp_path / "run", answers=ANSWERS, options={"language": "zh"})
    out = tmp_path / "records.json"
    assert export(folder, out, "alpaca", Existing.REFUSE).records == 4
    text = out.read_text(encoding="utf-8")
    assert "\\u" not in text
    assert orjson.loads(text) == [
        {"instruction": "说出流经武汉的三条河。", "input": "", "output": "长江、汉江、府河。"},
        {"instruction": "判断这条评论是否友好。", "input": "评论：今天真开心！", "output": "友好"},
        {"instruction": "判断这条评论是否友好。", "input": "评论：再也不来了。", "output": "不友好"},
        {"instruction": "面团为什么要醒一醒？", "input": "", "output": "让面筋松弛下来，更好擀开。"},
    ]
