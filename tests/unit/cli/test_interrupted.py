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
    return lambda: any((tiny.cache / "v1" / "blobs" / "sha256").glob(".new-*"))


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


def test_two_builds_at_once_on_one_cache_do_not_disturb_each_other(tiny: Tiny) -> None:
    expected = built(tiny)
    tiny.forget()
    outs = [tiny.root / "one.tar", tiny.root / "two.tar"]
    running = [start_ocibuild(*tiny.words("--out", str(out))) for out in outs]
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert [out.read_bytes() for out in outs] == [expected, expected]
    assert unsound(tiny.cache) == []
