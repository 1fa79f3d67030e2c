"""A build that is stopped: by Ctrl-C, politely, or outright. Whoever builds next finds nothing in the way."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.tiny import Tiny, built, make_tiny, start_ocibuild, unsound
from tests.support.wheels import make_wheel

ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def stopped(
    tiny: Tiny,
    number: signal.Signals,
    *flags: str,
    when: Callable[[], bool],
    everybody: bool = False,
    environ: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Start a build, signal it as soon as ``when`` holds, and give its exit code and what it said.

    ``everybody`` signals its children as well, as a terminal does. Fails the test if one of them outlives it.
    """
    process = start_ocibuild(*tiny.words(*flags), environ=environ)
    while not when() and process.poll() is None:
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):  # it was quicker than we
        (os.killpg if everybody else os.kill)(process.pid, number)
    try:
        _, said = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("it does not end")
    await_nobody(process.pid)
    return process.returncode, said


def await_nobody(session: int) -> None:
    """Wait for the last process of a session to end; fails the test when one does not."""
    for _ in range(200):
        if not (left := members(session)):
            return
        time.sleep(0.05)
    pytest.fail(f"left behind: {left}")


def members(session: int) -> list[str]:
    """The programs of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (path / "stat").read_text().rpartition(") ")
        except OSError:
            continue  # it has just ended
        state, _, _, leader = rest.split()[:4]
        if int(leader) == session and state != "Z":
            found.append(name)
    return found


def leftovers(tiny: Tiny) -> list[str]:
    """Half-written things, beside the image and in the cache."""
    return [path.name for path in tiny.root.glob(".app.tar*")] + unsound(tiny.cache)


def at_the_layers(tiny: Tiny) -> Callable[[], bool]:
    """The wheels have been looked through; their layers are next."""
    return lambda: any((tiny.cache / "v1" / "records" / "claims").glob("*.json"))


def at_a_half_written_layer(tiny: Tiny) -> Callable[[], bool]:
    """A worker writes."""
    # Not by glob, which fails where a folder goes while it looks.
    return lambda: any(names for _, _, names in os.walk(tiny.cache / "v1" / "tmp"))


def at_a_half_written_image(tiny: Tiny) -> Callable[[], bool]:
    """The image is being put together."""
    return lambda: any(tiny.root.glob(".app.tar*"))


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("everybody", [True, False], ids=["group", "alone"])
def test_stopped_while_workers_and_their_compilers_run(tiny: Tiny, number: signal.Signals, everybody: bool) -> None:
    expected = built(tiny)
    tiny.forget()
    # The tiny base's loader reads all and answers nothing: a compiler that never comes to an end.
    tiny.set_bytecode("default")
    code, said = stopped(tiny, number, when=at_the_layers(tiny), everybody=everybody)
    assert code == ENDS[number], said
    assert "Traceback" not in said
    assert number == signal.SIGKILL or leftovers(tiny) == []
    tiny.set_bytecode("none")
    assert built(tiny) == expected


@pytest.mark.parametrize("library", ["_uuid", "_hashlib", "msgspec", "deflate"])
def test_stopped_while_it_is_still_being_loaded(tiny: Tiny, library: str) -> None:
    process = start_ocibuild(*tiny.words())
    while library not in (loaded := mapped(process.pid)) and loaded:
        pass
    if not loaded:
        process.communicate(timeout=60)
        pytest.skip(f"this Python loads no {library}")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip().splitlines()[-1:]) == (130, ["ocibuild: interrupted"])
    assert "Traceback" not in said
    await_nobody(process.pid)


def test_in_the_background_of_a_script_it_goes_on(tiny: Tiny) -> None:
    expected = built(tiny)
    tiny.forget()
    process = start_ocibuild(*tiny.words(), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    while not any(name in mapped(process.pid) for name in ("_hashlib", "msgspec")) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert tiny.out.read_bytes() == expected


def mapped(pid: int) -> str:
    """The files a process has mapped; nothing once it has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def test_pressing_again_stops_nothing_of_what_the_first_time_began(tiny: Tiny) -> None:
    tiny.set_bytecode("default")
    process = start_ocibuild(*tiny.words())
    ready = at_the_layers(tiny)
    while not ready() and process.poll() is None:
        time.sleep(0.002)
    for _ in range(5):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "ocibuild: interrupted" in said and "Traceback" not in said
    await_nobody(process.pid)
    assert leftovers(tiny) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", ["resolve", "fetch"])
def test_stopped_while_pip_waits_for_its_index(tiny: Tiny, number: signal.Signals, work: str) -> None:
    if work == "resolve":
        tiny.require("whole==3.0")
    else:
        shutil.rmtree(tiny.wheels)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple/"
        environ = {**os.environ, "PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1"}
        code, said = stopped(
            tiny, number, "--online", when=lambda: select.select([silent], [], [], 0)[0] != [], environ=environ
        )
    assert code == ENDS[number], said
    assert "Traceback" not in said
    assert leftovers(tiny) == []


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("moment", [at_a_half_written_layer, at_a_half_written_image])
def test_stopped_while_it_writes(
    tiny: Tiny, number: signal.Signals, moment: Callable[[Tiny], Callable[[], bool]]
) -> None:
    make_wheel(tiny.wheels, "noise", "1.0", files={"noise.bin": os.urandom(6 << 20)}, compression=zipfile.ZIP_STORED)
    tiny.lock()
    expected = built(tiny)
    tiny.forget()
    code, said = stopped(tiny, number, when=moment(tiny))
    assert "Traceback" not in said
    # Nothing can hold a build back while it writes, so it may come to its end before the signal.
    assert (code, tiny.out.exists()) in ((ENDS[number], False), (0, True), (ENDS[number], True))
    assert number == signal.SIGKILL or leftovers(tiny) == []
    assert not tiny.out.exists() or tiny.out.read_bytes() == expected
    assert built(tiny) == expected
