"""What of a base's configuration holds, and what the recipe puts in its place: Dockerfile's FROM, in a table."""

from __future__ import annotations

from typing import Any

import pytest

from oci_builder.assemble.app_layer import keeps_user, run_config
from oci_builder.bases import Base
from oci_builder.oci.documents import RunConfig
from oci_builder.oci.inherited import inherit
from oci_builder.platforms import AMD64
from oci_builder.recipes import ImageToml
from oci_builder.tomlfile import convert
from oci_builder.tree.accounts import ids_of
from oci_builder.tree.entry import file
from oci_builder.tree.tree import Tree

BASE = {
    "User": "app:team",
    "Env": ["PATH=/opt/bin", "LANG=C"],
    "Entrypoint": ["/init"],
    "Cmd": ["serve"],
    "WorkingDir": "/srv",
    "Labels": {"a": "1", "b": "1"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "StopSignal": "SIGINT",
}


def based(**run: Any) -> Base:
    inherited = inherit({"config": run}, layers=0, what="x")
    return Base(
        name="x",
        layers=(),
        tree=Tree(),
        platform=AMD64,
        promise=None,
        env=inherited.run.env,
        inherited=inherited,
    )


def run(base: Base, **document: Any) -> RunConfig:
    recipe = convert({"name": "app", **document}, ImageToml, file="a test")
    return run_config(recipe, base, labels={"b": "2"})


def test_what_the_recipe_leaves_open_is_the_bases() -> None:
    found = run(based(**BASE))
    assert (found.user, found.entrypoint, found.cmd, found.workdir) == ("app:team", ("/init",), ("serve",), "/srv")
    assert found.env["PATH"] == "/opt/bin" and found.env["LANG"] == "C" and "HOME" not in found.env
    assert found.labels == {"a": "1", "b": "2"}
    assert (found.exposed_ports, found.volumes, found.stop_signal) == (("80/tcp",), ("/data",), "SIGINT")


@pytest.mark.parametrize(
    ("config", "entrypoint", "cmd"),
    [
        ({"cmd": ["other"]}, ("/init",), ("other",)),
        ({"cmd": ["python3"]}, ("/init",), ("python3",)),
        ({"entrypoint": ["/own"]}, ("/own",), ()),
        ({"entrypoint": ["/own"], "cmd": ["x"]}, ("/own",), ("x",)),
    ],
)
def test_an_entrypoint_of_ones_own_takes_the_bases_cmd_away(
    config: dict[str, Any], entrypoint: tuple[str, ...], cmd: tuple[str, ...]
) -> None:
    found = run(based(**BASE), config=config)
    assert (found.entrypoint, found.cmd) == (entrypoint, cmd)


def test_a_base_that_runs_nothing_gets_python() -> None:
    assert run(based()).cmd == ("python3",)


@pytest.mark.parametrize("user", ["", "root", "0", "0:0", "root:root"])
def test_on_a_base_of_roots_the_recipes_user_runs(user: str) -> None:
    found = run(based(User=user, WorkingDir="/"))
    assert (found.user, found.workdir, found.env["HOME"]) == ("1000:1000", "/home/sandbox", "/home/sandbox")


def test_a_user_of_the_recipes_own_replaces_the_bases() -> None:
    found = run(based(**BASE), user={"name": "me", "uid": 7})
    assert (found.user, found.workdir, found.env["HOME"]) == ("7:1000", "/srv", "/home/me")


def test_ports_and_volumes_add_up() -> None:
    found = run(based(**BASE), config={"exposed-ports": [8080], "volumes": ["/more"], "stop-signal": "SIGTERM"})
    assert found.exposed_ports == ("80/tcp", "8080/tcp") and found.volumes == ("/data", "/more")
    assert found.stop_signal == "SIGTERM"


def test_a_base_of_layers_has_no_user_to_keep() -> None:
    base = Base(name="x", layers=(), tree=Tree(), platform=AMD64, promise=None)
    assert not keeps_user(ImageToml(name="app"), base)


def test_the_bases_user_is_known_by_name_and_number() -> None:
    passwd = file("etc/passwd", b"root:x:0:0::/:/bin/sh\napp:x:1500:1600::/app:/bin/sh\n", origin="base")
    tree = Tree([passwd, file("etc/group", b"team:x:1700:\n", origin="base")])
    users = {"app": (1500, 1600), "app:team": (1500, 1700), "1500": (1500, 1600), "9": (9, 0), "9:8": (9, 8)}
    assert {user: ids_of(tree, user) for user in users} == users
