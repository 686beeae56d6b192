"""`seeddrill why`: one item's whole story, told from the journal alone. Reads only; works on a live run, too."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from engine import context, rundir
from engine.core.dedup import Index
from engine.core.faults import PlanError
from engine.core.intake import skipped
from engine.core.money import worded
from engine.core.past import Past, Unknown, fingerprint
from engine.core.recipe import INPUT
from engine.core.types import Chat, Completion, Item, Paid, Settled, Translation, Usage, total

_ID = re.compile(r"(\w+)/(\d+)(?:\.(\d+))?")
NEIGHBOURS = 5


def story(directory: Path, id: str) -> str:
    """What happened to the item, or to all items of the request, with that id. Raises `PlanError` where there is none."""
    match = _ID.fullmatch(id)
    if match is None:
        raise PlanError(f"{id!r} is no id: an item is written as instruct/96.3, a request as instruct/96, a document as input/96")
    loaded = rundir.reopen(directory)
    step, index, n = match.group(1), int(match.group(2)), match.group(3)
    if step == "seed":
        return _seed(loaded, index)
    if step == "input" and loaded.recipe.source_step.source is INPUT:
        step, n = loaded.recipe.source_step.name, None
    if step not in {known.name for known in loaded.recipe.steps}:
        known = ", ".join(known.name for known in loaded.recipe.steps)
        raise PlanError(f"the recipe {loaded.recipe.name} has no step {step!r}; it has {known}")
    tale = _Tale(loaded, rundir.read_plan(directory).get("currency"))
    told: str | None = None
    for line in rundir.journal(directory):
        match line:
            case Paid() if (line.step, line.index) == (step, index):
                tale.paid.append(line)
            case Settled() if (line.step, line.index) == (step, index):
                told = tale.tell(line, None if n is None else int(n))
                if line.fault is None:
                    return told
                tale.pass_by(line)  # it may have been asked again, later
            case Settled():
                tale.pass_by(line)
    if told is not None:
        return told
    raise PlanError(f"{id} is not settled in {directory}: 'seeddrill status {directory}' tells how far the run is")


def _seed(loaded: context.Loaded, index: int) -> str:
    if index >= len(loaded.context.seeds):
        raise PlanError(f"there are {len(loaded.context.seeds)} seeds, seed/0 to seed/{len(loaded.context.seeds) - 1}")
    return f"seed/{index} is a seed task:\n  {loaded.context.seeds[index]['instruction']}"


class _Tale:
    """What has to be remembered of the lines before the one that is told."""

    def __init__(self, loaded: context.Loaded, currency: str | None) -> None:
        self._loaded = loaded
        self._currency = currency
        self.paid: list[Paid] = []
        self._past = Past(loaded.recipe, loaded.context)
        self._index = Index(loaded.context.tokens)
        self._unique = loaded.recipe.unique or ""
        for n, seed in enumerate(loaded.context.seeds):
            self._index.add(f"seed/{n}", seed[self._unique])
        self._avoided = dict(loaded.context.avoid)
        for id, text in self._avoided.items():
            self._index.add(id, text)

    def pass_by(self, line: Settled) -> None:
        self._past.add(line)
        for n, item in line.kept:
            if self._loaded.recipe.step(line.step).unique:
                self._index.add(f"{line.step}/{line.index}.{n}", item[self._unique])

    def tell(self, line: Settled, n: int | None) -> str:
        sent = datetime.fromtimestamp(line.t, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if skipped(line):
            parts = [f"{line.step}/{line.index}, turned away at {sent}: nothing was asked", self._about(line)]
        else:
            parts = [f"{line.step}/{line.index}, asked of the lane {line.lane!r} at {sent}", self._about(line)]
            parts += [self._prompt(line), *self._answers(line)]
        parts.append(self._verdicts(line, n))
        return "\n\n".join(part for part in parts if part)

    def _about(self, line: Settled) -> str:
        if line.of is None:
            return ""
        item = line.item or self._past.item(line.of)
        doc = "" if line.item is None or item.get("doc") is None else f" (your id: {item['doc']})"
        text = item.get("instruction") or item.get("text") or ""
        return f"About {line.of}{doc}: {text}"

    def _prompt(self, line: Settled) -> str:
        """The prompt, built again from the templates and what the line says was shown, and compared with the line's hash."""
        try:
            request = self._past.asked(self._past.request(line))
        except Unknown as unknown:
            return f"The prompt showed {unknown.args[0]}, which a repair of the journal has lost: it cannot be built again."
        same = fingerprint(request) == line.q
        verdict = f"its hash {line.q} is the one in the journal" if same else f"NOT the one that was sent (hash {line.q})"
        texts: list[str] = []
        for call in request.calls:
            match call:
                case Chat(messages=messages):
                    texts += [f"[{message.role}]\n{message.content}" for message in messages]
                case Completion(prompt=prompt):
                    texts.append(prompt)
                case Translation(text=text):
                    texts.append(text)
        return f"Prompt, built again; {verdict}:\n{_indented(chr(10).join(texts))}"

    def _answers(self, line: Settled) -> list[str]:
        parts = [
            f"An earlier attempt cost {_tokens(paid)}{self._money(', {}', paid.cost)} and settled nothing: {paid.why}."
            for paid in self.paid
        ]
        if line.fault is not None:
            return [*parts, f"No answer: {line.fault}."]
        for reply in line.replies:
            took = f"in {reply.seconds:.1f} s, ended by {reply.stop.value}, {weighed(reply.usage)}"
            parts.append(f"Reply of {reply.model or line.lane} {took}:\n{_indented(reply.text)}")
        return [*parts, self._money("Cost: {}.", line.cost)]

    def _money(self, words: str, cost: int) -> str:
        """The words with a sum in them; nothing in a run without prices."""
        return "" if self._currency is None else words.format(worded(cost, self._currency))

    def _verdicts(self, line: Settled, n: int | None) -> str:
        told: list[tuple[int, str]] = [(m, self._kept(line, m, item)) for m, item in line.kept]
        told += [(m, f"{line.step}/{line.index}.{m} dropped, {reason}: {_brief(item)}") for m, item, reason in line.dropped]
        chosen = [text for m, text in sorted(told) if n is None or m == n]
        if not chosen and n is None:
            return ""
        if not chosen:
            places = ", ".join(str(m) for m, _ in sorted(told)) or "none"
            raise PlanError(f"{line.step}/{line.index} has no item {n}; its items are {places}")
        return "Verdict:\n" + "\n".join(f"  {text}" for text in chosen)

    def _kept(self, line: Settled, n: int, item: Item) -> str:
        id = f"{line.step}/{line.index}.{n}"
        text = f"{id} kept: {_brief(item)}"
        if not self._loaded.recipe.step(line.step).unique:
            return text
        near = self._index.neighbours(item[self._unique], NEIGHBOURS)
        self._index.add(id, item[self._unique])  # the next one of this reply was compared with it, too
        if not near:
            return text
        limit = self._loaded.context.rouge_max
        rows = [f"    {match.score:.4f}  {match.id}  {self._text(match.id, line)}" for match in near]
        return "\n".join([text, f"    nearest earlier ones by ROUGE-L ({limit} is the limit):", *rows])

    def _text(self, id: str, line: Settled) -> str:
        here = {f"{line.step}/{line.index}.{n}": item for n, item in line.kept}
        if id in self._avoided:
            return self._avoided[id]
        return str((here.get(id) or self._past.item(id)).get(self._unique, ""))


def _tokens(paid: Paid) -> str:
    usage = total([paid.usage])
    return f"{usage.tokens} tokens{' at the most' if usage.estimated else ''}"


def _brief(item: Item) -> str:
    return " | ".join(f"{key}: {value}" for key, value in item.items() if key != "id") or "(nothing to read)"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def weighed(usage: Usage) -> str:
    """What a reply used, in what it is billed by: tokens, or a translator's characters."""
    if usage.tokens or not usage.characters:
        return f"{usage.prompt} tokens in ({usage.tokens_cached} cached), {usage.answer} out"
    return f"{usage.characters} characters"
