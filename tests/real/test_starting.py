"""What the gate says cannot start does not start, and what it lets start starts: docker and the kernel say which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from oci_builder.bases import open_base
from oci_builder.gate.gate import BaseContents, GateRules, gate
from oci_builder.image import Image
from oci_builder.oci.documents import RunConfig
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.real.conftest import ROOT, build
from tests.support.elves import ElfSpec, make_elf
from tests.support.engines import DockerLike

pytestmark = pytest.mark.real

GOOD = b"#!/bin/sh\nexit 0\n"
FILES = {
    "good.sh": GOOD,
    "space.sh": b"#! \t/bin/sh  -e \nexit 0\n",
    "unended.sh": b"#!/bin/sh",
    "crlf.sh": b"#!/bin/sh\r\nexit 0\r\n",
    "crlf-option.sh": b"#!/bin/sh -e\r\nexit 0\n",
    "crlf-env.sh": b"#!/usr/bin/env python3\r\nexit\r\n",
    "bash.sh": b"#!/bin/bash\nexit 0\n",
    "env-bash.sh": b"#!/usr/bin/env bash\nexit 0\n",
    "env-python": b"#!/usr/bin/env python3\nraise SystemExit(0)\n",
    "env-split": b"#!/usr/bin/env -S python3 -I\nraise SystemExit(0)\n",
    "env-split-bash": b"#!/usr/bin/env -S A=1 bash -e\n",
    "env-one-word": b"#!/usr/bin/env python3 -I\nraise SystemExit(0)\n",
    "bom.sh": b"\xef\xbb\xbf#!/bin/sh\nexit 0\n",
    "text": b"exit 0\n",
    "empty": b"",
    "no-interpreter": b"#!\nexit 0\n",
    "relative.sh": b"#!bin/sh\nexit 0\n",
    "folder.sh": b"#!/usr\n",
    "unable.sh": b"#!/plain/plain.sh\n",
    "long.sh": b"#!/" + b"x" * 300 + b"\n",
    "long-option.sh": b"#!/bin/sh " + b" " * 300 + b"\n",
    "nul.sh": b"#!/bin/sh\0-x\nexit 0\n",
    "loader": make_elf(ElfSpec(interpreter="/lib/nowhere.so.1")),
    "library": make_elf(ElfSpec(interpreter="/lib64/ld-linux-x86-64.so.2", needed=["libfar.so.1"])),
    "machine": make_elf(ElfSpec(machine="aarch64")),
    "damaged": make_elf()[:100],
    **{f"nested{depth}": f"#!/t/nested{depth - 1}\n".encode() if depth else GOOD for depth in range(8)},
}
RECIPE = """
platforms = ["linux/amd64"]
[config]
cmd = ["python3", "-c", "import time; time.sleep(3600)"]
[[copy]]
src = "t"
dest = "/t"
[[copy]]
src = "t/good.sh"
dest = "/plain/plain.sh"
mode = "0644"
[[copy]]
src = "t/good.sh"
dest = "/early/tool"
mode = "0644"
[[copy]]
src = "t/good.sh"
dest = "/late/tool"
[[copy]]
src = "t/good.sh"
dest = "/private/roots.sh"
mode = "0700"
[[copy]]
src = "t/good.sh"
dest = "/private/group.sh"
mode = "0710"
owner = "0:1000"
[[copy]]
src = "t/good.sh"
dest = "/private/readers.sh"
mode = "0750"
owner = "0:1000"
[[copy]]
src = "t/good.sh"
dest = "/private/none.sh"
mode = "0077"
owner = "user"
[[copy]]
src = "t/good.sh"
dest = "/root/hidden.sh"
"""


@dataclass(frozen=True)
class Way:
    """One way to start something."""

    words: tuple[str, ...]
    user: str = "1000:1000"
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([*self.words, self.user, self.workdir, *self.env.values()])


ROOT_USER = "0:0"
WAYS = [
    *(Way((f"/t/{name}",)) for name in FILES),
    Way(("/t/relative.sh",), workdir="/t"),
    Way(("python3", "-c", "pass")),
    Way(("python3 -c pass",)),
    Way(("nosuch",)),
    Way(("good.sh",)),
    Way(("good.sh",), env={"PATH": "/nowhere:/t"}),
    Way(("tool",), env={"PATH": "/early:/late"}),
    Way(("tool",), env={"PATH": "/early"}),
    Way(("/t/env-python",), env={"PATH": "/t"}),
    Way(("./good.sh",), workdir="/t"),
    Way(("t/good.sh",)),
    Way(("t/good.sh",), workdir="/t"),
    Way(("/t",)),
    Way(("/t/good.sh/",)),
    Way(("/t/good.sh/more",)),
    Way(("/t/../t//good.sh",)),
    Way(("/plain/plain.sh",)),
    Way(("/plain/plain.sh",), user=ROOT_USER),
    *(
        Way((f"/private/{name}.sh",), user=user)
        for name in ("roots", "group", "readers", "none")
        for user in ("1000:1000", "0:0")
    ),
    Way(("/private/group.sh",), user="1001:1001"),
    Way(("/root/hidden.sh",)),
    Way(("/root/hidden.sh",), user=ROOT_USER),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image with all of it."""
    project = tmp_path_factory.mktemp("starting")
    folder = project / "build" / "starting"
    (folder / "t").mkdir(parents=True)
    for name, data in FILES.items():
        (folder / "t" / name).write_bytes(data)
        (folder / "t" / name).chmod(0o755)
    (folder / "image.toml").write_text(RECIPE)
    build("starting", "--out", str(project / "out.tar"), "--layers", str(ROOT / "layers"), project=project)
    return project / "out.tar"


@pytest.fixture(scope="module")
def container(docker: DockerLike, archive: Path) -> Iterator[str]:
    """A container of that image in which other things can be started."""
    name = docker.load(archive)
    container = docker.call("run", "--detach", "--network=none", name).stdout.strip()
    yield container
    docker.call("rm", "--force", container)
    docker.remove(name)


def starts(docker: DockerLike, container: str, way: Way) -> bool:
    options = ["--user", way.user, "--workdir", way.workdir]
    options += [f"--env={name}={value}" for name, value in way.env.items()]
    # All that can be started ends with 0.
    return docker.call("exec", *options, container, *way.words, check=False).returncode == 0


def test_the_gate_and_the_kernel_agree_on_what_starts(
    docker: DockerLike, container: str, archive: Path, store: Store
) -> None:
    base = open_base(archive, AMD64, store=store, reporter=Quiet())
    ours = (replace(entry, origin="copy") for entry in base.tree if entry.path.partition("/")[0] in ("t", "plain"))
    ground = BaseContents(layers=base.layers, tree=base.tree.overlaid(ours), target=None)
    inherited = base.inherited.run.env if base.inherited else {}
    wrong = []
    for way in WAYS:
        run = RunConfig(user=way.user, workdir=way.workdir, entrypoint=way.words, env={**inherited, **way.env})
        image = Image(platform=AMD64, run=run, created=0, layers=base.layers)
        gated = gate(image, ground, rules=GateRules(), supplier=lambda _: "", store=store)
        started = starts(docker, container, way)
        if started is bool(gated.errors):
            wrong.append((str(way), started, gated.errors))
    assert wrong == [], "\n".join(map(str, wrong))
    assert len(WAYS) > 50
