"""Prices: list prices of well-known models and translators, each with the day for which it is known. A plan's own prices win.

Pure. To correct a row, change its figures and its date. Discounts, free allowances, batch and priority rates, and what writing to
a cache costs extra, are not in it; a model whose answers have two prices, with thinking and without, has no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType
from typing import get_args

from engine.core.money import Currency, Prices, nano


class Source(StrEnum):
    """How a row is known."""

    COLLECTED = "collected"
    """From a public collection of list prices, which says that it looked at the vendor's page on that day."""
    RECALLED = "recalled"
    """As the vendor's list was generally known in that month; not read again for this table."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the table, which may be out of date: whoever shows it shows `as_of` with it."""

    vendor: str
    model: str
    """The vendor's name for it. Translators without models have a name of ours."""
    prices: Prices
    as_of: str
    """ISO day, or month where no day is known."""
    source: Source
    up_to: int | None = None
    """Prompt tokens up to which the row holds; the vendor asks more for longer prompts."""
    snapshots: bool = False
    """Dated names of the same model cost the same."""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The table does not know the name; `nearest` are names that look alike, for the message."""

    model: str
    nearest: tuple[str, ...]


_MODELS = """
# vendor   list model                    in      cached   out     up to   as of       source     remark
# A star: names with a date behind this one cost the same. In, cached and out are per million tokens; - is not known.
openai     usd  gpt-5.5                  5       0.5      30      272000  2026-04-24  collected  longer prompts are not known
openai     usd  gpt-5.4*                 2.5     0.25     15      272000  2026-03-06  collected
openai     usd  gpt-5.4-mini*            0.75    0.075    4.5     -       2026-03-18  collected
openai     usd  gpt-5.4-nano*            0.2     0.02     1.25    -       2026-03-18  collected
openai     usd  gpt-5.2*                 1.75    0.175    14      -       2025-12-11  collected
openai     usd  gpt-5.1*                 1.25    0.125    10      -       2025-11-13  collected
openai     usd  gpt-5*                   1.25    0.125    10      -       2025-11-13  collected
openai     usd  gpt-5-mini*              0.25    0.025    2       -       2025-11-13  collected
openai     usd  gpt-5-nano*              0.05    0.005    0.4     -       2025-11-13  collected
openai     usd  gpt-5-pro*               15      -        120     -       2025-11-13  collected
openai     usd  gpt-4.1*                 2       0.5      8       -       2025-07-04  collected
openai     usd  gpt-4.1-mini*            0.4     0.1      1.6     -       2025-07-04  collected
openai     usd  gpt-4.1-nano*            0.1     0.025    0.4     -       2025-07-04  collected
openai     usd  gpt-4o*                  2.5     1.25     10      -       2025-07-04  collected
openai     usd  gpt-4o-2024-05-13        5       -        15      -       2025-07     recalled   dearer than its successors
openai     usd  gpt-4o-mini*             0.15    0.075    0.6     -       2025-07-04  collected
openai     usd  o1*                      15      7.5      60      -       2025-07-04  collected
openai     usd  o3*                      2       0.5      8       -       2025-07-12  collected
openai     usd  o3-mini*                 1.1     0.55     4.4     -       2025-07-04  collected
openai     usd  o4-mini*                 1.1     0.275    4.4     -       2025-07-04  collected
openai     usd  gpt-4-turbo*             10      -        30      -       2025-07-04  collected
openai     usd  gpt-4                    30      -        60      -       2025-07-04  collected
openai     usd  gpt-4-0613               30      -        60      -       2025-07-04  collected
openai     usd  gpt-3.5-turbo            0.5     -        1.5     -       2025-07-04  collected
openai     usd  gpt-3.5-turbo-0125       0.5     -        1.5     -       2025-07     recalled
openai     usd  gpt-3.5-turbo-1106       1       -        2       -       2025-11-07  collected
openai     usd  gpt-3.5-turbo-instruct   1.5     -        2       -       2025-07-04  collected
openai     usd  davinci-002              2       -        2       -       2025-07     recalled
openai     usd  babbage-002              0.4     -        0.4     -       2025-07     recalled
anthropic  usd  claude-fable-5*          10      1        50      -       2026-07-29  collected
anthropic  usd  claude-opus-5*           5       0.5      25      -       2026-07-29  collected
anthropic  usd  claude-opus-4-8*         5       0.5      25      -       2026-07-29  collected
anthropic  usd  claude-opus-4-7*         5       0.5      25      -       2026-07-29  collected
anthropic  usd  claude-opus-4-6*         5       0.5      25      -       2026-07-29  collected
anthropic  usd  claude-opus-4-5*         5       0.5      25      -       2026-07-29  collected
anthropic  usd  claude-opus-4-1*         15      1.5      75      -       2026-07-29  collected
anthropic  usd  claude-opus-4*           15      1.5      75      -       2026-07-29  collected
anthropic  usd  claude-sonnet-5*         3       0.3      15      -       2026-07-29  collected  announced then for 2026-09-01
anthropic  usd  claude-sonnet-4-6*       3       0.3      15      -       2026-07-29  collected
anthropic  usd  claude-sonnet-4-5*       3       0.3      15      200000  2026-07-29  collected
anthropic  usd  claude-sonnet-4*         3       0.3      15      200000  2026-07-29  collected
anthropic  usd  claude-3-7-sonnet*       3       0.3      15      -       2026-07-29  collected
anthropic  usd  claude-3-5-sonnet*       3       0.3      15      -       2026-07-29  collected
anthropic  usd  claude-3-opus*           15      1.5      75      -       2026-07-29  collected
anthropic  usd  claude-haiku-4-5*        1       0.1      5       -       2026-07-29  collected
anthropic  usd  claude-3-5-haiku*        0.8     0.08     4       -       2026-07-29  collected
anthropic  usd  claude-3-haiku*          0.25    0.03     1.25    -       2026-07-29  collected
google     usd  gemini-3.5-flash         1.5     0.15     9       -       2026-05-19  collected  text prompts
google     usd  gemini-3.5-flash-lite    0.3     0.03     2.5     -       2026-07-22  collected  text prompts
google     usd  gemini-3.1-pro-preview   2       0.2      12      200000  2026-02-23  collected  text prompts
google     usd  gemini-3.1-flash-lite    0.25    0.025    1.5     -       2026-05-12  collected  text prompts
google     usd  gemini-3-pro-preview     2       0.2      12      200000  2025-11-18  collected  text prompts
google     usd  gemini-3-flash-preview   0.5     0.05     3       -       2025-12-19  collected  text prompts
google     usd  gemini-2.5-pro           1.25    0.125    10      200000  2025-10-31  collected  text prompts
google     usd  gemini-2.5-flash         0.3     0.03     2.5     -       2025-10-31  collected  text prompts
google     usd  gemini-2.5-flash-lite    0.1     0.01     0.4     -       2025-10-31  collected  text prompts
google     usd  gemini-2.0-flash         0.1     0.025    0.4     -       2025-07-04  collected  text prompts
google     usd  gemini-2.0-flash-lite    0.075   -        0.3     -       2025-07-04  collected  text prompts
deepseek   usd  deepseek-v4-pro          0.435   0.003625 0.87    -       2026-06-02  collected
deepseek   usd  deepseek-v4-flash        0.14    0.0028   0.28    -       2026-05-12  collected
deepseek   usd  deepseek-chat            0.28    0.028    0.42    -       2026-04-13  collected
deepseek   usd  deepseek-reasoner        0.28    0.028    0.42    -       2026-04-13  collected
deepseek   cny  deepseek-chat            2       0.2      3       -       2025-10     recalled
deepseek   cny  deepseek-reasoner        2       0.2      3       -       2025-10     recalled
qwen       cny  qwen-max                 2.4     -        9.6     -       2025-06     recalled
qwen       cny  qwen-long                0.5     -        2       -       2025-06     recalled
zhipu      cny  glm-4-plus               5       2.5      5       -       2026-05-23  collected
zhipu      cny  glm-4-air                0.5     0.25     0.5     -       2026-05-23  collected
zhipu      cny  glm-4-airx               10      -        10      -       2026-05-23  collected
zhipu      cny  glm-4-long               1       0.5      1       -       2026-05-23  collected
zhipu      cny  glm-4-flashx-250414      0.1     0.05     0.1     -       2026-05-23  collected
zhipu      usd  glm-5.3                  1.4     0.26     4.4     -       2026-08-19  collected
zhipu      usd  glm-5.2                  1.4     0.26     4.4     -       2026-08-04  collected
zhipu      usd  glm-4.6                  0.6     0.11     2.2     -       2025-10     recalled
zhipu      usd  glm-4.5                  0.6     0.11     2.2     -       2025-10     recalled
zhipu      usd  glm-4.5-air              0.2     0.03     1.1     -       2025-10     recalled
moonshot   usd  kimi-k3                  3       0.3      15      -       2026-07-16  collected
moonshot   usd  kimi-k2.6                0.95    0.16     4       -       2026-05-22  collected
moonshot   usd  kimi-k2.5                0.6     0.1      3       -       2026-03-11  collected
moonshot   usd  kimi-k2-thinking         0.6     0.15     2.5     -       2026-03-11  collected
moonshot   usd  kimi-k2-0905-preview     0.6     0.15     2.5     -       2026-03-11  collected
moonshot   usd  kimi-k2-0711-preview     0.6     0.15     2.5     -       2026-03-11  collected
moonshot   usd  moonshot-v1-8k           0.2     -        2       -       2026-03-11  collected
moonshot   usd  moonshot-v1-32k          1       -        3       -       2026-03-11  collected
moonshot   usd  moonshot-v1-128k         2       -        5       -       2026-03-11  collected
moonshot   cny  kimi-k2-0905-preview     4       1        16      -       2025-10     recalled
moonshot   cny  moonshot-v1-8k           2       -        10      -       2025-06     recalled
moonshot   cny  moonshot-v1-32k          5       -        20      -       2025-06     recalled
moonshot   cny  moonshot-v1-128k         10      -        30      -       2025-06     recalled
mistral    usd  mistral-large-2512       0.5     0.05     1.5     -       2026-06-09  collected
mistral    usd  mistral-large-2411       2       -        6       -       2025-07     recalled
mistral    usd  mistral-medium-2505      0.4     -        2       -       2025-08     recalled
mistral    usd  mistral-small-2603       0.15    0.015    0.6     -       2026-06-09  collected
mistral    usd  mistral-small-2506       0.1     -        0.3     -       2025-07     recalled
mistral    usd  mistral-small-2503       0.1     -        0.3     -       2025-07     recalled
mistral    usd  ministral-8b-2410        0.1     -        0.1     -       2025-07     recalled
mistral    usd  ministral-3b-2410        0.04    -        0.04    -       2025-07     recalled
mistral    usd  codestral-2508           0.3     0.03     0.9     -       2026-06-09  collected
mistral    usd  open-mistral-nemo        0.15    -        0.15    -       2025-07-04  collected
"""

_TRANSLATORS = """
# vendor   list name               per million characters  as of    source    remark
deepl      eur  deepl              20                      2025-06  recalled  API Pro, beside a monthly fee
deepl      usd  deepl              25                      2025-06  recalled  API Pro, beside a monthly fee
google     usd  google-translate   20                      2025-06  recalled  neural model; input characters
azure      usd  azure-translator   10                      2025-06  recalled  S1, standard models
amazon     usd  amazon-translate   15                      2025-06  recalled  standard translation
baidu      cny  baidu-fanyi        49                      2025-06  recalled  general text, beyond the monthly allowance
tencent    cny  tencent-tmt        58                      2025-06  recalled  text, beyond the monthly allowance
alibaba    cny  alibaba-mt         50                      2025-06  recalled  general edition
youdao     cny  youdao             48                      2025-06  recalled  text
"""

_DATE = re.compile(r"-\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])|-\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
"""Behind a model's name: -2024-07-18 or -20241022. Four digits are no date here: vendors reprice with such names."""


def find(model: str, currency: Currency) -> Listed | Unlisted:
    """The row of a model, by its exact name, else by its name without a date behind it; never by likeness.

    Vendors with two platforms have a list for each: `currency` chooses, and where there is only one list, that one is given.
    """
    if (exact := _of(model, currency)) is not None:
        return exact
    for cut in (len("-2024-07-18"), len("-20241022")):
        if _DATE.fullmatch(model[-cut:]) and (row := _of(model[:-cut], currency)) is not None and row.snapshots:
            return row
    return Unlisted(model, nearest(model))


def nearest(model: str) -> tuple[str, ...]:
    """Up to three listed names that look like this one, the nearest first: to be offered, not to be used."""
    return tuple(get_close_matches(model.lower(), sorted({name for name, _ in LISTED}), n=3, cutoff=0.6))


def _of(model: str, currency: Currency) -> Listed | None:
    choices: tuple[Currency, ...] = (currency, *get_args(Currency))
    return next((row for choice in choices if (row := LISTED.get((model, choice))) is not None), None)


def _rows() -> Iterable[Listed]:
    for line in _lines(_MODELS):
        vendor, currency, model, fresh, cached, out, up_to, as_of, source, *remark = line.split(None, 9)
        yield Listed(
            vendor=vendor,
            model=model.removesuffix("*"),
            prices=Prices(
                currency=_currency(currency), tokens_in=_price(fresh), tokens_cached=_price(cached), tokens_out=_price(out)
            ),
            as_of=as_of,
            source=Source(source),
            up_to=None if up_to == "-" else int(up_to),
            snapshots=model.endswith("*"),
            remark="".join(remark),
        )
    for line in _lines(_TRANSLATORS):
        vendor, currency, name, price, as_of, source, *remark = line.split(None, 6)
        prices = Prices(currency=_currency(currency), characters=_price(price))
        yield Listed(vendor, name, prices, as_of, Source(source), remark="".join(remark))


def _lines(table: str) -> Iterable[str]:
    return (line for line in table.splitlines() if line and not line.startswith("#"))


def _price(text: str) -> int | None:
    return None if text == "-" else nano(text)


def _currency(text: str) -> Currency:
    return next(currency for currency in get_args(Currency) if currency == text)


LISTED: Mapping[tuple[str, Currency], Listed] = MappingProxyType({(row.model, row.prices.currency): row for row in _rows()})
"""Every row, by model and currency."""
