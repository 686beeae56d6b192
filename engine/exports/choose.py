"""Which records an export takes, and which of them it keeps for validation. Decided by hashes and values, never by order.

Pure.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import blake2b
from operator import ge, gt, le, lt
from types import MappingProxyType

from engine.core.faults import PlanError
from engine.exports.example import Example

_CLAUSE = re.compile(r"\s*([\w.]+)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*\Z", re.DOTALL)
_ORDERS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType({">=": ge, "<=": le, ">": gt, "<": lt})
_KINDS: Mapping[str, Callable[[Example], set[str]]] = MappingProxyType(
    {
        "lane": lambda example: set(example.lanes.values()),
        "model": lambda example: set(example.models.values()),
        "language": lambda example: {example.language},
    }
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition on records: `lane=a,b` (every answer came from one of them), `model!=c` (none did), `chrf>=0.4` (all scores of
    that name are)."""

    name: str
    order: str
    values: tuple[str, ...]
    limit: float = 0.0

    def __call__(self, example: Example) -> bool:
        if self.order in _ORDERS:
            scores = example.scores.get(self.name)
            return scores is not None and all(_ORDERS[self.order](score, self.limit) for score in scores)
        found = _KINDS[self.name](example)
        return found <= set(self.values) if self.order == "=" else found.isdisjoint(self.values)

    def __str__(self) -> str:
        return f"{self.name}{self.order}{','.join(self.values)}"


def clause(text: str) -> Clause:
    """The condition that `text` says; raises `PlanError`."""
    found = _CLAUSE.match(text)
    if found is None or not found[3]:
        raise PlanError(
            f"--where {text!r} is no condition; examples: lane=main,spare  model!=gpt-4o  language=zh  nearest<=0.5  chrf>=0.4"
        )
    name, order, value = found[1], found[2], found[3]
    if order in _ORDERS:
        if name in _KINDS:
            raise PlanError(f"--where {text!r}: a {name} is a name, and = or != compare it")
        try:
            return Clause(name, order, (value,), float(value))
        except ValueError:
            raise PlanError(f"--where {text!r}: {value!r} is not a number") from None
    if name not in _KINDS:
        raise PlanError(
            f"--where {text!r}: = and != compare {', '.join(_KINDS)}; scores are compared with >=, <=, > and <, as in {name}>=0.5"
        )
    return Clause(name, order, tuple(part.strip() for part in value.split(",")))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records, and how many of them are for validation."""

    where: tuple[Clause, ...] = ()
    """A record fits all of them."""
    sample: int | None = None
    """Of so many instructions, one record each."""
    share: float = 0.0
    """Of the records, about so many are kept for validation."""
    seeds: bool = False
    """The seed tasks come along, whatever the conditions are."""
    compares: bool = False
    """Each example is told its neighbours."""


class Seen:
    """Which lanes, models, languages and scores have come by: what a condition that nothing fits may have meant."""

    def __init__(self) -> None:
        self.count = 0
        self._names: dict[str, set[str]] = {name: set() for name in _KINDS}
        self._scores: set[str] = set()

    def add(self, example: Example) -> None:
        self.count += 1
        for name, find in _KINDS.items():
            self._names[name] |= find(example)
        self._scores.update(example.scores)

    def check(self, chosen: Clause) -> None:
        """Raises `PlanError` where the condition names what no record has."""
        if chosen.order in _ORDERS:
            if chosen.name not in self._scores:
                raise PlanError(f"--where {chosen}: no record has a score {chosen.name!r}; {_offer(chosen.name, self._scores)}")
            return
        for value in chosen.values:
            if value not in (known := self._names[chosen.name]):
                raise PlanError(f"--where {chosen}: no record has the {chosen.name} {value!r}; {_offer(value, known)}")


def _offer(name: str, known: set[str]) -> str:
    if near := get_close_matches(name, known, n=1, cutoff=0.5):
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(sorted(known))}" if known else "records have none"


def place(seed: int, what: str, name: str) -> float:
    """A number from 0 to below 1 that only these three decide, evenly spread over names."""
    digest = blake2b(f"{seed}\x1f{what}\x1f{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def validates(example: Example, seed: int, share: float) -> bool:
    """Whether the example is kept for validation. All of a group are, or none; what is stays so while the run grows, and under
    any greater share."""
    return place(seed, "validation", example.group) < share


def sample(examples: Iterable[Example], seed: int, size: int) -> Iterator[Example]:
    """One example of each of `size` instructions, all chosen at random, in their order: how the paper drew what was reviewed.

    Holds no more than `size` examples.
    """
    worst: list[tuple[float, str]] = []  # the chosen groups, the last to be chosen on top
    best: dict[str, tuple[float, int, Example]] = {}
    for order, example in enumerate(examples):
        group = example.group
        chance = place(seed, "sample", group)
        if group not in best:
            if len(worst) == size and (not size or chance >= -worst[0][0]):
                continue
            if len(worst) == size:
                del best[heapq.heappop(worst)[1]]
            heapq.heappush(worst, (-chance, group))
        own = place(seed, "instance", example.id)
        if group not in best or own < best[group][0]:
            best[group] = (own, order, example)
    yield from (example for _, _, example in sorted(best.values(), key=lambda chosen: chosen[1]))
