"""The translators that are played by the simulator, and our own dialects asking them: over a world in process, or a socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit

import providers
from engine.core.faults import Fault
from engine.core.http import HttpRequest, HttpResponse, Stamp
from engine.core.text import utf16_units
from engine.core.types import LanePlan, Reply, Translation
from providers import Provider
from providers.simulator import script
from providers.simulator.world import Arrival, Call, World
from tests.translators import T

QUICK = "first_byte = 0\nrefusal_seconds = 0\n"
_NONCES = count()


@dataclass(frozen=True)
class Vendor:
    """`key` as the simulator's script has it: a name, and for those that sign a secret behind a blank."""

    name: str
    key: str
    unit: Callable[[str], int] = len
    signs: bool = False
    ids: bool = False
    """Its answers tell whose they are."""

    @property
    def provider(self) -> Provider:
        return providers.find(self.name)

    def account(self, weather: str = "", more: str = "") -> str:
        """The vendor as an account of a script."""
        keys = f"keys = ['{self.key}']" if self.key else ""
        head = f"[accounts.{self.name}]\ndialect = '{self.name}'\nprefix = '/{self.name}'\n{keys}\n{more}\n"
        return f"{head}[accounts.{self.name}.weather]\n{QUICK}{weather}\n"

    def request(self, address: str, calls: Sequence[Translation], t: float = T, key: str | None = None) -> HttpRequest:
        """Our own dialect's request to the account. Every one has another nonce."""
        lane = LanePlan(provider=self.name, base_url=f"{address}/{self.name}")
        used = self.key if key is None else key
        return self.provider.encode(tuple(calls), lane, Stamp(t, f"{next(_NONCES):032x}", used.replace(" ", "\n")))


VENDORS = [
    Vendor("libretranslate", "libre-key"),
    Vendor("apertium", ""),
    Vendor("deepl", "deepl-key"),
    Vendor("google_translate", "google-key"),
    Vendor("azure_translator", "azure-key"),
    Vendor("baidu", "20260001 baidu-secret", signs=True, ids=True),
    Vendor("youdao", "youdao-app youdao-secret", signs=True, ids=True),
    Vendor("amazon_translate", "AKIDSIMULATED amazon/secret+key", signs=True),
    Vendor("alibaba_mt", "LTAISIMULATED alibaba-secret", utf16_units, signs=True, ids=True),
]


def played(text: str, seed: int = 0) -> World:
    return World(script.read(text), seed)


def ask(
    world: World, vendor: Vendor, calls: Sequence[Translation], now: float = 0.0, key: str | None = None
) -> tuple[Arrival, tuple[Reply | Fault, ...]]:
    """One request of our own dialect, as it arrives and as it comes back."""
    return post(world, vendor, calls, vendor.request("http://simulator", calls, T + now, key), now)


def post(
    world: World, vendor: Vendor, calls: Sequence[Translation], request: HttpRequest, now: float = 0.0
) -> tuple[Arrival, tuple[Reply | Fault, ...]]:
    """A request, whatever became of it on its way."""
    url = urlsplit(request.url)
    headers = {"Host": url.netloc, **request.headers}
    arrival = world.arrive(Call(request.method, url.path, headers, request.body, url.query), now)
    world.depart(arrival, now)
    response = HttpResponse(arrival.status, arrival.headers, arrival.body)
    return arrival, vendor.provider.decode(tuple(calls), response)
