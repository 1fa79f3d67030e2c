"""What other people's programs write holds: verify says no to what is wrong, not to what is made elsewhere."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.verify.results import Report
from oci_builder.verify.verify import verify_file
from tests.support.archives import folder, make_tar, member
from tests.support.engines import DockerLike, call, unmount_below
from tests.support.images import fresh_nonce
from tests.support.imported import config_of, save_layout
from tests.support.real import need, oracles

pytestmark = pytest.mark.real


def rootfs() -> bytes:
    """Like a debootstrapped system: devices, a pipe, names with a dot, a hard link with a mode of its own."""
    return make_tar(
        folder("./"),
        folder("./dev"),
        member("./dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("./dev/sda", tarfile.BLKTYPE, devmajor=8),
        member("./dev/initctl", tarfile.FIFOTYPE),
        folder("./bin"),
        member("./bin/a", data=fresh_nonce().encode(), mode=0o755),
        member("./b", tarfile.LNKTYPE, target="./bin/a"),
        member("./link", tarfile.SYMTYPE, target="bin"),
        form=tarfile.GNU_FORMAT,
    )


def bare() -> bytes:
    """Files without their folders, some of them absolute."""
    return make_tar(member("etc/x/conf", data=fresh_nonce().encode()), member("/opt/y"), form=tarfile.GNU_FORMAT)


def holds(path: Path) -> Report:
    report = verify_file(path)
    assert report.findings == ()
    assert report.images
    return report


@pytest.mark.parametrize("name", ["docker", "podman", "newest_docker"])
def test_what_an_engine_imported_and_saved_holds(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine: DockerLike = request.getfixturevalue(name)
    for number, tar in enumerate((rootfs(), bare())):
        (tmp_path / "rootfs.tar").write_bytes(tar)
        engine.call("import", tmp_path / "rootfs.tar", f"localhost/imported:{number}")
        engine.call("save", "--output", tmp_path / f"{number}.tar", f"localhost/imported:{number}")
        assert holds(tmp_path / f"{number}.tar").remarks
    more = ["--multi-image-archive"] if name == "podman" else []
    engine.call("save", *more, "--output", tmp_path / "both.tar", "localhost/imported:0", "localhost/imported:1")
    assert len(holds(tmp_path / "both.tar").images) == 2


def test_what_docker_built_holds_also_where_a_folder_took_a_links_place(docker: DockerLike, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(rootfs())
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "f").write_text("x")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\nCOPY link /new/link\nWORKDIR /w\nENV A=1\n")
    docker.call("build", "--tag", "built:1", tmp_path)
    docker.call("save", "--output", tmp_path / "saved.tar", "built:1")
    holds(tmp_path / "saved.tar")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    tar = rootfs()
    return save_layout(tmp_path / "layout", [tar], config_of([tar]))


@pytest.mark.parametrize("to", ["oci:{}:1", "oci-archive:{}:x:1", "docker-archive:{}:x:1"])
def test_what_skopeo_writes_holds(layout: Path, tmp_path: Path, to: str) -> None:
    need("skopeo", root=False)
    call("skopeo", "copy", "--insecure-policy", f"oci:{layout}", to.format(tmp_path / "copy"))
    holds(tmp_path / "copy")


def test_what_umoci_writes_holds_and_what_it_left_is_remarked(tmp_path: Path) -> None:
    need("umoci", root=False)
    place = tmp_path / "layout"
    (tmp_path / "f").write_text("x\n")
    call("umoci", "init", "--layout", place)
    call("umoci", "new", "--image", f"{place}:1")
    call("umoci", "insert", "--rootless", "--image", f"{place}:1", tmp_path / "f", "/srv/f")
    call("umoci", "config", "--image", f"{place}:1", "--config.env", "A=1", "--tag", "2")
    report = holds(place)
    assert len(report.images) == 2
    assert any("without its two closing blocks" in line for line in report.remarks)
    assert any("nothing refers to it" in line for line in report.remarks)


@pytest.fixture
def buildkit() -> Iterator[list[str | Path]]:
    """The newest BuildKit: what stands before a subcommand."""
    place = oracles("buildkitd", "buildctl", "runc")
    # A short name: a unix socket's path has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bk-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        address = f"unix://{folder}/s"
        argv: list[str | Path] = [place / "buildkitd", "--root", folder / "r", "--addr", address]
        argv += ["--oci-worker-binary", "runc", "--containerd-worker=false"]
        environ = {"PATH": f"{place}:/usr/bin:/usr/sbin:/bin:/sbin", "HOME": "/nonexistent"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, env=environ)
        client: list[str | Path] = [place / "buildctl", "--addr", address]
        try:
            until = time.monotonic() + 30
            while call(*client, "debug", "workers", check=False).returncode:
                assert time.monotonic() < until and process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield client
        finally:
            process.terminate()
            process.wait(30)
            unmount_below(folder)


@pytest.mark.parametrize(
    ("output", "flags", "images"),
    [
        ("type=docker,name=x:1,dest={}", [], 1),
        ("type=oci,name=x:1,dest={}", ["--opt", "attest:provenance=mode=max"], 1),
        ("type=oci,tar=false,dest={}", ["--opt", "platform=linux/amd64,linux/arm64"], 2),
        ("type=oci,compression=zstd,force-compression=true,dest={}", [], 1),
    ],
)
def test_what_buildkit_writes_holds(
    buildkit: list[str | Path], tmp_path: Path, output: str, flags: list[str], images: int
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "rootfs.tar").write_bytes(rootfs())
    (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\nCOPY Dockerfile /link/f\nWORKDIR /w\n")
    local = ["--local", f"context={context}", "--local", f"dockerfile={context}"]
    to = output.format(tmp_path / "out")
    call(*buildkit, "build", "--frontend", "dockerfile.v0", *local, *flags, "--output", to)
    assert len(holds(tmp_path / "out").images) == images
