"""Round trip: each check by itself, on and off; then all of them against errors that were planted in clean round trips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import orjson
import pytest

from engine import seedfile
from engine.core.identification import Guess
from engine.core.roundtrip import CHECKS, Gate, Trip, chrf_min, fault, measure
from engine.core.score import chrf, rouge_l
from engine.core.text import words
from engine.identify import identify
from tests.planted import plant, planters
from tests.triples import Triple, load, real

EN = Trip(
    source="The lamp needs 12 watts. Its light is warm and easy on the eyes, and the price is fair.",
    pivot="这盏灯功率是12瓦。它的光很温暖，对眼睛很好，价格也公道。",
    back="This lamp takes 12 watts. The light is warm and gentle on the eyes, and it has a fair price.",
    language="en",
    pivot_language="zh",
)
ZH = Trip(
    source="图书馆周一休息，其他时间从早上九点开到晚上八点。看书的时候请不要大声说话。",
    pivot="The library is closed on Mondays; on other days it is open from nine to eight. Please do not talk loudly.",
    back="图书馆周一闭馆，其余日子的开放时间是早上九点到晚上八点。阅读时请勿大声交谈。",
    language="zh",
    pivot_language="en",
)


def judged(trip: Trip, **options: Any) -> str | None:
    return fault(trip, measure(trip), Gate(**options), identify)


def reason(trip: Trip, **options: Any) -> str | None:
    """The name of the fault."""
    told = judged(trip, **options)
    return told.split(" ")[0] if told else None


# The checks, one by one

LOST = "You get the manual at https://lamp.example.org/manual or by writing to {name} at help@example.org; run `lamp --on`."
BOATS = "Somebody sold 12 boats near the coast, before rain came and everything was put off."
DOG = "小狗在公园里跑来跑去，追着一只蝴蝶，累了就在树下睡觉，醒来已经天黑了。"
MORE = "请大家不要忘记：馆内还有许多别的规定，门口的牌子上写得很清楚，进门以前请先看一看再进来。"
WARM = "这盏灯功率是12瓦。它的光很温暖，看着很舒服，对眼睛很好，{}。"
OPEN = "The library is closed on Mondays; on other days it is open from nine in the morning until eight. "
GERMAN = "Die Bibliothek ist montags geschlossen. An anderen Tagen ist sie offen."
SPANISH = "La lámpara consume 12 vatios. Su luz es cálida y agradable."
SPANISH_LAMP = "La lámpara necesita 12 vatios. La luz es cálida y agradable para los ojos, y tiene un precio justo."
OLD = "圖書館週一閉館，其餘日子的開放時間是早上九點到晚上八點。閱讀時請勿大聲交談。"
OLD_LAMP = "這盞燈功率是12瓦。它的光很溫暖，對眼睛很好，價格也公道。"
CUT = "This lamp takes 12 watts. The light is warm and gentle on the eyes, and it"

FAULTS: list[tuple[str, Trip, dict[str, Any]]] = [
    ("too_far", replace(EN, back=BOATS), {"chrf_min": 0}),
    ("too_far", replace(ZH, back=DOG), {"chrf_min": 0}),
    ("too_near", replace(EN, back=EN.source), {"rouge_max": 1}),
    ("too_near", replace(EN, back=EN.source.replace(",", " -").replace("The", "the")), {"rouge_max": 1}),
    ("too_near", replace(ZH, back=ZH.source), {"rouge_max": 1}),
    ("too_little", replace(EN, back="12 watts, warm, easy light."), {"ratio_min": 0, "chrf_min": 0}),
    ("too_much", replace(ZH, back=ZH.back + MORE), {"ratio_max": 9}),
    ("untranslated", replace(EN, pivot=WARM.format("Warm Light，Easy Eyes")), {"untranslated_max": 1}),
    ("copied", replace(EN, pivot=WARM.format("on the eyes")), {"copied_max": 9}),
    ("copied", replace(ZH, pivot=OPEN + "看书的时候请不要大声说话。"), {"copied_max": 99}),
    (
        "left",
        replace(EN, back="This lamp takes 12 watts. The light is warm and gentle, 对眼睛很好，价格也公道。"),
        {"copied_max": 99},
    ),
    ("left", replace(ZH, back=ZH.back[:-11] + "Please do not talk loudly."), {"copied_max": 9}),
    ("pivot_language", replace(ZH, pivot=GERMAN), {"language_max": 1}),
    ("language", replace(EN, back=SPANISH), {"language_max": 1, "chrf_min": 0}),
    ("script", replace(ZH, back=OLD), {"script_max": 1, "chrf_min": 0}),
    ("script", replace(ZH, back=ZH.back[:-11] + OLD[-11:]), {"script_max": 1}),
    ("script", replace(EN, pivot=OLD_LAMP), {"script_max": 1}),
    ("loop", replace(EN, back=EN.back[:26] + "It is warm and gentle now. " * 5), {"repeats_max": 99, "chrf_min": 0}),
    ("loop", replace(ZH, pivot=ZH.pivot + " Please do not talk so loudly." * 5), {"repeats_max": 99}),
    ("marked", replace(EN, pivot=SPANISH_LAMP, pivot_language="es", back=EN.back.replace("price", "#price")), {"marked_max": 9}),
    ("marked", replace(EN, pivot=SPANISH_LAMP.replace("ojos", "*eyes"), pivot_language="es"), {"marked_max": 1}),
    ("marked", replace(ZH, back=ZH.back.replace("图书馆", " @library ")), {"marked_max": 1}),
    ("unfinished", replace(EN, back=CUT), {"unfinished": False}),
    ("unfinished", replace(EN, pivot=EN.pivot[:-3]), {"unfinished": False}),
    ("numbers", replace(EN, back=EN.back.replace("12", "21")), {"numbers": False}),
    ("numbers", replace(EN, back=EN.back.replace("12", "some")), {"numbers": False}),
]


@pytest.mark.parametrize(("name", "trip", "off"), FAULTS, ids=[f"{n}-{name}" for n, (name, _, _) in enumerate(FAULTS)])
def test_a_fault_has_its_check_and_the_check_its_option(name: str, trip: Trip, off: dict[str, Any]) -> None:
    """Each fault is told by its name, and by no other check once its own is turned off."""
    assert reason(trip) == name
    assert judged(trip, **off) is None


@pytest.mark.parametrize(
    ("kind", "mark", "other"),
    [
        ("links", "https://lamp.example.org/manual", "https://lamp.example.org"),
        ("addresses", "help@example.org", "our office"),
        ("code", "`lamp --on`", "`lamp --an`"),
        ("placeholders", "{name}", "{nom}"),
    ],
)
def test_what_must_stay_as_it_was(kind: str, mark: str, other: str) -> None:
    """A link, address, code span or placeholder that is lost, changed or new is a fault; an option turns it off."""
    trip = replace(EN, source=f"{EN.source} {LOST}", back=f"{EN.back} {LOST.replace('You get', 'Find')}")
    assert judged(trip) is None
    lost = replace(trip, back=trip.back.replace(mark, other))
    made = replace(trip, source=trip.source.replace(mark, "it"))
    assert judged(lost) == f"{kind} (lost {mark})"
    assert judged(made) == f"{kind} (new {mark})"
    assert judged(lost, **{kind: False}) is None


def test_clean_trips_pass() -> None:
    """A text that came back in other words is kept, in both directions."""
    assert judged(EN) is None
    assert judged(ZH) is None


@pytest.mark.parametrize("field", ["pivot", "back"])
def test_nothing_is_no_translation(field: str) -> None:
    """An empty pivot or result is told as such."""
    assert judged(replace(EN, **{field: " \n"})) == "empty"


def test_reasons_carry_their_scores() -> None:
    """A reason has its name first, then what was measured."""
    far = replace(EN, back=BOATS)
    assert judged(far) == f"too_far ({round(chrf(far.back, far.source), 3)})"
    assert judged(replace(EN, back=EN.source)) == "too_near (1.0)"
    near = replace(EN, back=EN.source.replace("fair", "good"))
    assert judged(near, rouge_max=0.9) == f"too_near ({round(rouge_l(words(near.source), words(near.back)), 3)})"
    assert judged(replace(EN, back=EN.back.replace("12", "21"))) == "numbers (lost 12)"
    assert judged(replace(EN, back=EN.back + " It costs 7.")) == "numbers (new 7)"
    assert judged(replace(EN, back="Was ist das?"), chrf_min=0).startswith("language (de ")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("option", "score", "trip"),
    [
        ("chrf_min", measure(EN).chrf, EN),
        ("rouge_max", measure(EN).rouge_l, EN),
        ("ratio_min", measure(ZH).ratio, ZH),
        ("ratio_max", measure(EN).ratio, EN),
    ],
)
def test_limits_themselves_are_kept(option: str, score: float, trip: Trip) -> None:
    """What measures exactly the limit passes; the least bit beyond does not."""
    step = 1e-9 if option.endswith("min") else -1e-9
    assert judged(trip, **{option: score}) is None
    assert judged(trip, **{option: score + step}) is not None


def test_default_of_too_far_depends_on_the_script() -> None:
    """Where characters are words, n-grams meet less often."""
    assert [chrf_min(language) for language in ("en", "es", "zh", "ja")] == [0.35, 0.35, 0.15, 0.15]


def test_names_and_quotations_may_stay() -> None:
    """Capitalised words and short quotations stay in a translation, and what the source quotes stays in what comes back."""
    names = replace(EN, source=f"{EN.source} Ask Anna Maria Vale or Paul.", pivot=f"{EN.pivot}问 Anna Maria Vale 或 Paul。")
    assert measure(names).copied == 0
    quoted = replace(EN, source=f'{EN.source} It says "do not touch it".', pivot=f"{EN.pivot}上面写着“do not touch it”。")
    assert measure(quoted).copied == 0
    title = replace(
        EN, source=f"{EN.source} 红楼梦第一回甄士隐", back=f"{EN.back} 红楼梦第一回甄士隐", pivot=f"{EN.pivot}红楼梦第一回甄士隐"
    )
    assert measure(title).left == 0
    assert measure(replace(title, source=EN.source)).left == 9


@pytest.mark.parametrize(
    "text", ["Use C#, not *this*.", "Is it #3 of 5 * 6?", "* First\n* second", "Write to a@b.org: #!/bin/sh `*p`"]
)
def test_signs_of_other_kinds_are_no_marks(text: str) -> None:
    """Emphasis, lists, numbers, addresses, code, and languages that are called so."""
    assert measure(replace(EN, back=f"{EN.back} {text}")).marked == 0


def test_marks_of_the_source_may_stay() -> None:
    """A hashtag and a mention are no unknown words, unless there are more of them than before."""
    tagged = replace(EN, source=f"{EN.source} #home @anna", pivot=f"{EN.pivot} #家 @anna", back=f"{EN.back} #house @anna")
    assert measure(tagged).marked == 0
    assert measure(replace(tagged, back=f"{EN.back} #house #at @anna")).marked == 1


MET = Trip(
    source="Anna Maria Vale met Paul O’Neil in Bristol.",
    pivot="Anna Maria Vale在Bristol见到了Paul O’Neil。",
    back="Anna Maria Vale ran into Paul O’Neil in Bristol.",
    language="en",
    pivot_language="zh",
)


def test_names_that_were_kept_are_not_untranslated() -> None:
    """In a short text they may be most of the letters, whatever language these look like; other words still count."""
    assert measure(MET).untranslated == 0
    assert judged(MET) is None
    left = replace(MET, pivot="Anna Maria Vale met Paul O’Neil in Bristol.")
    assert reason(left) in ("untranslated", "pivot_language")
    assert measure(left).untranslated == 1
    shouted = replace(MET, source="ANNA VALE MET PAUL IN BRISTOL.", pivot="ANNA VALE MET PAUL IN BRISTOL. 真的。")
    assert measure(shouted).untranslated > 0.8


def test_a_source_that_repeats_itself_may_come_back_so() -> None:
    """A refrain is no loop of the translator."""
    refrain = "Row the boat to the far shore. "
    trip = replace(EN, source=refrain * 6, pivot="把船划到对岸去。" * 6, back="Row the boat to the other shore. " * 6)
    assert measure(trip).repeats == 0
    assert measure(replace(trip, source=EN.source)).repeats == 6


def test_a_pivot_may_be_traditional_where_its_tag_says_so() -> None:
    """`zh-TW` is held against traditional characters, and a source in them against itself."""
    traditional = replace(EN, pivot="這盞燈功率是12瓦。它的光很溫暖，對眼睛很好，價格也公道。")
    for tag in ("zh-TW", "zh-Hant", "zh-HK"):
        assert judged(replace(traditional, pivot_language=tag)) is None
        assert reason(replace(EN, pivot_language=tag)) == "script"
    source = "圖書館週一休息，其他時間從早上九點開到晚上八點。看書的時候請不要大聲說話。"
    back = "圖書館週一閉館，其餘日子的開放時間是早上九點到晚上八點。閱讀時請勿大聲交談。"
    assert judged(replace(ZH, source=source, back=back, language="zh-TW")) is None
    assert reason(replace(ZH, source=source, language="zh-TW")) == "script"


def test_without_an_identifier_no_language_is_wrong() -> None:
    """All other checks go on."""
    odd = replace(EN, back=SPANISH)
    told = fault(odd, measure(odd), Gate(), lambda text: None)
    assert told is not None and told.startswith("too_far")


@pytest.mark.parametrize(("share", "told"), [(0.5, None), (0.51, "pivot_language (de 0.51)")])
def test_how_sure_an_identifier_must_be(share: float, told: str | None) -> None:
    """A guess counts above the limit, not at it; one in another script than the letters are does not count."""
    trip = replace(EN, pivot="Lamp text in words.", pivot_language="es")
    assert fault(trip, measure(EN), Gate(), lambda text: Guess("ja", share)) is None
    assert fault(trip, measure(EN), Gate(), lambda text: Guess("de", share)) == told


def test_scores_are_rounded_for_the_record() -> None:
    """Four digits are enough to look at; every measure is there."""
    rounded = measure(EN).rounded()
    assert rounded["chrf"] == round(measure(EN).chrf, 4)
    assert list(rounded) == ["chrf", "rouge_l", "ratio", "untranslated", "copied", "left", "repeats", "marked", "script"]


def test_every_option_has_a_check() -> None:
    """What stands in `Gate` is looked at: the options that the faults above turn off, and the four kinds of marks."""
    used = {option for _, _, off in FAULTS for option in off} | {"links", "addresses", "code", "placeholders"}
    assert used == set(Gate.__struct_fields__)
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


def test_limits_must_be_sensible() -> None:
    """A share is from 0 to 1."""
    for wrong in ({"chrf_min": 1.5}, {"rouge_max": -0.1}, {"copied_max": -1}, {"numbers": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Gate)


# Planted errors: thresholds were set on "tune", and are judged on "test"

ERRORS = [name for name in planters(()) if name != "lost_answer"]


def as_trip(triple: Triple) -> Trip:
    return Trip(triple.source, triple.pivot, triple.back, triple.language, triple.pivot_language)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", ERRORS)
def test_planted_errors_are_caught(name: str, language: str) -> None:
    """Of at least 30 errors of each class and language, 95% or more are dropped."""
    triples = load(language, "test")
    pairs = plant(planters(triples)[name], triples, Random(7), 40)
    caught = [judged(as_trip(bad)) for _, bad in pairs]
    assert len(pairs) >= 30
    assert sum(told is not None for told in caught) >= 0.95 * len(pairs)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_clean_round_trips_raise_no_alarm(language: str) -> None:
    """Of round trips made by hand, 5% or less are dropped."""
    told = [judged(as_trip(triple)) for triple in load(language, "test")]
    assert sum(reason is not None for reason in told) <= 0.05 * len(told)


@pytest.mark.parametrize("which", ["tune", "test"])
def test_real_round_trips_raise_no_alarm(which: str) -> None:
    """Of sentences that Apertium sent round, and somebody has read and found faithful, 5% or less are dropped; those of "test" no
    threshold was set on. When this was written, none of 45 was dropped there, and none of 41 in "tune"."""
    told = [judged(as_trip(triple)) for triple in real("apertium", "en", which)]
    assert len(told) >= 40
    assert sum(reason is not None for reason in told) <= 0.05 * len(told), [reason for reason in told if reason]


def test_real_round_trips_of_a_small_model_raise_no_alarm() -> None:
    """Of 45 that the embedded model made only seven were faithful, too few for a share of 5%: none is dropped."""
    triples = [one for language in ("en", "zh") for which in ("tune", "test") for one in real("gemma3-270m", language, which)]
    assert len(triples) == 7
    assert [judged(as_trip(triple)) for triple in triples] == [None] * 7


def test_real_paragraphs_raise_no_alarm() -> None:
    """Of 60 paragraphs that Apertium sent round, unedited, 5% or less are dropped. They were looked through for lost figures,
    names and sentences only: most have words in them that say something else."""
    path = Path(__file__).resolve().parent.parent / "data" / "apertium.en.jsonl"
    sources = {
        row["id"]: row["text"] for row in map(orjson.loads, (seedfile.folder() / "texts.en.jsonl").read_bytes().splitlines())
    }
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    told = [judged(Trip(sources[row["id"]], row["pivot"], row["back"], "en", "es")) for row in rows]
    assert len(told) == 60
    assert sum(reason is not None for reason in told) <= 0.05 * len(told), [reason for reason in told if reason]
