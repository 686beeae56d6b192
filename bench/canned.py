"""Canned answers at full speed: nginx on a core of its own, which makes each reply of other words; and a slow server.

For `throughput.py`. nginx is Debian's `nginx-light`; nothing of this machine's own nginx is touched.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import orjson

DRAFTS = 7
"""Tasks in one of the long replies."""
CONFIG = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
daemon off;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{maps}
  server {{
    listen 127.0.0.1:{port} backlog=16384 reuseport;
    default_type application/json;
    location = /one/v1/chat/completions {{ return 200 '{one}'; }}
    location = /seven/v1/chat/completions {{ return 200 '{seven}'; }}
    location = /up {{ return 200 'up'; }}
  }}
}}
"""
WORDS = 8
"""Of each instruction, made of the request's id (32 random hexadecimal digits, ngx_http_core_module): none looks like another."""


def _map(n: int) -> str:
    """The words of a reply's draft `n`: digits of the id, led by letters that are this draft's own."""
    groups = "".join(f"(?<w{n}x{k}>.{{4}})" for k in range(WORDS))
    words = " ".join(f"{chr(103 + n)}${{w{n}x{k}}}" for k in range(WORDS))
    return f'  map $request_id $words{n} {{ "~^{groups}$" "{words}"; }}'


def _reply(drafts: int) -> str:
    text = "\n###\n".join(
        f"{n + 1}. Instruction: Explain to a friend what $words{n} means.\n{n + 1}. Input: <noinput>\n"
        f"{n + 1}. Output: It is a word that nobody has used before, so that it means whatever the two of you agree on."
        for n in range(drafts)
    )
    reply = {
        "id": "chatcmpl-$request_id",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "canned",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 320, "completion_tokens": 55 * drafts, "total_tokens": 320 + 55 * drafts},
        "system_fingerprint": "fp_0123456789",
    }
    return orjson.dumps(reply).decode().replace("\\", "\\\\")  # nginx reads escapes in its strings, too


@contextmanager
def nginx(folder: Path, core: int | None) -> Iterator[str]:
    """nginx with one worker, on that core; gives its address. Raises `SystemExit` where it is not installed."""
    command = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if command is None:
        sys.exit("this bench needs nginx: on Debian or Ubuntu, apt-get install nginx-light")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    maps = "\n".join(map(_map, range(DRAFTS)))
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, maps=maps, one=_reply(1), seven=_reply(DRAFTS)))
    process = subprocess.Popen([command, "-p", str(folder), "-c", str(config), "-e", "stderr"], preexec_fn=pinned(core))
    try:
        _await_up(f"http://127.0.0.1:{port}/up")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _await_up(address: str) -> None:
    for _ in range(200):
        try:
            with urlopen(address):
                return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nothing answers at {address}")


def pinned(core: int | None) -> Callable[[], None] | None:
    """What a child does before it begins: keeps to that core, if any."""
    return None if core is None else lambda: os.sched_setaffinity(0, {core})
