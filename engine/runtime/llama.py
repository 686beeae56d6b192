"""The child process of the embedded model: llama.cpp's server, alive for as long as its parent holds a pipe open.

Run as a script, by `engine.runtime.local` only; imports nothing of ours, so that it starts on any path.

Arguments: GGUF file, the name it goes by, slots, tokens of context a slot, threads, port (0 for a free one). The address goes
to stdout as one line when the model is loaded; llama.cpp's chatter goes to stderr. End of file on stdin ends the process.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading


def die_with_parent() -> None:
    """End when the pipe on stdin closes, however the parent ended.

    The kernel's SIGIO ends the process even while the model loads and holds Python's lock for seconds; where pipes do not
    signal (macOS), the thread sees the end of file a little later.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)

    def wait() -> None:
        os.read(0, 1)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main(model: str, name: str, slots: str, context: str, threads: str, port: str) -> None:
    die_with_parent()
    address = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {name}
    params.n_parallel = int(slots)
    params.n_ctx = int(slots) * int(context)
    params.cpuparams.n_threads = int(threads)
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    server = xllamacpp.Server(params)
    print(server.listening_address, file=address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
