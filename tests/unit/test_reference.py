from __future__ import annotations

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.reference import Reference

DIGEST = str(Digest.of(b""))


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("mypy", "docker.io/library/mypy:latest"),
        ("mypy:1.0", "docker.io/library/mypy:1.0"),
        ("team/mypy", "docker.io/team/mypy:latest"),
        ("docker.io/mypy", "docker.io/library/mypy:latest"),
        ("index.docker.io/library/mypy:1", "docker.io/library/mypy:1"),
        ("localhost/mypy", "localhost/mypy:latest"),
        ("localhost:5000/mypy", "localhost:5000/mypy:latest"),
        ("localhost:5000/a/b_c/d-e:V.1", "localhost:5000/a/b_c/d-e:V.1"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x:latest"),
        ("[::1]:5000/x:y", "[::1]:5000/x:y"),
        ("example.com/a__b", "example.com/a__b:latest"),
        (f"mypy@{DIGEST}", f"docker.io/library/mypy@{DIGEST}"),
        (f"mypy:1@{DIGEST}", f"docker.io/library/mypy:1@{DIGEST}"),
    ],
)
def test_a_reference_means_what_docker_means_by_it(text: str, full: str) -> None:
    assert str(Reference.parse(text)) == full
    assert Reference.parse(full) == Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":latest",
        "mypy:",
        "Mypy",
        "a//b",
        "/mypy",
        "mypy/",
        "example.com/",
        "a b",
        "mypy:-x",
        "mypy:" + "x" * 129,
        "mypy@sha256:12",
        "mypy@",
        "a" * 256,
        "-a.example/x",
        "a..b.example/x",
        "ä",
        "mypy\n",
    ],
)
def test_what_no_engine_would_take_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/mypy:1", "mypy:1"),
        ("docker.io/team/mypy", "team/mypy:latest"),
        ("localhost/x:1", "localhost/x:1"),
    ],
)
def test_a_person_reads_the_short_form(text: str, familiar: str) -> None:
    assert Reference.parse(text).familiar == familiar
    assert Reference.parse(familiar) == Reference.parse(text)
