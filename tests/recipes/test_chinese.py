"""Self-Instruct and Alpaca in Chinese: what the prompts look like, and what becomes of answers as Chinese models write them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from engine import context, plan
from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.parse import Malformed
from engine.core.recipe import Context, Recipe, Step, Verdict, compose, draw, judge, read
from engine.core.score import rouge_l
from engine.core.text import has_cjk, words
from engine.core.types import Chat, Completion, Item, Reply, Request, Stop, Style, Usage
from engine.recipes import alpaca, self_instruct

INSTRUCT, CLASSIFY, INSTANCE = self_instruct.RECIPE.steps
(GENERATE,) = alpaca.RECIPE.steps
RECIPES = (self_instruct.RECIPE, alpaca.RECIPE)
STYLES: tuple[Style, ...] = ("completion", "chat")

SORT: Item = {"id": "classify/0.0", "instruction": "将下面的数字从小到大排列。", "is_classification": False}
LABEL: Item = {"id": "classify/1.0", "instruction": "判断短信是不是诈骗。", "is_classification": True}
KIND: Item = {"id": "instruct/0.0", "instruction": "判断短信是不是诈骗。"}
ENGLISH = "Name the longest river of Europe."
POOL = [{"id": "instruct/0.0", "instruction": ENGLISH}, {"id": "instruct/0.1", "instruction": "给下面的信\n拟一个回复："}]
EIGHT = tuple({"id": f"seed/{n}", "instruction": f"第{n}件事"} for n in range(8))
THREE = (
    {"id": "seed/0", "instruction": "把两个数  相加：", "input": "1和2", "output": "3"},
    {"id": "seed/1", "instruction": "说出一条河。", "input": " ", "output": "黄河。\n淮河。"},
    {"id": "seed/2", "instruction": "打个招呼。", "input": "小林", "output": "小林，你好！"},
)


@cache
def made(recipe: str = "self_instruct", **options: Any) -> Context:
    """The context of a Chinese plan."""
    data = {"recipe": recipe, "goal": 1, "lanes": {"base": {"provider": "local"}}, "options": {"language": "zh", **options}}
    return context.load(plan.from_data(data)).context


def call(step: Step, context: Context, style: Style, item: Item | None = None, shown: tuple[Item, ...] = ()) -> Chat | Completion:
    request = Request(step=step.name, index=0, item=item or {}, shown=shown)
    if step.show and not shown:
        request = draw(step, request, context, POOL)
    (made,) = compose(step, request, context, style).calls
    assert isinstance(made, Chat | Completion)
    return made


def words_of(call: Completion | Chat) -> str:
    return call.prompt if isinstance(call, Completion) else "\n\n".join(message.content for message in call.messages)


def questions(style: Style, **options: Any) -> list[str]:
    """All four prompts of Self-Instruct and the one of Alpaca."""
    own, other = made(**options), made("alpaca", **{key: options[key] for key in options.keys() & {"topic"}})
    calls = [call(INSTRUCT, own, style), call(CLASSIFY, own, style, KIND), call(INSTANCE, own, style, SORT)]
    calls += [call(INSTANCE, own, style, LABEL), call(GENERATE, other, style)]
    return [words_of(call) for call in calls]


def verdict(
    text: str, item: Item | None = None, *, step: Step = INSTRUCT, style: Style = "chat", stop: Stop = Stop.END, **options: Any
) -> Verdict:
    """What becomes of an answer."""
    if item is not None:
        step = INSTANCE if "is_classification" in item else CLASSIFY
    shown = THREE if step is GENERATE else EIGHT if step is INSTRUCT else ()
    context = made("alpaca" if step is GENERATE else "self_instruct", **options)
    request = Request(step=step.name, index=0, item=item or {}, shown=shown, style=style)
    index = Index(context.tokens)
    index.add("seed/0", "用一句话概括下面的新闻。")
    index.add("seed/1", ENGLISH)
    return judge(step, request, context, read(step, request, context, (Reply(text=text, stop=stop, usage=Usage()),)), index)


def instructions(verdict: Verdict) -> list[str]:
    return [item["instruction"] for _, item in verdict.kept]


def pairs(verdict: Verdict) -> list[tuple[str, str]]:
    return [(item["input"], item["output"]) for _, item in verdict.kept]


def reasons(verdict: Verdict) -> dict[int, str]:
    return {n: reason for n, _, reason in verdict.dropped}


# prompts


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("options", [{}, {"topic": "茶园里的活儿"}, {"classification_only": True}])
def test_prompts_are_chinese_and_whole(style: Style, options: dict[str, Any]) -> None:
    """Nothing of the English templates and no mark of the Chinese ones is left in a prompt."""
    for text in questions(style, **options):
        assert not re.search(r"^---$|\{\w+\}", text, re.MULTILINE)
        assert not re.search("Task|Example|Output|Class label|Instruction", text)
        assert ("茶园里的活儿" in text) == ("topic" in options and "是分类任务吗" not in text)


def test_seeds_are_the_chinese_ones() -> None:
    """A plan in Chinese shows tasks from the Chinese seed file."""
    for recipe in ("self_instruct", "alpaca"):
        seeds = made(recipe).seeds
        assert len(seeds) == 175
        assert all(has_cjk(seed["instruction"]) for seed in seeds)


@pytest.mark.parametrize("style", STYLES)
def test_a_pool_of_two_languages_is_shown_as_it_is(style: Style) -> None:
    """Accepted tasks stand in the list whatever their language, each on a line of its own without a colon at its end."""
    text = words_of(call(INSTRUCT, made(human=0, machine=2), style))
    tasks = re.findall(r"(?m)^\d\. (.+)$", text)
    assert sorted(tasks[:2]) == sorted([ENGLISH, "给下面的信 拟一个回复"])


def test_completions_break_off_where_the_answer_begins() -> None:
    """A list after its next number, a question after its mark, a task after its line, a block after its first label."""
    propose, classify, answer, label, blocks = questions("completion")
    assert propose.endswith("\n9.")
    assert classify.endswith("\n\n任务：判断短信是不是诈骗。\n是分类任务吗？")
    assert answer.endswith("\n\n任务：将下面的数字从小到大排列。\n")
    assert label.endswith("\n\n任务：判断短信是不是诈骗。\n")
    assert blocks.endswith("###\n4. 指令：")


def test_demonstrations_are_as_many_as_in_english() -> None:
    """31 tasks in the classifying prompt, 12 of them classification; 11 and 12 tasks in the answering ones."""
    _, classify, answer, label, _ = questions("completion")
    assert (classify.count("是分类任务吗？是\n"), classify.count("是分类任务吗？否\n")) == (12, 19)
    assert (answer.count("\n任务：") - 1, label.count("\n任务：") - 1) == (11, 12)


def test_our_own_demonstrations_can_be_read() -> None:
    """What the templates show as a right answer is read as one: of every task in them at least one instance."""
    templates = made().templates
    for name, item in (("input_first", SORT), ("output_first", LABEL)):
        for task in templates[f"{name}.demos"].split("任务：")[1:]:
            answer = task.partition("\n")[2]
            found = pairs(verdict(answer, item, style="completion"))
            assert found
            assert len(found) == max(1, answer.count("示例"), answer.count("类别标签："))


def test_answers_end_before_what_was_not_asked() -> None:
    """The stops of a completion are the words of the Chinese templates."""
    assert call(CLASSIFY, made(), "completion", KIND).decoding.stop == ("\n", "任务")
    assert call(INSTANCE, made(), "completion", SORT).decoding.stop == ("示例6", "任务：", "任务:")
    assert call(INSTANCE, made(max_instances=2), "completion", LABEL).decoding.stop == ("示例3", "任务：", "任务:")


def test_a_block_is_shown_with_chinese_labels() -> None:
    """Alpaca's examples: three numbered fields each, and words for an empty input."""
    assert words_of(call(GENERATE, made("alpaca"), "completion", shown=THREE)).endswith(
        "###\n1. 指令：把两个数 相加\n1. 输入：\n1和2\n1. 输出：\n3\n"
        "###\n2. 指令：说出一条河。\n2. 输入：\n<无输入>\n2. 输出：\n黄河。\n淮河。\n"
        "###\n3. 指令：打个招呼。\n3. 输入：\n小林\n3. 输出：\n小林，你好！\n"
        "###\n4. 指令："
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_parity_is_english(recipe: Recipe) -> None:
    """What was published is in English only; the error says what to leave out."""
    with pytest.raises(PlanError, match=r"\[options\]: parity = true .* English only; with language = 'zh' leave parity out"):
        made(recipe.name, parity=True)


# instructions

TWO = ["解释“守株待兔”的意思。", "给新开的书店起三个名字"]


@pytest.mark.parametrize(
    "text",
    [
        "9. 解释“守株待兔”的意思。\n10. 给新开的书店起三个名字",
        "9、解释“守株待兔”的意思。\n10、给新开的书店起三个名字",
        "９．解释“守株待兔”的意思。\n１０．给新开的书店起三个名字",
        "9.解释“守株待兔”的意思。\n\n10.给新开的书店起三个名字\n",
        "（9）解释“守株待兔”的意思。\n（10）给新开的书店起三个名字",
        "好的，以下是新任务：\n\n9. **解释“守株待兔”的意思。**\n10. 给**新开的书店**起三个名字\n\n希望这些任务符合要求！",
        "任务9：解释“守株待兔”的意思。\n任务10：给新开的书店起三个名字",
        "### 9. 解释“守株待兔”的意思。\n### 10. 给新开的书店起三个名字",
        "\u30009）解释“守株待兔”的意思。\n\u300010）给新开的\n书店起三个名字",
    ],
    ids=["plain", "顿号", "full width", "no blank", "brackets", "a talking chat", "with a word", "headings", "indented"],
)
def test_however_a_list_is_numbered_its_tasks_are_read(text: str) -> None:
    """Full-width digits and signs, missing blanks, Markdown and kind words around it change nothing."""
    assert [text.replace(" ", "") for text in instructions(verdict(text))] == TWO


def test_a_completion_goes_on_inside_its_list() -> None:
    """The first task follows the number that ended the prompt; decimals and times in a task are no numbers of the list."""
    text = "解释“守株待兔”的意思。\n10.5元能买几个1.5元的包子？\n10、下午\n11:30开会，写个通知。"
    found = instructions(verdict(text, style="completion"))
    assert found == ["解释“守株待兔”的意思。 10.5元能买几个1.5元的包子？", "下午 11:30开会，写个通知。"]


@pytest.mark.parametrize("stop", [Stop.LENGTH, Stop.CUT, Stop.BROKEN])
def test_a_cut_reply_loses_its_last_task(stop: Stop) -> None:
    """Whole tasks stay."""
    result = verdict(f"9、{TWO[0]}\n10、给新开的", stop=stop)
    assert (instructions(result), reasons(result)) == ([TWO[0]], {1: "cut"})


def test_filters_know_chinese() -> None:
    """Lengths are characters; what cannot be seen, a program, and a sign in front are out."""
    text = (
        "9. 写首诗\n10. 描述这张图片里的人。\n11. 请编写一个程序计算阶乘。\n12. ，接着往下写故事。\n13. 《红楼梦》里谁最会管家？"
    )
    result = verdict(text)
    assert instructions(result) == ["《红楼梦》里谁最会管家？"]
    assert reasons(result) == {0: "too_short", 1: "keyword", 2: "program", 3: "first_character"}


def test_tasks_in_english_are_judged_as_english() -> None:
    """In a Chinese run a task without any Chinese is measured in words and has English keywords; both languages are compared."""
    text = (
        "9. Explain to a child why the Yangtze is brown.\n10. Say hello.\n11. Draw a picture of a panda.\n"
        "12. Name the longest river of Asia.\n13. Write a program that sorts.\n14. 用一句话概括这则新闻。\n"
        "15. 用 map 函数怎样求平方？"
    )
    result = verdict(text)
    assert instructions(result) == ["Explain to a child why the Yangtze is brown.", "用 map 函数怎样求平方？"]
    near = [("Name the longest river of Asia.", ENGLISH), ("用一句话概括这则新闻。", "用一句话概括下面的新闻。")]
    scores = [rouge_l(words(earlier), words(text)) for text, earlier in near]
    assert reasons(result) == {
        1: "too_short",
        2: "keyword",
        3: f"duplicate of seed/1 ({scores[0]!r})",
        4: "program",
        5: f"duplicate of seed/0 ({scores[1]!r})",
    }


# classification


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("text", "kind"), [("是", True), ("是的，这是分类任务。", True), ("Yes", True), ("否", False), ("不是。", False)]
)
def test_the_kind_is_read(style: Style, text: str, kind: bool) -> None:
    """One character is enough, more do no harm, and English is understood."""
    assert verdict(text, KIND, style=style).kept == ((0, {"is_classification": kind}),)


def test_an_unclear_kind_is_asked_again() -> None:
    """Neither of the two."""
    with pytest.raises(Malformed, match="unclear"):
        verdict("这要看情况。", KIND)


# instances

EXAMPLES = [("数字：２，1", "1，2"), ("数字：9，3", "3，9")]


@pytest.mark.parametrize(
    "text",
    [
        "示例1\n数字：２，1\n输出：1，2\n示例2\n数字：9，3\n输出：3，9",
        "示例 １：\n数字：２，1\n输出:1，2\n\n示例 ２：\n数字：9，3\n输出:3，9",
        "**示例1**\n**数字：**２，1\n**输出：**1，2\n**示例2**\n**数字**：9，3\n**输出**：3，9",
        "### 示例1\n数字：２，1\n### 输出\n1，2\n### 示例2\n数字：9，3\n### 输出\n3，9",
        "【示例1】\n数字：２，1\n【输出】1，2\n【示例2】\n数字：9，3\n【输出】3，9",
        "Example 1\n数字：２，1\nOutput: 1，2\nExample 2\n数字：9，3\nOutput: 3，9",
        "示例一\n输入：数字：２，1\n输出：1，2\n示例二\n输入：数字：9，3\n输出：3，9",
        "示例1\n数字：２，1 输出：1，2\n示例2\n数字：9，3 输出：3，9",
    ],
    ids=["as asked", "full width", "bold", "headings", "brackets", "English labels", "numerals in words", "one line"],
)
def test_however_labels_are_written_instances_are_read(text: str) -> None:
    """Colons and digits of any width, Markdown, brackets and English labels: input and output are the same, and as they were."""
    assert pairs(verdict(text, SORT)) == EXAMPLES


def test_words_that_are_no_labels_stay() -> None:
    """An example or an output that a text speaks of is part of it."""
    text = "示例1\n程序：示例一共有三个，程序的输出：5\n输出：先看示例1。\n再看例2：答案是5。"
    assert pairs(verdict(text, SORT)) == [("程序：示例一共有三个，程序的输出：5", "先看示例1。\n再看例2：答案是5。")]


def test_a_task_without_input_has_an_output_only() -> None:
    """Alone, or with a word that there is no input."""
    assert pairs(verdict("输出：1，2", SORT)) == [("", "1，2")]
    assert pairs(verdict("示例1\n输入：无\n输出：1，2", SORT)) == [("", "1，2")]
    assert pairs(verdict("示例1\n输入：（无需输入）\n输出：1，2", SORT)) == [("", "1，2")]


def test_the_last_instance_of_a_cut_reply_goes() -> None:
    """What was written before it is whole."""
    result = verdict("示例1\n数字：2，1\n输出：1，2\n示例2\n数字：9，3\n输出：3", SORT, stop=Stop.LENGTH)
    assert (pairs(result), reasons(result)) == ([("数字：2，1", "1，2")], {1: "cut"})


def test_useless_instances_go_with_their_reason() -> None:
    """Refusals, blanks to fill in, echoes, texts that break off at a full-width colon."""
    outputs = [
        "很抱歉，我无法完成这个请求。",
        "此致敬礼\nXX公司",
        "把下面的数字从小到大排列",
        "作为一个AI语言模型，我认为是1",
        "答案如下：",
    ]
    text = "\n".join(f"示例{n}\n数字：{n}\n输出：{output}" for n, output in enumerate(outputs, 1))
    result = verdict(text, {**SORT, "instruction": "把下面的数字从小到大排列。"})
    assert reasons(result) == {0: "refusal", 1: "placeholder", 2: "echo", 3: "as_an_ai", 4: "ends_with_colon"}


@pytest.mark.parametrize(
    "text",
    [
        "类别标签：诈骗\n短信：您中奖了！\n类别标签：正常\n短信：我到楼下了。",
        "类别标签:诈骗\n短信：您中奖了！\n\n类别标签:正常\n短信：我到楼下了。",
        "**类别标签：** 诈骗\n**短信：**您中奖了！\n**类别标签**：正常\n**短信**：我到楼下了。",
        "示例1\n类别标签：诈骗\n短信：您中奖了！\n示例2\n类别标签：正常\n短信：我到楼下了。",
        "1. 类别：诈骗\n短信：您中奖了！\n2. 类别：正常\n短信：我到楼下了。",
        "【类别标签】诈骗\n短信：您中奖了！\n【类别标签】正常\n短信：我到楼下了。",
        "Class label: 诈骗\n短信：您中奖了！\nClass label: 正常\n短信：我到楼下了。",
    ],
    ids=["as asked", "colons", "bold", "examples", "a shorter word", "brackets", "English"],
)
def test_however_class_labels_are_written_instances_are_read(text: str) -> None:
    """The line of the label is the output, what is under it the input."""
    assert pairs(verdict(text, LABEL)) == [("短信：您中奖了！", "诈骗"), ("短信：我到楼下了。", "正常")]


def test_a_field_called_category_is_no_label_where_labels_are_marked() -> None:
    """The vaguer word counts only where the right one is missing."""
    text = "类别标签：诈骗\n短信：您中奖了！\n类别：抽奖"
    assert pairs(verdict(text, LABEL)) == [("短信：您中奖了！\n类别：抽奖", "诈骗")]


# Alpaca

SECOND = "\n5. 指令：比较豆浆和牛奶。\n5. 输入：\n<无输入>\n5. 输出：\n一个是植物做的。\n"
ANSWER = f"用一个词形容北方的冬天。\n4. 输入：\n哈尔滨\n4. 输出：\n凛冽\n\n###{SECOND}"
TASKS = [
    {"instruction": "用一个词形容北方的冬天。", "input": "哈尔滨", "output": "凛冽"},
    {"instruction": "比较豆浆和牛奶。", "input": "", "output": "一个是植物做的。"},
]


def test_a_completion_goes_on_after_the_first_chinese_label() -> None:
    """The reply begins inside the fourth task."""
    assert verdict(ANSWER, step=GENERATE, style="completion").kept == tuple(enumerate(TASKS))


@pytest.mark.parametrize(
    "text",
    [
        f"###\n4. 指令：{ANSWER}",
        f"###\n４．指令：{ANSWER}",
        f"###\n**4. 指令：**{ANSWER}",
        f"###\n【指令】{ANSWER}".replace("4. 输入：", "【输入】").replace("4. 输出：", "【输出】"),
        f"###\n4、任务:{ANSWER}".replace("：", ":"),
        f"###\n4. Instruction: {ANSWER}".replace("输入：", "Input:")
        .replace("输出：", "Output:")
        .replace("<无输入>", "<noinput>"),
    ],
    ids=["as asked", "full width", "bold", "brackets", "half width", "English"],
)
def test_a_chat_writes_whole_chinese_blocks(text: str) -> None:
    """Labels in any width, Markdown or language are understood."""
    result = verdict(text, step=GENERATE)
    assert [item for _, item in result.kept] == TASKS


def test_a_cut_block_is_lost_alone() -> None:
    """What was written before it is whole."""
    result = verdict(f"###\n4. 指令：{ANSWER}", step=GENERATE, stop=Stop.LENGTH)
    assert ([item for _, item in result.kept], [reason for *_, reason in result.dropped][-1]) == (TASKS[:1], "cut")


def test_alpacas_filters_know_chinese() -> None:
    """Sound, a refusal and a near copy in the same reply."""
    text = f"###\n4. 指令：{ANSWER}###\n6. 指令：比较豆浆与牛奶。\n6. 输入：\n\n6. 输出：\n差不多\n"
    text = text.replace("用一个词形容北方的冬天", "听这段音频")
    result = verdict(text.replace("一个是植物做的。", "对不起，我不能提供建议。"), step=GENERATE)
    assert reasons(result) == {0: "keyword", 1: "refusal"}
    assert instructions(result) == ["比较豆浆与牛奶。"]
