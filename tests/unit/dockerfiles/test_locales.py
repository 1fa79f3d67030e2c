"""Locales of a Dockerfile: what people write to have one, and what becomes of it."""

from __future__ import annotations

import pytest

from oci_builder.dockerfiles.draft import Verdict
from oci_builder.dockerfiles.translating import translate

COMPILED = "apt-get install -y locales && localedef -i de_DE -c -f UTF-8 -A /usr/share/locale/locale.alias de_DE.UTF-8"


@pytest.mark.parametrize(
    "run",
    [
        COMPILED,
        "localedef -f UTF-8 -i de_DE de_DE",
        "localedef --inputfile=de_DE --charmap=UTF-8 de_DE.UTF-8",
        "sed -i '/de_DE.UTF-8/s/^# //g' /etc/locale.gen && locale-gen",
        "sed -i -e 's/# de_DE.UTF-8 UTF-8/de_DE.UTF-8 UTF-8/' /etc/locale.gen && dpkg-reconfigure locales",
        "sed -i 's/^# *\\(de_DE.UTF-8\\)/\\1/' /etc/locale.gen && locale-gen",
        "sed -i /de_DE\\.UTF-8/s/^..// /etc/locale.gen; locale-gen",
        'sed -i -e "s/# $LANG.*/$LANG UTF-8/" /etc/locale.gen && locale-gen',
        'echo "de_DE.UTF-8 UTF-8" > /etc/locale.gen && locale-gen && update-locale LANG=de_DE.UTF-8',
        'echo "de_DE.UTF-8 UTF-8" | tee -a /etc/locale.gen && /usr/sbin/locale-gen',
        "locale-gen de_DE.UTF-8 && echo LANG=de_DE.UTF-8 > /etc/default/locale",
        "apt-get update && apt-get install -y --no-install-recommends locales-all",
    ],
)
def test_a_locale_that_is_made_and_set_is_one_key(run: str) -> None:
    text = f"FROM python:3.11-slim\nENV LANG=de_DE.UTF-8 LANGUAGE=de_DE:de\nRUN {run}\nENV LC_ALL=de_DE.UTF-8\n"
    found = translate(text, what="Dockerfile")
    assert found.recipe["config"] == {
        "locale": "de_DE.UTF-8",
        "env": {"LANGUAGE": "de_DE:de", "LC_ALL": "de_DE.UTF-8"},
    }
    assert "base-packages" not in found.recipe and found.is_whole
    assert {row.verdict for row in found.rows} <= {Verdict.DONE, Verdict.NOT_NEEDED}


@pytest.mark.parametrize(
    ("lines", "locale", "env"),
    [
        (["RUN locale-gen en_US.UTF-8 de_DE.UTF-8", "ENV LANG=de_DE.utf8"], ["de_DE.utf8", "en_US.UTF-8"], {}),
        (["RUN locale-gen en_US.UTF-8"], "en_US.UTF-8", {}),
        (["RUN locale-gen en_US.UTF-8", "ENV LANG=C.UTF-8"], "en_US.UTF-8", {"LANG": "C.UTF-8"}),
        (["ENV LANG=en_US.UTF-8"], None, {"LANG": "en_US.UTF-8"}),
        (['RUN printf "en_US UTF-8\\nfr_FR UTF-8\\n" >> /etc/locale.gen'], ["en_US.UTF-8", "fr_FR.UTF-8"], {}),
        (["RUN localedef -i de_DE@euro -f ISO-8859-15 de_DE@euro"], "de_DE.ISO-8859-15@euro", {}),
        (["ENV LANG=$X/..", "RUN apt-get install locales-all"], None, {"LANG": "/.."}),
    ],
)
def test_what_is_made_is_in_the_image_and_what_is_set_is_set(
    lines: list[str], locale: object, env: dict[str, str]
) -> None:
    config = translate("\n".join(["FROM python:3.11-slim", *lines, ""]), what="Dockerfile").recipe.get("config", {})
    assert (config.get("locale"), config.get("env", {})) == (locale, env)


def test_a_language_that_no_line_makes_is_remarked() -> None:
    found = translate("FROM python:3.11\nENV LANG=en_US.UTF-8 LC_ALL=en_US.UTF-8\n", what="Dockerfile")
    remarks = [each for each in found.remarks if "locale" in each]
    assert remarks == ['no line makes the locale en_US.UTF-8: [config] locale = "en_US.UTF-8" has it be there']


def test_a_locale_of_a_stage_that_only_builds_is_not_needed() -> None:
    text = f"FROM python:3.11 AS build\nRUN {COMPILED}\nFROM python:3.11\nCOPY --from=build /etc/hostname /x\n"
    assert "locale" not in translate(text, what="Dockerfile").recipe.get("config", {})


def test_what_names_no_locale_that_is_known_is_left_to_do() -> None:
    found = translate('FROM python:3.11\nRUN sed -i "s/# ${L}/${L}/" /etc/locale.gen\n', what="Dockerfile")
    assert [(row.verdict, "[config] locale" in row.text) for row in found.rows if row.line == 2] == [
        (Verdict.BY_HAND, True)
    ]
