"""No key gets out: servers repeat all that they were sent, in each field of their errors, and runs tell all that they can."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import orjson
import pytest
from aiohttp import web

from engine import app, metrics, recipes
from engine.core.faults import Fault, LaneError
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.lanes import lane_of
from engine.plan import from_data
from engine.runtime.account import Account, declared
from engine.runtime.keys import forms, of_address, without
from engine.runtime.lane import Lane, cheapest
from engine.runtime.wire import Ear, Timeouts
from tests import virtual
from tests.runtime.test_wire import no_proxy, serving  # noqa: F401
from tests.translator import OPTIONS, corpus

HERE = Path(__file__).parent.parent
WINDOW = 9
"""So many characters of a secret in a row are a leak."""


def key(name: str) -> str:
    """A key that no escape leaves as it is."""
    drawn = sha256(name.encode()).hexdigest()
    return f"sk-{drawn[:9]}/{drawn[9:16]}+{drawn[16:22]}=&{drawn[22:46]}"


ENVIRONMENT = {f"LEAK_{name}": key(name) for name in ("OPEN", "GEMINI", "CLAUDE_TOKEN", "AZURE", "HEADER", "ID", "SECRET", "STS")}
ENVIRONMENT["LEAK_BEARER"] = f"Bearer {key('bearer')}"
PASSWORD = "pass-WORD!of-the-proxy"


def lanes(url: str, keys: Path) -> dict[str, dict[str, Any]]:
    """Each way in which a secret is sent: as bearer, in headers of vendors and of one's own, in bodies, through signatures, to a
    proxy, from a file."""
    signed = "env:LEAK_ID env:LEAK_SECRET env:LEAK_STS"
    pair = "env:LEAK_ID env:LEAK_SECRET"
    talking = {
        "openai": {"key": "env:LEAK_OPEN"},
        "gemini": {"key": "env:LEAK_GEMINI"},
        "anthropic": {"key": "env:LEAK_CLAUDE_TOKEN"},
        "azure_openai": {"key": "env:LEAK_AZURE"},
        "deepseek": {"key": f"file:{keys}", "stream": True},
        "ollama": {"headers": {"Authorization": "env:LEAK_BEARER", "X-Mine": "env:LEAK_HEADER", "X-Title": "mine"}},
        "mistral": {"key": "env:LEAK_OPEN", "proxy": "env:LEAK_PROXY", "base_url": "http://far.invalid/mistral"},
    }
    translating = {
        "deepl": {"key": "env:LEAK_OPEN"},
        "google_translate": {"key": f"file:{keys}"},
        "azure_translator": {"key": "env:LEAK_AZURE"},
        "libretranslate": {"key": "env:LEAK_OPEN"},
        "amazon_translate": {"key": signed},
        "alibaba_mt": {"key": signed},
        "baidu": {"key": pair},
        "youdao": {"key": pair},
    }
    made = {name: {"provider": name, "model": "m", "base_url": f"{url}/{name}", **lane} for name, lane in talking.items()}
    return made | {name: {"provider": name, "base_url": f"{url}/{name}", **lane} for name, lane in translating.items()}


def secrets(environment: dict[str, str]) -> list[str]:
    """All of them, in every form that a server may repeat."""
    values = [value.removeprefix("Bearer ") for name, value in environment.items() if name != "LEAK_PROXY"]
    values += [key("file"), PASSWORD, b64encode(f"me:{PASSWORD}".encode()).decode()]
    return [form for value in values for form in (value, quote(value), quote(value, safe=""), value.replace("/", "\\/"))]


def leaks(text: str, known: list[str]) -> list[str]:
    """What of the secrets stands in a text."""
    parts = {secret[at : at + WINDOW] for secret in known for at in range(len(secret) - WINDOW + 1)}
    return [part for part in parts if part in text]


def echo(turn: int, request: HttpRequest) -> HttpResponse:
    """All that came, in an error of any status, beginning each time with another part, so that it is cut at another place."""
    atoms = [f"{name}: {value}" for name, value in request.headers.items()]
    atoms += [request.url, request.body.decode(errors="replace"), quote(request.body.decode(errors="replace"))]
    atoms = atoms[turn % len(atoms) :] + atoms[: turn % len(atoms)]
    said = "x" * (turn * 7 % 60) + " ".join(atoms)
    short = said[: 40 + turn % 40]
    shapes: list[Any] = [
        {"error": {"message": said, "code": short, "type": atoms[0], "status": short, "details": [{"reason": said}]}},
        {"error": said},
        {"message": said, "detail": said},
        {"error_code": "54000", "error_msg": said},
        {"errorCode": "101", "msg": said},
        {"Code": "BadRequest", "Message": said},
        {"__type": atoms[0], "message": said},
        said,
    ]
    status = (400, 500, 429, 200, 403, 422, 529, 200)[turn % 8]
    shape = shapes[turn // 8 % len(shapes)]
    body = shape.encode() if isinstance(shape, str) else orjson.dumps(shape)
    told = {"retry-after": "0.01", "x-amzn-errortype": short, "x-ratelimit-limit-requests": short, "www-authenticate": short}
    return HttpResponse(status, {name: value.replace("\n", " ") for name, value in told.items()}, body)


class Echo:
    """A network on which every server does that."""

    def __init__(self) -> None:
        self._turns = count()

    async def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        return echo(next(self._turns), request)

    async def listen(self, request: HttpRequest, timeouts: Timeouts, ear: Ear) -> HttpResponse:
        response = echo(next(self._turns), request)
        if response.status == 200:
            ear.hear(b"data: " + response.body + b"\n\n")
        return response


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "key").write_text(key("file"))
    values = {**ENVIRONMENT, "LEAK_PROXY": f"http://me:{quote(PASSWORD)}@127.0.0.1:1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def opened(specs: dict[str, dict[str, Any]]) -> list[Lane]:
    """The lanes with their keys, each in a recipe that it serves."""
    made = []
    for name, spec in specs.items():
        recipe = recipes.find("self_instruct" if "model" in spec else "backtranslation")
        made.append(lane_of(name, from_data({"recipe": recipe.name, "goal": 1, "lanes": {name: spec}}).lanes[name], recipe))
        made[-1].equip()
    return made


def test_nothing_of_a_key_is_in_what_an_attempt_brings(environment: dict[str, str], tmp_path: Path) -> None:
    """Outcomes, lanes, accounts, requests and stamps, shown in any way, whatever servers repeat and wherever it was cut."""
    known = secrets(environment)
    kinds: Counter[str] = Counter()

    async def main() -> list[str]:
        wire = Echo()
        shown: list[str] = []
        for lane in opened(lanes("http://127.0.0.1:1", tmp_path / "key")):
            account = Account(lane.name, [lane], app.ledger(lane.plan.quota, declared(lane.plan.quota)), None)
            request = lane.equipped(lane.provider.encode((cheapest(lane),), lane.plan, Stamp(0.0, "n", lane.key.value)))
            shown += [
                repr(lane),
                repr(account),
                repr(request),
                repr(lane.key),
                repr(lane.route),
                repr(Stamp(0.0, "", key("file"))),
            ]
            for _ in range(64):
                attempted = await account.attempt(lane, cheapest(lane), wire, Timeouts(9.0, 9.0, 9.0), lambda: 0.0)
                shown += [str(attempted.outcome), repr(attempted)]
                if isinstance(attempted.outcome, Fault):
                    kinds[attempted.outcome.kind] += 1
                    assert attempted.outcome.__cause__ is None
        return shown

    for text in virtual.run(main):
        assert not leaks(text, known), text
    assert len(kinds) >= 6


@pytest.mark.parametrize("recipe", ["self_instruct", "backtranslation"])
def test_nothing_of_a_key_is_in_what_a_run_leaves(recipe: str, environment: dict[str, str], tmp_path: Path) -> None:
    """At debug level, all lanes failing: the run directory, what the commands say and write, and the metrics have nothing."""
    folder = tmp_path / "run"
    turns: Counter[str] = Counter()

    async def handler(request: web.Request) -> web.StreamResponse:
        lane = request.path.split("/")[1]
        turns[lane] += 1
        if turns[lane] > 9:
            return web.Response(status=401, body=orjson.dumps({"error": {"message": str(request.headers)}}))
        body = await request.read()
        url = f"{request.scheme}://{request.host}{request.path_qs}"
        answer = echo(turns[lane] * 5, HttpRequest(request.method, url, dict(request.headers), body))
        status = 400 if answer.status == 403 else answer.status  # which would close the lane at once
        return web.Response(status=status, headers=dict(answer.headers), body=answer.body)

    async def main() -> tuple[int, list[str], dict[str, dict[str, Any]]]:
        async with serving(handler) as url:
            proxy = f"http://me:{quote(PASSWORD)}@{urlsplit(url).netloc}"
            found = {**os.environ, "LEAK_PROXY": proxy, "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}
            specs = lanes(url, tmp_path / "key")
            chosen = {name: spec for name, spec in specs.items() if ("model" in spec) is (recipe == "self_instruct")}
            plan: dict[str, Any] = {"recipe": recipe, "lanes": chosen, "patience": 2.0, "group": 0.01}
            if recipe == "self_instruct":
                plan["goal"] = 1000
            else:
                chosen["openai"] = specs["openai"] | {"role": "write"}
                plan["options"] = {**OPTIONS, "part_characters": 900}
                plan["input"] = {"path": str(corpus(tmp_path / "corpus.jsonl", 300))}
            (tmp_path / "plan.toml").write_text(toml(plan))
            said, codes = [], []
            verbs = [["run", str(tmp_path / "plan.toml"), str(folder), "-vv"], ["status", str(folder)], ["report", str(folder)]]
            for verb in verbs if recipe == "self_instruct" else [verbs[0], ["lanes", "check", str(tmp_path / "plan.toml")]]:
                ended = await anyio.run_process([sys.executable, "-m", "engine", *verb], check=False, cwd=HERE, env=found)
                said.append((ended.stdout + ended.stderr).decode())
                codes.append(ended.returncode)
            return codes[0], said, chosen

    code, said, chosen = anyio.run(main)
    known = secrets(environment)
    assert code == 4, said[0][-2000:]
    assert min(turns[name] for name in chosen if chosen[name].get("role") != "write") > 3, turns
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"log.jsonl", "pulse.json", "plan.json"} <= {path.name for path in files}
    assert said[0].count('"level": "debug"') + said[0].count('"level":"debug"') > 20, "single calls were logged"
    told = [*said, *(path.read_text(encoding="utf-8") for path in files)]
    told.append(metrics.text(orjson.loads((folder / "pulse.json").read_bytes())).decode())
    for text in told:
        assert not leaks(text, known), [text[max(0, (at := text.find(part)) - 80) : at + 80] for part in leaks(text, known)[:3]]


def toml(plan: dict[str, Any]) -> str:
    """A plan as it is written: JSON's texts and lists are TOML's."""

    def value(of: Any) -> str:
        if isinstance(of, dict):
            return "{" + ", ".join(f'"{name}" = {value(part)}' for name, part in of.items()) + "}"
        return orjson.dumps(of).decode()

    return "\n".join(f"{name} = {value(part)}" for name, part in plan.items())


def test_a_secret_is_taken_out_in_every_form_and_wherever_it_was_cut() -> None:
    """As it is, as in an address, with escaped slashes, in HTML; cut at any place, in the midst of a text or at its end."""
    secret = key("cut")
    every = "\n".join(forms(secret))
    for form in forms(secret):
        for end in range(9, len(form) + 1):
            text = f"it was {form[:end]}… and {form}, {form[:end]}"
            assert not leaks(without(text, every), list(forms(secret))), (end, without(text, every))
        assert without(f"say {form} please", every) == "say [key] please"
    for end in range(4, 9):
        assert without(f"cut {secret[:end]}", every) == "cut [key]"
    assert without("an sk- or a sk-x1 is none", every) == "an sk- or a sk-x1 is none"
    assert of_address(f"http://me:{quote(PASSWORD, safe='')}@h:1") == [
        quote(PASSWORD, safe=""),
        PASSWORD,
        b64encode(f"me:{PASSWORD}".encode()).decode(),
    ]
    assert of_address("http://h:1") == []


def test_a_missing_key_is_named_by_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An error about a key that is not there, or is none, tells where it was looked for and nothing else."""
    monkeypatch.setenv("LEAK_OPEN", f"{key('lines')}\n{key('more')}")
    (tmp_path / "key").write_bytes(key("file").encode() + b"\xff")
    for place in ("env:LEAK_OPEN", f"file:{tmp_path / 'key'}"):
        with pytest.raises(LaneError) as caught:
            opened({"openai": {"provider": "openai", "model": "m", "key": place}})
        assert place.partition(":")[2] in str(caught.value)
        assert not leaks(repr(caught.value) + str(caught.value), [key("lines"), key("more"), key("file")])
