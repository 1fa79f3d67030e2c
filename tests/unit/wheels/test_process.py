"""Programs beside us: what they say is bounded, and nothing of them outlives us."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from oci_builder.errors import ToolFailed
from oci_builder.wheels import process
from oci_builder.wheels.process import Ended, Running

WAITS = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"


def run(code: str, *, running: Running | None = None, heard: list[str] | None = None) -> Ended:
    return process.run(
        lambda tell: [sys.executable, "-c", code, str(tell)],
        environ=os.environ,
        folder=None,
        clean=str,
        hear=heard.append if heard is not None else None,
        running=running or Running(),
    )


def sleepers(session: int) -> list[str]:
    """The processes of a session that are not dead."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found


def gone(session: int) -> bool:
    """Whether none of a session is left, a moment after it was killed."""
    until = time.monotonic() + 30
    while sleepers(session) and time.monotonic() < until:
        time.sleep(0.01)
    return not sleepers(session)


def test_what_is_said_and_told_and_how_it_ended_is_known() -> None:
    code = "import os, sys; print('one\\ntwo'); os.write(int(sys.argv[1]), b'data'); sys.exit(7)"
    heard: list[str] = []
    assert run(code, heard=heard) == Ended(7, "one\ntwo\n", b"data")
    assert heard == ["one", "two"]


def test_of_endless_output_the_first_and_the_last_is_kept() -> None:
    ended = run("import sys\nfor n in range(200): print(n, 'x' * 100_000)\nsys.stdout.write('end')")
    lines = ended.said.splitlines()
    assert max(map(len, lines)) <= process.LINE
    assert (lines[0][:2], lines[-1], lines[-2][:4]) == ("0 ", "end", "199 ")
    assert len(ended.said) < 5 << 20


def test_a_line_without_end_is_cut_and_what_follows_is_not() -> None:
    ended = run("import sys; sys.stdout.write('y' * 50_000_000 + '\\nnext\\n')")
    assert [line[:4] for line in ended.said.splitlines()] == ["yyyy", "next"]


def test_whoever_holds_the_pipe_open_is_not_waited_for() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '600']); print('done')"
    begun = time.monotonic()
    assert run(code).said == "done\n"
    assert time.monotonic() - begun < 60


def test_all_of_a_programs_session_is_killed_when_it_is_told_to_stop() -> None:
    running, sessions, ends = Running(), list[int](), list[Ended]()

    def hear(line: str) -> None:
        (begun,) = running._running
        sessions.append(begun.pid)

    def start() -> None:
        ends.append(
            process.run(
                lambda tell: [sys.executable, "-c", WAITS],
                environ=os.environ,
                folder=None,
                clean=str,
                hear=hear,
                running=running,
            )
        )

    thread = threading.Thread(target=start)
    thread.start()
    while not sessions:
        time.sleep(0.01)
    assert len(sleepers(sessions[0])) == 2
    running.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert ends[0].code == -9
    assert gone(sessions[0])


def test_an_exception_that_passes_by_kills_the_session() -> None:
    running, sessions = Running(), list[int]()

    class Stop(BaseException):
        pass

    def hear(line: str) -> None:
        (begun,) = running._running
        sessions.append(begun.pid)
        raise Stop

    with pytest.raises(Stop):
        process.run(
            lambda tell: [sys.executable, "-c", WAITS],
            environ=os.environ,
            folder=None,
            clean=str,
            hear=hear,
            running=running,
        )
    assert gone(sessions[0])


def test_a_program_that_is_started_after_all_were_stopped_is_killed_at_once() -> None:
    running = Running()
    running.stop()
    assert run("import time; time.sleep(600)", running=running).code == -9


@pytest.mark.parametrize(("code", "said"), [(-9, "SIGKILL, probably for memory"), (-11, "SIGSEGV"), (-99, "signal 99")])
def test_a_signal_that_killed_a_program_is_named(code: int, said: str) -> None:
    assert said in str(process.died(code, "pip"))


def test_a_nul_in_a_word_is_a_program_that_cannot_be_started() -> None:
    with pytest.raises(ToolFailed, match="null byte"):
        run("\0")
