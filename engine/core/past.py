"""Past: the items that earlier lines of a journal have made, so that a settled line's request and prompt can be built again.

Pure; a fold beside the agenda, for whoever checks or retells a journal. A run itself does not need it.
"""

from __future__ import annotations

from msgspec import structs

from engine.core import recipe as acts
from engine.core.recipe import GROW, Context, Recipe
from engine.core.rng import digest
from engine.core.types import Item, Request, Settled, prompt_text


class Unknown(LookupError):
    """A prompt showed an item that no line before it has made; only a repair leaves such a journal."""


class Past:
    """Seeds, texts to avoid, and every item so far that a later prompt may be about or may show.

    After a refold, prompts may show what is dropped now: drafts of the growing step are kept whatever became of them.
    """

    def __init__(self, recipe: Recipe, context: Context) -> None:
        self._recipe = recipe
        self._context = context
        self._grown = recipe.source_step.name if recipe.source_step.source is GROW else ""
        self._items = {f"seed/{n}": _as_shown(n, seed) for n, seed in enumerate(context.seeds)}

    def item(self, id: str) -> Item:
        """The item with that id, its forebears' fields included; raises `Unknown`."""
        try:
            return self._items[id]
        except KeyError:
            raise Unknown(id) from None

    def request(self, line: Settled, item: Item | None = None) -> Request:
        """What a line answers, as it was asked, without its calls; about `item` where that is given. Raises `Unknown`."""
        request = self.unseen(line, item)
        return structs.replace(request, shown=tuple(self.item(id) for id in line.shown))

    def unseen(self, line: Settled, item: Item | None = None) -> Request:
        """Likewise, where some of what the prompt showed is lost: as many examples, of which nothing but their ids is known. That
        is enough to read and judge the answer, and not to build the prompt."""
        if item is None:
            item = line.item or (self.item(line.of) if line.of is not None else {})
        return Request(
            step=line.step,
            index=line.index,
            try_=line.try_,
            of=item.get("id"),
            item=item,
            shown=tuple({"id": id} for id in line.shown),
            style=line.style,
        )

    def asked(self, request: Request) -> Request:
        """The request with its prompt."""
        return acts.compose(self._recipe.step(request.step), request, self._context, request.style)

    def add(self, line: Settled) -> None:
        """Take in what a line has made; what it was about is asked about no more."""
        if line.fault is not None:
            return
        grows = line.step == self._grown
        parent = line.item or (self._items.get(line.of, {}) if line.of is not None else {})
        if line.of is not None and not (self._grown and line.of.startswith(f"{self._grown}/")):
            self._items.pop(line.of, None)
        made = [*line.kept, *((n, item) for n, item, _ in line.dropped if grows)]
        for n, item in made:
            id = f"{line.step}/{line.index}.{n}"
            self._items[id] = {**parent, **item, "id": id}


def fingerprint(request: Request) -> str:
    """What `q` of a line is: a hash of the words that were sent."""
    return digest(prompt_text(request.calls))


def _as_shown(n: int, seed: Item) -> Item:
    first = seed["instances"][0]
    return {"id": f"seed/{n}", "instruction": seed["instruction"], "input": first["input"], "output": first["output"]}
