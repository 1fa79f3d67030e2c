"""Images that go past: to stdout, to pipes and devices, to an engine that loads them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ends
from tests.support.tiny import CHECKOUT, Tiny, build, built, make_tiny, run_ocibuild, start_ocibuild

SECONDS = 100


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    tiny = make_tiny(tmp_path / "project")
    tiny.lock()
    return tiny


@pytest.fixture
def expected(tiny: Tiny) -> bytes:
    """The file that everything below has to hold, written as a file is."""
    return built(tiny)


def written(tiny: Tiny, out: str, into: Path, *flags: str, mode: str = "wb") -> subprocess.CompletedProcess[bytes]:
    """Run as a shell would with ``> into``."""
    words = [sys.executable, "-m", "oci_builder", *tiny.words("--out", out, *flags)]
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with into.open(mode) as stdout:
        return subprocess.run(
            words, stdout=stdout, stderr=subprocess.PIPE, env=environ, timeout=SECONDS, check=False, cwd=tiny.root
        )


@pytest.mark.parametrize("out", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "lnk"])
def test_stdout_by_any_name_gets_the_image_every_time_and_keeps_what_was_there(
    tiny: Tiny, expected: bytes, out: str
) -> None:
    (tiny.root / "lnk").symlink_to("/dev/stdout")
    into = tiny.root / "into"
    into.write_bytes(b"before")
    for count in (1, 2):
        done = written(tiny, out, into, mode="ab")
        assert done.returncode == 0, done.stderr
        assert into.read_bytes() == b"before" + expected * count
    assert not (tiny.root / "-").exists()


def test_a_file_called_dash_can_be_written(tiny: Tiny, expected: bytes) -> None:
    done = written(tiny, "./-.tar", tiny.root / "into")
    assert (done.returncode, (tiny.root / "-.tar").read_bytes()) == (0, expected)


@pytest.mark.parametrize("name", ["pipe", "pipe.tar", "lnk.tar"])
def test_a_pipe_gets_the_image_and_stays_a_pipe(tiny: Tiny, expected: bytes, name: str) -> None:
    pipe = tiny.root / ("real" if name == "lnk.tar" else name)
    os.mkfifo(pipe)
    if name == "lnk.tar":
        (tiny.root / name).symlink_to("real")
    with subprocess.Popen(["/bin/cat", pipe], stdout=subprocess.PIPE) as reader:
        ending = build(tiny, "--out", str(tiny.root / name))
        if ending.code:
            reader.kill()  # it waits for whoever would write
        got = reader.communicate(timeout=SECONDS)[0]
    assert (ending.code, got == expected, pipe.is_fifo()) == (0, True, True), ending.said


def test_a_pipe_that_nobody_reads_yet_is_waited_for_with_a_word_and_the_wait_can_be_ended(
    tiny: Tiny, expected: bytes
) -> None:
    pipe = tiny.root / "pipe.tar"
    os.mkfifo(pipe)
    with start_ocibuild(*tiny.words("--out", str(pipe))) as process:
        assert process.stderr is not None
        heard = []
        while "waiting for whoever reads" not in (line := process.stderr.readline()):
            heard.append(line)
            assert line, heard
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    assert pipe.is_fifo() and expected


def test_a_compressed_pipe_holds_what_the_file_would(tiny: Tiny) -> None:
    pipe = tiny.root / "pipe.tgz"
    assert build(tiny, "--out", str(tiny.root / "file.tgz")).code == 0
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cat", pipe], stdout=subprocess.PIPE) as reader:
        assert build(tiny, "--out", str(pipe)).code == 0
        assert reader.communicate(timeout=SECONDS)[0] == (tiny.root / "file.tgz").read_bytes()


def test_a_reader_that_leaves_is_a_failure_in_one_sentence(tiny: Tiny) -> None:
    # More than a pipe holds: otherwise all is written before the reader has left.
    make_large(tiny)
    pipe = tiny.root / "pipe.tar"
    os.mkfifo(pipe)
    with subprocess.Popen(["/usr/bin/head", "-c", "10", pipe], stdout=subprocess.DEVNULL) as reader:
        ending = build(tiny, "--out", str(pipe))
        reader.kill()
    assert (ending.code, "pipe.tar: broken pipe" in ending.said) == (1, True), ending.said


def test_devices_take_it_or_say_why_not(tiny: Tiny, expected: bytes) -> None:
    assert build(tiny, "--out", "/dev/null").code == 0
    ending = build(tiny, "--out", "/dev/full")
    assert (ending.code, "/dev/full: no space left on device" in ending.said) == (1, True), ending.said
    assert expected


def test_a_pipe_under_the_usual_name_was_not_asked_for(tiny: Tiny) -> None:
    os.mkfifo(tiny.out)
    words = [word for word in tiny.words() if word not in ("--out", str(tiny.out))]
    done = run_ocibuild(*words, cwd=tiny.root)
    assert done.returncode == 1
    assert "app.tar: a named pipe, not a file" in done.stderr


def test_what_cannot_go_together_is_said_before_the_work(tiny: Tiny) -> None:
    for flags, why in {
        ("--json",): "--json and the image both go to stdout",
        ("--verify",): "--verify reads what was written again, and of stdout nothing can be",
        ("--platform", "linux/amd64", "--platform", "linux/arm64"): "2 platforms, and it takes the image of one",
    }.items():
        done = written(tiny, "-", tiny.root / "into", *flags)
        assert (done.returncode, why in done.stderr.decode()) == (2, True), done.stderr
        assert (tiny.root / "into").read_bytes() == b""
    assert not tiny.cache.exists() or not list((tiny.cache / "v1" / "blobs" / "sha256").iterdir())


def test_a_link_into_no_folder_a_folder_for_stdout_and_a_closed_descriptor_are_said_before_the_work(tiny: Tiny) -> None:
    (tiny.root / "astray.tar").symlink_to("nowhere/x.tar")
    for out, flags, code, why in (
        ("astray.tar", (), 1, "it leads to nowhere/x.tar, and there is no such folder"),
        ("-", ("--format", "oci-dir"), 2, "a folder cannot go to stdout"),
        ("/dev/fd/99", (), 2, "no open descriptor"),
    ):
        done = written(tiny, out, tiny.root / "into", *flags)
        assert (done.returncode, (tiny.root / "into").read_bytes()) == (code, b"")
        assert why in done.stderr.decode() and "layer" not in done.stderr.decode(), done.stderr
    assert not (tiny.root / "-").exists()


def test_a_terminal_gets_no_image(tiny: Tiny) -> None:
    ours, theirs = os.openpty()
    try:
        words = [sys.executable, "-m", "oci_builder", *tiny.words("--out", "-")]
        environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        done = subprocess.run(
            words, stdout=theirs, stderr=subprocess.PIPE, env=environ, timeout=SECONDS, text=True, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, "stdout: a terminal" in done.stderr) == (1, True), done.stderr


def test_a_damaged_layer_on_its_way_is_told_and_made_anew_the_next_time(tiny: Tiny, expected: bytes) -> None:
    blobs = tiny.cache / "v1" / "blobs" / "sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 255
    largest.chmod(0o644)
    largest.write_bytes(data)
    into = tiny.root / "into"
    done = written(tiny, "-", into)
    if done.returncode:
        assert b"what was written there is not whole" in done.stderr
        done = written(tiny, "-", into)
    assert (done.returncode, into.read_bytes() == expected) == (0, True), done.stderr


def engine(folder: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which a program of this name does what ``script`` says."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return {**os.environ, "PATH": str(folder), "PYTHONPATH": str(CHECKOUT)}


def test_load_hands_over_the_file_that_would_be_written_and_writes_none(tiny: Tiny, expected: bytes) -> None:
    tiny.out.unlink()
    took, has = tiny.root / "took", tiny.root / "has"
    has.write_text(json.dumps(what_docker_has(expected)))
    # The engine has the image already: it is asked, and not believed where everything is to be handed over.
    script = f'[ "$*" = load ] && /bin/cat > {took} && echo "Loaded image: it"; [ "$1" != image ] || /bin/cat {has}'
    environ = engine(tiny.root / "bin", "podman", script)
    words = [word for word in tiny.words("--load", "--json") if word not in ("--out", str(tiny.out))]
    done = run_ocibuild(*words, "--whole", environ=environ, cwd=tiny.root)
    assert done.returncode == 0, done.stderr
    assert took.read_bytes() == expected
    told = json.loads(done.stdout)
    assert told["loaded"] == "podman: Loaded image: it"
    assert told["load"]["travelled"] == told["load"]["whole"] == len(expected)
    # Another image has the name afterwards, whatever was said.
    has.write_text(json.dumps([{**what_docker_has(expected)[0], "Id": "0" * 64}]))
    done = run_ocibuild(*words, environ=environ, cwd=tiny.root)
    assert (done.returncode, "app:latest is image 000000000000 there afterwards" in done.stderr) == (1, True), done
    assert f"{tiny.root}/" not in done.stderr and "podman image inspect app:latest" in done.stderr
    assert not tiny.out.exists()


def what_docker_has(archive: bytes) -> list[dict[str, Any]]:
    """What an engine says of the image in an archive."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        (named,) = json.loads(files.extractfile("manifest.json").read())  # type: ignore[union-attr]  # it is a file
        config = files.extractfile(named["Config"]).read()  # type: ignore[union-attr]  # it is one as well
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    return [{"Id": hashlib.sha256(config).hexdigest(), "RootFS": {"Layers": diff_ids}}]


ENDINGS = {
    "exit 3: no daemon here": "/bin/cat > /dev/null; echo no daemon here >&2; exit 3",
    "exit 4: full": "/bin/dd bs=1 count=1 status=none of=/dev/null; echo full >&2; exit 4",
    "it did not take the image": "exit 0",
    "Error unpacking it": "/bin/cat > /dev/null; echo Loaded image: x; echo Error unpacking it",
    "killed by signal 9": "/bin/cat > /dev/null; kill -9 $$",
}


@pytest.mark.parametrize(("why", "script"), ENDINGS.items(), ids=ENDINGS)
def test_load_fails_as_the_engine_does_in_its_words(tiny: Tiny, why: str, script: str) -> None:
    make_large(tiny)
    # Whether its daemon answers is asked before the build.
    script = f'[ "$1" = version ] && exit 0; {script}'
    done = run_ocibuild(*tiny.words("--load"), environ=engine(tiny.root / "bin", "docker", script))
    assert (done.returncode, why in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


def make_large(tiny: Tiny) -> None:
    """More than fits into a pipe."""
    (tiny.image / "large").write_bytes(os.urandom(1 << 20))
    with (tiny.image / "image.toml").open("a") as stream:
        stream.write('[[copy]]\nsrc = "large"\ndest = "/srv/"\n')


def test_without_an_engine_load_says_so_before_the_work(tiny: Tiny) -> None:
    environ = {**engine(tiny.root / "bin", "other", ""), "PATH": f"{tiny.root / 'bin'}:."}
    done = run_ocibuild(*tiny.words("--load"), environ=environ)
    assert (done.returncode, "docker or podman: not found on PATH" in done.stderr) == (1, True), done.stderr
    assert not tiny.out.exists()


def test_an_engine_that_is_interrupted_ends_with_us(tiny: Tiny) -> None:
    make_large(tiny)
    told = tiny.root / "pid"
    environ = engine(
        tiny.root / "bin", "docker", f"echo $$ > {told}.new; /bin/mv {told}.new {told}; exec /bin/sleep 600"
    )
    with start_ocibuild(*tiny.words("--load"), environ=environ) as process:
        while not told.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert ends(int(told.read_text()))
