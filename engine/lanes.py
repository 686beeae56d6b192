"""Lanes: a plan's `[lanes.NAME]` made ready for its recipe, and whether all of them together can do what its steps ask.

A part of the composition root, and the only caller of `providers.find`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import providers
from engine import context
from engine.core.faults import Fault, PlanError
from engine.core.http import Stamp
from engine.core.keys import required, sources
from engine.core.language import Languages
from engine.core.recipe import Recipe, Step
from engine.core.scripts import primary
from engine.core.types import Chat, Completion, LanePlan, Translation
from engine.runtime import local
from engine.runtime.lane import Lane, cheapest
from providers.llm_translate import LlmTranslate, over

_USER = re.compile(r"//[^/?#]*@")
_ADDRESSES = {
    "base_url": 'send it as headers = {Authorization = "env:NAME"}',
    "proxy": 'write proxy = "env:NAME", and the whole address into that variable',
}
"""Keys of a lane that are addresses, and where what is secret in them belongs."""


def lane_of(name: str, plan: LanePlan, recipe: Recipe) -> Lane:
    """The lane with its provider, checked against the recipe's roles; without a role of its own it serves all that its provider
    can. Its key is not looked up yet."""
    provider = providers.find(plan.provider)
    style = plan.style or provider.style(plan)
    if plan.via is not None and not {Chat, Completion} & set(provider.accepts):
        raise PlanError(
            f"lanes.{name}.via: {plan.via} is no lane of a language model, its provider {plan.provider} only translates"
        )
    if plan.via is not None or isinstance(provider, LlmTranslate):
        provider = over(provider, style)
    takes = {Translation, Chat if style == "chat" else Completion} & set(provider.accepts)
    if not takes:
        raise PlanError(f"lanes.{name}: the provider {plan.provider} cannot take calls of the style {style!r}")
    asked = "llm_translate" if plan.via is not None else plan.provider
    known, served = [step.role for step in recipe.steps], [step.role for step in recipe.steps if takes & set(step.asks)]
    for role in plan.role:
        if role not in known:
            under = " under these options" if recipe.chosen is not None else ""
            raise PlanError(f"lanes.{name}.role: the recipe {recipe.name} has no role {role!r}{under}; it has {_named(known)}")
        if role not in served:
            can = "only translates" if takes == {Translation} else "does not translate"
            raise PlanError(f"lanes.{name}.role: the provider {asked} {can}, so it cannot serve the role {role!r}")
    usual = provider.key(plan)
    if plan.key is not None and len(sources(plan.key)) < (parts := required(usual)):
        raise PlanError(
            f'lanes.{name}.key: a key of {plan.provider} has {parts} parts; name a place for each, as key = "{usual}"'
        )
    if plan.provider == "local" and plan.quota.concurrent is None:
        plan = replace(plan, quota=replace(plan.quota, concurrent=local.SLOTS))
    if provider.models and not plan.model:
        raise PlanError(f'lanes.{name} names no model; add model = "..."')
    lane = Lane(name, plan, provider, frozenset(plan.role or served), style)
    _check_address(lane)
    return lane


def _check_address(lane: Lane) -> None:
    """Raises `PlanError` where no request can be made, as its vendor has no address of its own or the plan's is none; and for one
    that has a secret in it."""
    for name, remedy in _ADDRESSES.items():
        if _USER.search(getattr(lane.plan, name) or ""):
            raise PlanError(f"lanes.{lane.name}.{name} has a name or a password in it, which has no place in a plan: {remedy}")
    key = f"lanes.{lane.name}.base_url"
    try:
        parts = urlsplit(lane.provider.encode((cheapest(lane),), lane.plan, Stamp(0.0, "")).url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except PlanError as error:
        raise PlanError(f"{key}: {error}") from None
    except ValueError:  # a port that is no number
        usable = False
    except Fault:
        return  # a pair of languages that the vendor does not have
    if not usable:
        raise PlanError(f'{key} is no address that can be asked: write it as "https://HOST/PATH", or with http://')


def check_use(recipe: Recipe, lanes: Sequence[Lane]) -> None:
    """Raises `PlanError` where no step of the recipe, as its options have it, wants a lane, and no other lane goes via it."""
    lent = {lane.plan.via for lane in lanes}
    for lane in lanes:
        if lane.roles or lane.name in lent:
            continue
        if set(lane.provider.accepts) == {Translation}:
            why, remedy = f"only translates, which the recipe {recipe.name} never asks for", "leave the lane out"
        else:
            why = f"does not translate, and the recipe {recipe.name} asks for nothing else under these options"
            remedy = (
                f'leave the lane out, or add one with provider = "llm_translate" and via = "{lane.name}", whose model it is then'
            )
        raise PlanError(f"lanes.{lane.name}: the provider {lane.plan.provider} {why}: {remedy}")


def _named(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def check_roles(loaded: context.Loaded, lanes: Sequence[Lane]) -> None:
    """Raises `PlanError` where a step has no lane, or none but the engine that must not answer it."""
    options = loaded.context.options
    for step in loaded.recipe.steps:
        serving = [lane for lane in lanes if step.role in lane.roles]
        if not serving:
            what = "add it to the role of a lane whose provider translates" if step.pair else "add it to the role of a lane"
            raise PlanError(f"no lane serves the role {step.role!r}: {what}, or leave role out there")
        for lane in serving:
            _check_length(lane, step, options)
        other = step.apart(options) if step.apart is not None else None
        if other is not None:
            role = loaded.recipe.step(other).role
            engines = {lane.engine for lane in serving}
            if any(engines == {lane.engine} for lane in lanes if role in lane.roles):
                named = ", ".join(lane.name for lane in serving)
                raise PlanError(
                    f"the step {step.name} has to be answered by another engine than {other}, and {named} is only one: add a "
                    f"lane with another provider, address or model for the role {step.role!r}, or leave out the option that "
                    "asks for it"
                )


def _check_length(lane: Lane, step: Step, options: Any) -> None:
    """The longest text that is sent in one piece has to fit into what the vendor takes, counted as it counts."""
    most = getattr(options, "part_characters", None)
    if step.pair is None or lane.provider.limit is None or most is None:
        return
    source, target = step.pair(options)
    widest = "\u6c34" if primary(source) in ("zh", "ja", "ko") else "e"
    if lane.provider.weigh(Translation(widest * most, source, target)).size > lane.provider.limit:
        raise PlanError(
            f"options.part_characters is {most}, and {lane.plan.provider} (lanes.{lane.name}) takes texts of "
            f"{lane.provider.limit} characters at the most, as it counts them: lower it, so that longer texts are cut"
        )


def listed(lanes: Iterable[Lane]) -> dict[str, Languages]:
    """What each lane translates into what, where that is known without asking its server."""
    return {lane.name: found for lane in lanes if isinstance(found := lane.provider.languages, Languages)}


def check_languages(loaded: context.Loaded, lanes: Sequence[Lane], told: Mapping[str, Languages]) -> None:
    """Notes for each lane the steps whose languages it does not have. Raises `PlanError` where nobody has those of a step."""
    for step in loaded.recipe.steps:
        if step.pair is None:
            continue
        source, target = step.pair(loaded.context.options)
        serving = [lane for lane in lanes if step.role in lane.roles]
        lacking = [lane for lane in serving if (known := told.get(lane.name)) and known.pair(source, target) is None]
        for lane in lacking:
            lane.lacks |= {step.name}
        if serving and len(lacking) == len(serving):
            offered = "; ".join(f"{lane.name} ({lane.plan.provider}) translates {told[lane.name]}" for lane in serving)
            raise PlanError(
                f"the step {step.name} translates from {source} into {target}, which no lane does. {offered}. Choose other "
                "languages (options.language, options.pivot), or add a lane that has these"
            )


async def serve_model(lane: Lane, log: Path, stack: AsyncExitStack, servers: dict[str, local.Server]) -> None:
    """Start the embedded model of a lane, unless one that shares it has, and put its address into the lane's plan."""
    home = lane.plan.via or lane.name
    slots = lane.plan.quota.concurrent
    try:
        port = (urlsplit(lane.plan.base_url).port or 0) if lane.plan.base_url else 0
    except ValueError:
        raise PlanError(f"lanes.{lane.name}.base_url has no usable port number: {lane.plan.base_url}") from None
    if home not in servers:
        serving = local.serve(lane.plan.model, slots=slots, port=port, log=log)
        servers[home] = await stack.enter_async_context(serving)
    server = servers[home]
    lane.plan = replace(lane.plan, base_url=server.base_url, model=lane.plan.model or local.DEFAULT)
    lane.fate = server.fate
