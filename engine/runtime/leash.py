"""The child process between us and a server that is not ours: it ends that server when its parent ends, however that comes about.

Run as a script, by `engine.runtime.apertium` only; imports nothing of ours, so that it starts on any path.

Arguments: the server's command. End of file on stdin kills the server and all processes that it started; should the server end by
itself, this ends with its exit code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait() -> None:
        os.read(0, 1)
        os.killpg(server.pid, signal.SIGKILL)  # its pipes are processes of their own
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
