"""Languages: our tags for them (BCP-47), vendors' codes, and what a vendor or its server translates into what.

Pure. A vendor's languages are one text, `tag` or `tag=code` between blanks; tags are as `canonical` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.core.http import HttpRequest, HttpResponse
from engine.core.types import LanePlan

_SCRIPTS = {"cn": "Hans", "sg": "Hans", "my": "Hans", "tw": "Hant", "hk": "Hant", "mo": "Hant"}
"""How Chinese is written where: a region that stands for a script."""
_SAME = {"cmn": "zh", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "no": "nb", "tl": "fil"}
"""Older and vendors' own names of languages, each with the one that we use (IANA's subtag registry)."""
_SHOWN = 40
"""Languages or pairs that a message names."""


def canonical(tag: str) -> str:
    """The tag as BCP-47 spells it, with one name for each language; a region of Chinese stands for its script."""
    language, *rest = tag.strip().replace("_", "-").lower().split("-")
    language = _SAME.get(language, language)
    script = next((part.title() for part in rest if len(part) == 4 and part.isalpha()), "")
    region = next((part for part in rest if (len(part) == 2 and part.isalpha()) or (len(part) == 3 and part.isdigit())), "")
    if language == "zh":
        script, region = script or _SCRIPTS.get(region, ""), ""
    return "-".join(part for part in (language, script, region.upper()) if part)


def table(text: str) -> dict[str, str]:
    """A vendor's languages as a mapping from our tags to its codes."""
    pairs = (entry.partition("=") for entry in text.split())
    return {tag: code or tag for tag, _, code in pairs}


def spelled(tag: str, codes: Mapping[str, str]) -> str | None:
    """The vendor's code for a tag: its own, else that of the language without the region. Plain `zh` is Simplified Chinese; a
    script that the vendor does not know is another language to it, never the usual one."""
    return next((codes[name] for name in _names(canonical(tag)) if name in codes), None)


def _names(tag: str) -> Iterator[str]:
    yield tag
    language, *rest = tag.split("-")
    script = next((part for part in rest if len(part) == 4), "")
    if script and script != rest[-1]:
        yield f"{language}-{script}"
    elif rest and not script:
        yield language
    if language == "zh" and script != "Hant":
        yield from ("zh", "zh-Hans")


@dataclass(frozen=True, slots=True)
class Languages:
    """What is translated into what. Every source goes with every target, unless `pairs` or `hubs` say less."""

    sources: Mapping[str, str]
    """Our tags, each with the vendor's code."""
    targets: Mapping[str, str]
    pairs: frozenset[tuple[str, str]] | None = None
    """The only pairs that there are, in the vendor's codes."""
    hubs: Mapping[str, str] = field(default_factory=dict)
    """Codes of languages that are translated from and into one other language only, each with that one's code."""

    def pair(self, source: str, target: str) -> tuple[str, str] | None:
        """The vendor's codes for two tags; `None` where it does not translate from the one into the other."""
        one, other = spelled(source, self.sources), spelled(target, self.targets)
        if one is None or other is None or one == other or canonical(source) == canonical(target):
            return None
        if self.pairs is not None and (one, other) not in self.pairs:
            return None
        if self.hubs.get(one, other) != other or self.hubs.get(other, one) != one:
            return None
        return one, other

    def __str__(self) -> str:
        """The pairs that there are, for a message: `en-es, es-en`, or `among de, en`, or `from de, en into de, en-GB`."""
        if self.pairs is not None:
            tags = {code: tag for tag, code in {**self.sources, **self.targets}.items()}
            return _listed(sorted(f"{tags[one]}-{tags[other]}" for one, other in self.pairs))
        if self.sources.keys() == self.targets.keys():
            return f"among {_listed(sorted(self.sources))}"
        return f"from {_listed(sorted(self.sources))} into {_listed(sorted(self.targets))}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "nothing") + more


@dataclass(frozen=True, slots=True)
class Inquiry:
    """How a server is asked for its languages, where no list of the vendor's tells them."""

    home: str
    """The server's usual address."""
    path: str
    read: Callable[[HttpResponse], Languages]
    """What its answer says; raises `Fault`."""

    def request(self, lane: LanePlan) -> HttpRequest:
        return HttpRequest("GET", (lane.base_url or self.home).rstrip("/") + self.path, {}, b"")


def languages(pairs: frozenset[tuple[str, str]], tag: Callable[[str], str]) -> Languages:
    """A server's languages from the pairs of codes that it has. `tag` tells our tag for a code."""
    return Languages({tag(one): one for one, _ in pairs}, {tag(other): other for _, other in pairs}, pairs)
