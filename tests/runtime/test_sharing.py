"""Two runs, one account: together they never hold more of its quota than there is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.faults import LaneError
from engine.runtime.sharing import runtime_folder, share


def test_second_run_of_a_whole_account_is_refused(tmp_path: Path) -> None:
    """Without headroom an account is one run's; the message says what would let both go on; afterwards it is free again."""
    with share("a", 0.0, tmp_path):
        with pytest.raises(LaneError, match=r"another run .* 100% of its quota is taken, while this run wants 100%: .* headroom"):
            with share("a", 0.0, tmp_path):
                pass
        with share("b", 0.0, tmp_path):
            pass
    with share("a", 0.0, tmp_path):
        pass


def test_runs_with_headroom_share(tmp_path: Path) -> None:
    """Two halves fit beside each other, and a third one does not."""
    with share("a", 0.5, tmp_path), share("a", 0.5, tmp_path):
        with pytest.raises(LaneError, match="another run"):
            with share("a", 0.5, tmp_path):
                pass


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 0.99), max_size=8))
def test_shares_never_add_up_to_more_than_the_account(tmp_path_factory: pytest.TempPathFactory, headrooms: list[float]) -> None:
    """Whoever comes, in whatever order: what those that were let in leave to others is at least what they take together."""
    folder, taken = tmp_path_factory.mktemp("shares"), 0.0
    with ExitStack() as stack:
        for headroom in headrooms:
            try:
                stack.enter_context(share("a", headroom, folder))
                taken += 1 - headroom
            except LaneError:
                pass
    assert taken <= 1 + 1e-9


def test_share_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """A run that was killed leaves nothing locked."""
    code = "import sys, pathlib; from engine.runtime.sharing import share\n"
    code += "with share('a', 0.0, pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LaneError):
            with share("a", 0.0, tmp_path):
                pass
        holder.kill()
    with share("a", 0.0, tmp_path):
        pass


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The files of a share are gone when it ends, and those that a killed run left when the next one ends."""
    (tmp_path / f"{sha256(b'a').hexdigest()[:20]}.00").touch()
    with share("a", 0.0, tmp_path), share("b", 0.5, tmp_path):
        assert len(list(tmp_path.iterdir())) == 30
    assert not list(tmp_path.iterdir())


def test_file_that_is_removed_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a file just before its holder removes it does not hold a share that nobody else sees."""
    lock = fcntl.flock
    removed: list[Path] = []

    def late(file: int, how: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            for path in removed:
                path.unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with share("a", 0.0, tmp_path):
        assert removed
        with pytest.raises(LaneError):
            with share("a", 0.95, tmp_path):
                pass


def test_folder_that_others_can_enter_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is this user's alone, and refused where it is not."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = runtime_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert runtime_folder() == folder
    os.chmod(folder, 0o755)
    with pytest.raises(LaneError, match="is open to other users"):
        runtime_folder()
