"""Builds that fail in several workers at once: each ends within seconds, with the error, and nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny import Tiny, build, make_tiny, start_ocibuild
from tests.support.wheels import make_wheel
from tests.unit.cli.test_interrupted import at_the_layers, await_nobody, leftovers, members

ROUNDS = max(int(os.environ.get("OCIBUILD_ENDINGS", "25")) // 5, 5)
"""Builds, each a process that starts two or three."""

SOON = 60.0
"""Seconds; a build takes one and ends in five at most, but the machine may be busy with other things."""


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def damage(wheel: Path, dice: random.Random) -> None:
    """Change a byte of one of its files, anywhere in it: whoever inflates that one notices."""
    with zipfile.ZipFile(wheel) as archive:
        infos = [info for info in archive.infolist() if info.filename.endswith(".bin")]
    info = dice.choice(infos)
    data = bytearray(wheel.read_bytes())
    start = info.header_offset + 30 + len(info.filename)
    data[start + dice.randrange(info.compress_size)] ^= 0xFF
    wheel.write_bytes(data)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a build and what it said. Fails the test when it, or one of its processes, does not end."""
    try:
        _, said = process.communicate(timeout=SOON)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        pytest.fail("it does not end")
    await_nobody(process.pid)
    return process.returncode, said


def test_builds_that_fail_in_several_workers_at_random_instants_end(tiny: Tiny) -> None:
    assert build(tiny).code == 0
    tiny.out.unlink()
    shutil.copytree(tiny.cache, based := tiny.root / "based")
    shutil.rmtree(tiny.wheels)
    names, dice = ("aa", "bb", "cc"), random.Random(3)
    for _ in range(ROUNDS):
        for name in names:
            files = {f"{name}/f{number}.bin": dice.randbytes(60_000) for number in range(20)}
            damage(make_wheel(tiny.wheels, name, "1.0", files=files), dice)
        tiny.lock()
        code, said = ended(start_ocibuild(*tiny.words("--frozen", "--jobs", "3")))
        assert code == 1, said
        assert "a damaged stream" in said or "its RECORD says otherwise" in said, said
        assert leftovers(tiny) == [] and not tiny.out.exists()
        shutil.rmtree(tiny.cache)
        shutil.copytree(based, tiny.cache)


@contextlib.contextmanager
def building(tiny: Tiny) -> Iterator[subprocess.Popen[str]]:
    """A build whose interpreters never come to an end with what they compile."""
    tiny.set_bytecode("default")
    process = start_ocibuild(*tiny.words("--jobs", "2"))
    ready = at_the_layers(tiny)
    while not ready() and process.poll() is None:
        time.sleep(0.002)
    yield process


def of(session: int, what: str) -> list[int]:
    """The processes of a session that run ``what``, but for its leader."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            _, _, rest = (path / "stat").read_text().rpartition(") ")
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if int(rest.split()[3]) == session != int(path.name) and what in words:
                found.append(int(path.name))
    return found


@pytest.mark.parametrize("what", ["oci_builder", "sed"], ids=["worker", "interpreter"])
def test_a_process_that_is_killed_ends_the_build_and_is_named(tiny: Tiny, what: str) -> None:
    with building(tiny) as process:
        while not (of(process.pid, "sed") and (found := of(process.pid, what))) and process.poll() is None:
            time.sleep(0.005)
        os.kill(found[0], signal.SIGKILL)
        code, said = ended(process)
    assert code == 1, said
    who = "a worker" if what == "oci_builder" else "the target's Python"
    assert f"ocibuild: {who} was killed, probably for memory" in said
    assert "hint: build with --jobs 1" in said
    assert leftovers(tiny) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_heed_nothing_do_not_keep_a_build_from_ending(tiny: Tiny, number: signal.Signals) -> None:
    with building(tiny) as process:
        while not (found := of(process.pid, "oci_builder")) and process.poll() is None:
            time.sleep(0.005)
        # A process that is stopped answers as one does that the kernel holds: not at all.
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        process.send_signal(number)
        code, said = ended(process)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], said
    assert "Traceback" not in said
    assert leftovers(tiny) == []
    assert members(process.pid) == []


@pytest.mark.parametrize("files", [5, 8, 12, 16, 18, 20, 24, 40])
def test_with_few_open_files_there_is_an_image_or_an_error_that_says_so(tiny: Tiny, files: int) -> None:
    process = start_ocibuild(
        *tiny.words("--jobs", "2"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    )
    code, said = ended(process)
    assert code in (0, 1) and "Traceback" not in said, said
    assert code == 0 or ("too many open files" in said and "ulimit -n" in said), said
    assert (code == 0) == tiny.out.exists()
    assert files < 40 or code == 0


@pytest.mark.parametrize("megabytes", [40, 80, 120, 2000])
def test_with_little_memory_there_is_an_image_or_an_error_that_says_so(tiny: Tiny, megabytes: int) -> None:
    limit = megabytes << 20
    process = start_ocibuild(
        *tiny.words("--jobs", "2"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    )
    code, said = ended(process)
    assert code in (0, 1) and "internal error" not in said, said
    assert (code == 0) == tiny.out.exists()
    assert megabytes < 2000 or code == 0
