"""Dockerfiles that want more of whoever reads them than there is."""

from __future__ import annotations

import pytest

from oci_builder.dockerfiles import translate
from oci_builder.errors import InvalidValue

BEGIN = "FROM python:3.13\n"


@pytest.mark.parametrize(
    "text",
    [
        BEGIN + "ENV A=aaaaaaaaaa\n" + "ENV A=$A$A\n" * 60,
        BEGIN + "ENV PATH=$PATH:$PATH\n" * 60,
        BEGIN + "ARG A=aaaaaaaaaa\n" + "ARG A=$A$A\n" * 60 + "COPY $A /x\n",
        "ARG A=aaaaaaaaaa\n" + "ARG A=$A$A\n" * 60 + BEGIN,
        BEGIN + f"ENV A={'a' * 30_000}\n" + "ENV B=$A\n" * 1000,
        BEGIN + "WORKDIR aaaaaaaaaaaaaaaaaaaa\n" * 1000,
        BEGIN + "ENV A=1\n" * 6000,
        BEGIN + "ENV " + " ".join(f"a{number}=1" for number in range(20_000)),
        BEGIN + "".join(f"COPY <<E /{number}\nE\n" for number in range(600)),
    ],
    ids=["env", "path", "arg", "arg before from", "sum", "workdir", "instructions", "words", "here-documents"],
)
def test_a_dockerfile_that_grows_as_it_is_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="more than"):
        translate(text, what="Dockerfile")


def test_half_of_a_letter_is_read_as_docker_reads_it() -> None:
    found = translate(BEGIN + 'CMD ["a\\ud800", "\\ud83d\\ude00"]\n', what="Dockerfile")
    assert found.recipe["config"]["cmd"] == ["a\N{REPLACEMENT CHARACTER}", "\N{GRINNING FACE}"]
