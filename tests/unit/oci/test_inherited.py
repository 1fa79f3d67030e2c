"""What an image takes over from its base's configuration: all but what is untrue of whatever stands on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oci_builder.errors import UnsupportedImage
from oci_builder.image import Image
from oci_builder.layer import write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.oci.inherited import inherit
from oci_builder.oci.jsonio import decode
from oci_builder.platforms import AMD64
from oci_builder.store import Store
from oci_builder.tree.tree import Tree

CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "author": "somebody",
    "container": "0123",
    "created": "2024-05-06T07:08:09.123456789Z",
    "docker_version": "20.10",
    "history": [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs"},
        {"created_by": "ENV A=1", "empty_layer": True},
    ],
    "os.features": ["x"],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    "config": {
        "Hostname": "0123",
        "User": "app",
        "Env": ["A=1", "B=x=y", "PATH=/bin"],
        "Cmd": ["serve"],
        "Entrypoint": "start all",
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "StopSignal": "SIGINT",
        "Shell": ["/bin/ash", "-c"],
        "Healthcheck": {"Test": ["CMD", "true"], "StartInterval": 5},
        "OnBuild": ["RUN make"],
        "Tty": False,
    },
}


def test_what_a_container_runs_by_is_read() -> None:
    found = inherit(CONFIG, layers=1, what="x")
    assert found.run == RunConfig(
        user="app",
        env={"A": "1", "B": "x=y", "PATH": "/bin"},
        entrypoint=("start all",),
        cmd=("serve",),
        workdir="/srv",
        labels={"a": "b"},
        exposed_ports=("80/tcp",),
        volumes=("/data",),
        stop_signal="SIGINT",
    )
    assert found.created == 1_714_979_289
    assert found.triggers == ("RUN make",)


def test_unknown_keys_are_kept_and_those_of_the_build_are_not() -> None:
    found = inherit(CONFIG, layers=1, what="x")
    assert found.rest == {"author": "somebody", "os.features": ["x"]}
    assert found.run_rest == {"Shell": ["/bin/ash", "-c"], "Healthcheck": CONFIG["config"]["Healthcheck"]}


def test_an_image_on_it_has_its_history_and_its_unknown_keys(store: Store) -> None:
    base, own = (write_layer(Tree(), store, created_by=name, holds=()) for name in ("base", "own"))
    base = replace(base, imported=True)
    inherited = inherit(CONFIG, layers=1, what="x")
    image = Image(platform=AMD64, run=RunConfig(user="1:1"), created=0, layers=(base,), inherited=inherited)
    document = decode(image.append(own).config, what="x")
    assert document["history"] == [*CONFIG["history"], {"created": "1970-01-01T00:00:00Z", "created_by": "own"}]
    assert document["author"] == "somebody" and "container" not in document
    assert document["config"] == {**inherited.run_rest, "User": "1:1"}


def test_a_history_that_does_not_fit_its_layers_is_replaced() -> None:
    assert inherit(CONFIG, layers=2, what="x").history == ({"comment": "from the base image"},) * 2


def test_a_configuration_that_says_nothing_gives_nothing() -> None:
    found = inherit({"config": None, "history": None}, layers=0, what="x")
    assert (found.run, found.created, found.history, found.rest) == (RunConfig(), 0, (), {})


@pytest.mark.parametrize("run", [[], {"Env": [1]}, {"Cmd": {}}, {"Labels": []}])
def test_values_of_another_type_are_refused(run: object) -> None:
    with pytest.raises(UnsupportedImage, match="the base: "):
        inherit({"config": run}, layers=0, what="the base")
