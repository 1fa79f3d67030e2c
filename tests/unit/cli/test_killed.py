"""Builds that end at any instant, and many at once: the cache they share stays good."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.processes import children, ends
from tests.support.tiny import Tiny, built, make_tiny, start_ocibuild, unsound

INSTANTS = 12


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def killed(tiny: Tiny, after: float | None) -> float:
    """Start a build and kill it with all its children so many seconds after it has opened its cache.

    Gives how long it ran from then on; without ``after`` it comes to its end.
    """
    with start_ocibuild(*tiny.words()) as process:
        while not (tiny.cache / "v1" / "tmp").exists() and process.poll() is None:
            time.sleep(0.001)
        begun = time.monotonic()
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):  # it was quicker than we
                os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        return time.monotonic() - begun


def test_a_build_killed_at_any_instant_is_in_nobodys_way(tiny: Tiny) -> None:
    expected = built(tiny)
    tiny.forget()
    whole = killed(tiny, None)
    dice = random.Random(5)
    for number in range(INSTANTS):
        tiny.forget()
        killed(tiny, whole * (number + dice.random()) / INSTANTS)
        assert not tiny.out.exists() or tiny.out.read_bytes() == expected
        assert main(["cache", "verify", "--quiet", "--cache-dir", str(tiny.cache)]) == 0
        tiny.out.unlink(missing_ok=True)
        assert built(tiny) == expected
        assert [path.name for path in tiny.root.glob(".app.tar*")] + unsound(tiny.cache) == []


def test_a_killed_build_takes_its_pip_along(tiny: Tiny) -> None:
    (tiny.image / "pylock.toml").unlink()
    tiny.wheels.rename(tiny.root / "shelf")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        environ = {**os.environ, "PIP_INDEX_URL": index, "PIP_RETRIES": "0", "PIP_TIMEOUT": "600"}
        with start_ocibuild(*tiny.words(), environ=environ) as process:
            asked, _ = silent.accept()
            with asked:
                pips = children(process.pid)
                assert pips
                process.kill()
                process.wait(60)
                assert all(map(ends, pips))


def test_a_build_beside_one_that_is_killed_is_right(tiny: Tiny) -> None:
    expected = built(tiny)
    dice = random.Random(7)
    for _ in range(4):
        tiny.forget()
        outs = [tiny.root / "killed.tar", tiny.root / "right.tar"]
        first, second = (start_ocibuild(*tiny.words("--out", str(out))) for out in outs)
        while not (tiny.cache / "v1" / "tmp").exists() and first.poll() is None:
            time.sleep(0.001)
        time.sleep(dice.random() / 2)
        with contextlib.suppress(ProcessLookupError):  # it was quicker than we
            os.killpg(first.pid, signal.SIGKILL)
        first.communicate(timeout=60)
        assert second.communicate(timeout=60)[1] and second.returncode == 0
        assert outs[1].read_bytes() == expected
        assert not outs[0].exists() or outs[0].read_bytes() == expected
        assert built(tiny, "--out", str(tiny.out)) == expected
        assert unsound(tiny.cache) == []


def test_many_builds_at_once_on_an_empty_cache_that_others_prune_and_clear(tiny: Tiny) -> None:
    expected = built(tiny)
    shutil.rmtree(tiny.cache)
    outs = [tiny.root / f"{number}.tar" for number in range(4)]
    running = [start_ocibuild(*tiny.words("--out", str(out))) for out in outs]
    removers = (["clear"], ["prune", "--unused-for", "0"], ["prune", "--cache-max-size", "1kB"])
    while any(process.poll() is None for process in running):
        for words in removers:
            assert main(["cache", *words, "--quiet", "--cache-dir", str(tiny.cache)]) in (0, 1)
        time.sleep(0.01)
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0, 0], said
    assert all(out.read_bytes() == expected for out in outs)
    assert unsound(tiny.cache) == []
