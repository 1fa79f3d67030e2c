"""What a Dockerfile becomes: each is written here, with the recipe that somebody would write who knows both."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_builder.dockerfiles import Translation, Verdict, translate
from oci_builder.dockerfiles.writing import recipe_text
from oci_builder.errors import InvalidValue, NotFound
from oci_builder.recipes import ImageToml
from oci_builder.tomlfile import parse_toml

WGET = 'wget: neither command nor healthcheck names it; if the program itself calls it: base-packages = ["wget"]'


def translated(text: str, **how: Any) -> tuple[dict[str, Any], Translation]:
    """The recipe as it is read back from its text, which ocibuild itself takes."""
    found = translate(text, what="Dockerfile", **how)
    written = recipe_text(found)
    parse_toml(written, ImageToml, file="image.toml")
    return tomllib.loads(written), found


def said(found: Translation, line: int) -> list[tuple[str, str]]:
    return [(row.verdict.value, row.text) for row in found.rows if row.line == line]


def test_a_plain_one_becomes_a_recipe_and_nothing_is_left() -> None:
    recipe, found = translated(
        """FROM python:3.11-slim-bookworm
WORKDIR /srv
ENV MODE=prod PIP_NO_CACHE_DIR=1
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt && pip install -U pip wheel
COPY . .
EXPOSE 8080 53/udp
VOLUME ["/data"]
STOPSIGNAL SIGINT
LABEL org.example.team="a b"
CMD ["python", "serve.py"]
"""
    )
    assert recipe == {
        "base": "python-3.11",
        "python": {"requirements": ["requirements.txt"]},
        "config": {
            "workdir": "/srv",
            "env": {"MODE": "prod"},
            "labels": {"org.example.team": "a b"},
            "exposed-ports": [8080, "53/udp"],
            "volumes": ["/data"],
            "stop-signal": "SIGINT",
            "cmd": ["python", "serve.py"],
        },
        "copy": [
            {"src": ".", "dest": "/srv", "exclude": ["Dockerfile*", ".dockerignore", "build", "*.tar"], "owner": "user"}
        ],
    }
    assert found.is_whole and {row.verdict for row in found.rows} == {Verdict.DONE, Verdict.NOT_NEEDED}
    assert "no USER" in found.remarks[-1]


@pytest.mark.parametrize(
    ("image", "base"),
    [
        ("python:3.11", "python-3.11"),
        ("docker.io/library/python:3.13.1-slim-trixie@sha256:" + "0" * 64, "python-3.13"),
        ("python:3.12-slim", "python:3.12-slim"),
        ("python:3.11-alpine", "python:3.11-alpine"),
        ("python", "python"),
        ("python:3", "python:3"),
        ("registry.example/team/python:3.11", "registry.example/team/python:3.11"),
        ("debian:12", "debian:12"),
        ("scratch", "scratch"),
    ],
)
def test_the_base_is_ours_where_it_is_the_same_python(image: str, base: str) -> None:
    assert translated(f"FROM {image}\n")[0]["base"] == base


def test_what_another_stage_installed_is_installed_and_what_it_built_is_not() -> None:
    recipe, found = translated(
        """ARG V=3.13
FROM python:${V}-slim AS build
RUN apt-get update && apt-get install -y gcc libpq-dev
RUN python -m venv /opt/v
ENV PATH=/opt/v/bin:$PATH
COPY reqs/a.txt reqs/b.txt /tmp/
RUN pip install -r /tmp/b.txt
FROM python:${V}-slim
COPY --from=build /opt/v /opt/v
ENV PATH="/opt/v/bin:$PATH"
RUN apt-get install -y --no-install-recommends libpq5 wget
ENTRYPOINT ["/opt/v/bin/gunicorn"]
"""
    )
    assert recipe == {
        "base": "python-3.13",
        "base-packages": ["libpq5"],
        "python": {"requirements": ["reqs/b.txt"]},
        "config": {"entrypoint": ["gunicorn"]},
    }
    assert ("not needed", WGET) in said(found, 11)


def test_a_variable_that_leads_into_a_virtual_environment_is_not_said_to_be_in_the_recipe() -> None:
    lines = (
        "FROM python:3.11\nENV VENV=/opt/v A=1\nENV PATH=/opt/v/bin:$PATH\nRUN python -m venv $VENV\nENV PATH=/x:$PATH"
    )
    recipe, found = translated(lines)
    assert recipe["config"]["env"] == {"A": "1", "PATH": "/x:${PATH}"}
    assert said(found, 2) == [("not needed", "VENV: it leads into a virtual environment"), ("done", "env A")]
    recipe, found = translated(lines.rpartition("\n")[0])
    assert recipe["config"]["env"] == {"A": "1"}
    assert said(found, 3) == [("not needed", "PATH: it leads into a virtual environment")]


def test_of_a_package_that_a_program_may_call_it_is_said_how_it_stays() -> None:
    _, found = translated("FROM python:3.11\nRUN apt-get install -y gcc git curl")
    wheels = "wheels are installed, and nothing is compiled in the image"
    assert [text for _, text in said(found, 2)] == [
        f"gcc: {wheels}",
        f'git: {wheels}; if the program itself calls it: base-packages = ["git"]',
        'curl: neither command nor healthcheck names it; if the program itself calls it: base-packages = ["curl"]',
    ]


def test_a_stage_that_stands_on_another_has_what_that_one_has() -> None:
    text = "FROM python:3.11 AS base\nENV A=1\nWORKDIR /a\nFROM base AS dev\nENV B=$A$A\nFROM base AS prod\nENV C=$A\n"
    assert translated(text)[0]["config"] == {"workdir": "/a", "env": {"A": "1", "C": "1"}}
    assert translated(text, target="dev")[0]["config"]["env"] == {"A": "1", "B": "11"}
    with pytest.raises(NotFound, match="base, dev, prod"):
        translated(text, target="none")


def test_accounts_of_both_families_are_read() -> None:
    text = "FROM python:3.11\nRUN {}\nCOPY --chown=web app /app\nUSER web\n"
    for line, user in (
        ("groupadd -g 70 w && useradd -r -u 7 -g w -d /w -s /bin/false web", (7, 70, "/w", "/bin/false")),
        ('adduser --disabled-password --gecos "" --uid 7 web', (7, 7, "/home/web", None)),
        ("addgroup -g 70 -S w && adduser -S -u 7 -G w web", (7, 70, "/home/web", None)),
        ("useradd -mu 7 web", (7, 7, "/home/web", None)),
        ("useradd --create-home web", (None, None, None, None)),
    ):
        recipe, _ = translated(text.format(line))
        expected = dict(zip(("uid", "gid", "home", "shell"), user, strict=True))
        assert recipe["user"] == {"name": "web"} | {key: value for key, value in expected.items() if value is not None}
        assert recipe["copy"] == [{"src": "app", "dest": "/app", "owner": "user"}]


def test_what_the_recipe_has_keys_for_is_no_command_any_more() -> None:
    recipe, found = translated(
        """FROM python:3.11
WORKDIR /app
COPY run.sh tools /usr/local/bin/
RUN chmod +x /usr/local/bin/run.sh && chmod 0750 /usr/local/bin/x.sh \\
 && mkdir -p /var/log/app /app && chown -R 1000:1000 /var/log/app \\
 && ln -s /usr/local/bin/run.sh /run.sh && ln -snf /usr/share/zoneinfo/Europe/Rome /etc/localtime
USER 1000
"""
    )
    assert recipe["copy"] == [
        {"src": "run.sh", "dest": "/usr/local/bin/", "mode": "0755"},
        {"src": "tools", "dest": "/usr/local/bin"},
        {"src": "tools/x.sh", "dest": "/usr/local/bin/x.sh", "mode": "0750"},
    ]
    assert recipe["folder"] == [{"path": "/var/log/app", "owner": "user"}]
    assert recipe["link"] == [{"path": "/run.sh", "target": "/usr/local/bin/run.sh"}]
    assert recipe["config"]["env"] == {"TZ": "Europe/Rome"} and found.is_whole


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("RUN python manage.py collectstatic --noinput", "collectstatic"),
        ("RUN curl -fsSL https://example.org/x.sh | bash", "a script from elsewhere"),
        ("RUN git clone https://example.org/x /x", "git clone"),
        ("RUN for f in *; do mv $f /x; done", "for f in"),
        ("RUN echo $(date) > /built", "date"),
        ("RUN playwright install chromium", "an image that has the browser"),
        ("ONBUILD COPY . /app", "their recipes"),
        ("COPY --from=nginx:1 /etc/*/x /etc/", "only a name may be a pattern"),
        ("COPY --from=7 /etc/nginx /etc/nginx", "files of 7, which is no stage before this one"),
        (
            'RUN echo "deb https://deb.example.org x main" > /etc/apt/sources.list.d/x.list && apt install -y x9',
            "x9",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_line(line: str, left: str) -> None:
    _, found = translated(f"FROM python:3.11\n\n{line}\n")
    assert not found.is_whole
    assert any(verdict == "cannot" and left in text for verdict, text in said(found, 3)), found.rows


@pytest.mark.parametrize(
    "line",
    [
        "RUN curl -LsSf https://astral.sh/uv/install.sh | sh",
        "RUN curl -sSL https://install.python-poetry.org | python3 -",
        "RUN pip install poetry==2.0 && poetry config virtualenvs.create false",
        "RUN apt-get update && apt-get upgrade -y && rm -rf /var/lib/apt/lists/* && apt-get clean",
        "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/",
        "RUN python -m venv .venv",
        "RUN set -eux; true",
    ],
)
def test_what_only_installs_is_not_needed(line: str) -> None:
    recipe, found = translated(f"FROM python:3.11\n{line}\n")
    assert recipe == {"base": "python-3.11"} and said(found, 2)[0][0] == "not needed"


def test_requirements_on_the_line_become_a_file() -> None:
    recipe, found = translated('FROM python:3.11\nRUN pip install "flask>=3" gunicorn==23.0.0\n')
    assert recipe["python"] == {"requirements": ["requirements.txt"]}
    assert found.files == {"requirements.txt": "flask>=3\ngunicorn==23.0.0\n"}


def test_a_lock_of_another_tool_decides_as_it_is() -> None:
    recipe, found = translated(
        "FROM python:3.11\nWORKDIR /a\nCOPY pyproject.toml uv.lock ./\nRUN uv sync --locked --extra web\nCOPY . .\n"
        'CMD ["uv", "run", "--no-sync", "serve"]\n'
    )
    assert recipe["python"] == {"requirements": ["uv.lock"], "project": ".", "extras": ["web"]}
    assert recipe["config"]["cmd"] == ["serve"]
    assert ("done", "[python] requirements: uv.lock, as it is") in said(found, 4)
    assert any("developers' groups of the lock are left out" in remark for remark in found.remarks)


LOCKED = {
    "uv sync --frozen --no-dev --no-install-project": {"requirements": ["uv.lock"]},
    "uv sync --no-default-groups --group prod --extra a --extra=b": {
        "requirements": ["uv.lock"],
        "project": ".",
        "extras": ["a", "b"],
        "groups": ["prod"],
    },
    "poetry install --no-interaction --no-root --only main,prod": {"requirements": ["poetry.lock"], "groups": ["prod"]},
    'poetry install --without dev -E "a b"': {"requirements": ["poetry.lock"], "project": ".", "extras": ["a", "b"]},
    "pdm install --prod --no-self -G web": {"requirements": ["pdm.lock"], "groups": ["web"]},
    "pdm sync --prod": {"requirements": ["pdm.lock"], "project": "."},
    "pipenv install --system --deploy --ignore-pipfile": {"requirements": ["Pipfile.lock"]},
    'pipenv sync --categories="packages web"': {"requirements": ["Pipfile.lock"], "groups": ["web"]},
    "poetry export -f requirements.txt -o r.txt && pip install -r r.txt": {"requirements": ["poetry.lock"]},
    "pipenv requirements > r.txt && pip install -r r.txt": {"requirements": ["Pipfile.lock"]},
    "uv export --no-dev > r.txt && uv pip install --system -r r.txt": {"requirements": ["uv.lock"]},
}


@pytest.mark.parametrize("line", LOCKED)
def test_extras_and_groups_of_a_lock_are_those_that_were_asked_for(line: str) -> None:
    recipe, found = translated(f"FROM python:3.11\nWORKDIR /a\nCOPY . .\nRUN {line}\n")
    assert recipe["python"] == LOCKED[line] and found.is_whole
    assert not [text for verdict, text in said(found, 4) if verdict == "by hand"]


def test_a_lock_that_is_not_there_is_made_before_and_one_that_is_stands_alone(tmp_path: Path) -> None:
    text = (
        "FROM python:3.11\nWORKDIR /a\nCOPY . .\nRUN poetry install --only main --no-root && pip install gunicorn==23\n"
    )
    recipe, found = translated(text, context=tmp_path)
    assert recipe["python"] == {"requirements": ["poetry.lock"]}
    assert said(found, 4) == [
        ("by hand", "there is no poetry.lock here; before the build: poetry lock"),
        ("by hand", "gunicorn==23: poetry.lock has to name all there is; before the build: poetry add gunicorn==23"),
    ]
    (tmp_path / "poetry.lock").touch()
    assert translated(text, context=tmp_path)[1].rows[2].verdict is Verdict.DONE


def test_a_lock_is_found_where_it_is_mounted_from() -> None:
    mounts = "--mount=type=bind,source=api/uv.lock,target=uv.lock "
    mounts += "--mount=type=bind,src=api/pyproject.toml,dst=pyproject.toml"
    recipe, _ = translated(
        f"FROM python:3.11\nWORKDIR /a\nRUN {mounts} uv sync --no-dev --no-install-project\nCOPY api .\n"
    )
    assert recipe["python"] == {"requirements": ["api/uv.lock"]}


def test_what_is_removed_again_is_not_copied() -> None:
    recipe, found = translated(
        """FROM python:3.11 AS build
WORKDIR /b
COPY . .
RUN rm -rf docs
FROM python:3.11
WORKDIR /a
COPY --from=build /b /a
COPY one.txt two.txt /data/
RUN rm -rf tests *.md /tmp/* /var/lib/apt/lists/* && rm /data/one.txt
RUN find . -type d -name __tests__ -exec rm -rf {} +
RUN rm -rf /etc/ssl
"""
    )
    assert recipe["copy"][0]["exclude"][-4:] == ["docs", "tests", "*.md", "**/__tests__"]
    assert [copy["src"] for copy in recipe["copy"]] == [".", "two.txt"]
    assert ("done", "exclude tests of [[copy]] .") in said(found, 9)
    assert said(found, 11) == [
        ("cannot", "rm /etc/ssl: nothing is taken away from a base; name a base that does not have it")
    ]


def test_a_file_that_stands_in_the_dockerfile_is_written() -> None:
    text = 'FROM python:3.11\nARG A=1\nCOPY <<-"X" <<Y /etc/\n\ta = $A\nX\nb = $A\nY\n'
    recipe, found = translated(text)
    assert found.files == {"X": "a = $A\n", "Y": "b = 1\n"}
    assert recipe["copy"] == [{"src": "X", "dest": "/etc/X"}, {"src": "Y", "dest": "/etc/Y"}]
    recipe, found = translated("FROM python:3.11\nARG A=1\nCOPY <<X /etc/it.toml\na = $A\nX\n")
    assert found.files == {"it.toml": "a = 1\n"}
    assert recipe["copy"] == [{"src": "it.toml", "dest": "/etc/it.toml"}]


def test_what_is_written_takes_the_place_of_nothing_else() -> None:
    recipe, found = translated(
        "FROM python:3.11\nCOPY <<X /a/image.toml\na\nX\nCOPY <<X /b/image.toml\nb\nX\n"
        "COPY <<X /requirements.txt\nc\nX\nRUN pip install idna\n"
    )
    assert found.files == {
        "2-image.toml": "a\n",
        "3-image.toml": "b\n",
        "requirements.txt": "c\n",
        "2-requirements.txt": "idna\n",
    }
    assert recipe["python"] == {"requirements": ["2-requirements.txt"]}
    assert [copy["src"] for copy in recipe["copy"]] == ["2-image.toml", "3-image.toml", "requirements.txt"]


@pytest.mark.parametrize("line", ["EXPOSE ²", "EXPOSE 99999", "RUN useradd -u ² a", "HEALTHCHECK --retries=² CMD x"])
def test_a_digit_that_is_none_is_no_number(line: str) -> None:
    recipe, _ = translated(f"FROM python:3.11\n{line}\n{'EXPOSE ' + '9' * 5000}\n")
    assert "exposed-ports" not in recipe.get("config", {}) and "uid" not in recipe.get("user", {})


def test_a_shell_stands_where_it_went_and_the_next_one_where_the_file_says() -> None:
    recipe, found = translated(
        "FROM python:3.11\nWORKDIR /a\nCOPY lib /b\nRUN cd /b && pip install .\nRUN mkdir c && install -d /d\n"
    )
    assert recipe["python"] == {"project": "lib"} and recipe["folder"] == [{"path": "/a/c"}, {"path": "/d"}]
    assert not [row for row in found.rows if row.verdict is Verdict.CANNOT]
    _, found = translated(
        "FROM python:3.11-alpine\nRUN apk add --no-cache gcc musl-dev libpq && install -m 755 x /bin/\n"
    )
    assert [verdict for verdict, _ in said(found, 2)] == ["cannot", "by hand"]


def test_commands_in_shell_form_run_in_the_shell_that_is_named() -> None:
    check = "HEALTHCHECK --interval=5s CMD curl -f localhost || exit 1\n"
    text = "FROM python:3.11-slim\n{}CMD uv run serve --port $PORT\n" + check
    config = translated(text.format(""))[0]["config"]
    assert config["cmd"] == ["/bin/sh", "-c", "serve --port $PORT"]
    assert config["healthcheck"] == {"test": ["CMD-SHELL", "curl -f localhost || exit 1"], "interval": "5s"}
    recipe, _ = translated(text.format('SHELL ["/bin/bash", "-c"]\n'))
    assert recipe["base"] == "python-3.11" and recipe["config"]["cmd"][0] == "/bin/bash"


def test_programs_that_the_base_has_are_no_packages_over_it() -> None:
    text = "FROM {}\nRUN apt-get install -y bash tar procps\n"
    assert "base-packages" not in translated(text.format("python:3.11-slim"))[0]
    assert translated(text.format("python:3.12-slim"))[0]["base-packages"] == ["procps"]


def test_files_are_looked_at_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("")
    (tmp_path / "v1.2").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("")
    recipe, _ = translated("FROM python:3.11\nCOPY *.py /x/\nCOPY v1.2 /v\nCOPY LICENSE /l\n", context=tmp_path)
    assert [(copy["src"], copy["dest"]) for copy in recipe["copy"]] == [
        ("a.py", "/x/"),
        ("b.py", "/x/"),
        ("v1.2", "/v"),
        ("LICENSE", "/l"),
    ]


def test_lines_of_a_dockerignore_are_taken_as_they_are() -> None:
    recipe, _ = translated("FROM python:3.11\nCOPY . /a\n", ignored=["# no", "", "*.log", "!keep.log "])
    assert recipe["copy"][0]["exclude"] == ["Dockerfile*", ".dockerignore", "build", "*.tar", "*.log", "!keep.log"]


@pytest.mark.parametrize("text", ["", "RUN true\n", "FROM\n", "FROM a b c d\n", "from python\nNONSENSE x\n" * 2, "\0"])
def test_what_is_no_dockerfile_is_refused_or_said(text: str) -> None:
    try:
        _, found = translated(text)
    except InvalidValue:
        return
    assert not found.is_whole


LINES = st.lists(
    st.sampled_from(
        ["FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "CMD", "USER", "EXPOSE", "HEALTHCHECK", "WORKDIR", "LABEL"]
    ).flatmap(lambda name: st.text("ab=/.$ {}:-\"'[],<&|;\\>1", max_size=25).map(lambda text: f"{name} {text}")),
    max_size=6,
)


@given(LINES)
def test_any_text_is_translated_or_refused(lines: list[str]) -> None:
    try:
        found = translate("FROM python:3.11\n" + "\n".join(lines), what="Dockerfile")
    except (InvalidValue, NotFound):
        return
    tomllib.loads(recipe_text(found, up=".."))


@pytest.mark.parametrize(
    ("line", "tables"),
    [
        (
            "COPY --from=nginx:1 /etc/nginx /etc/nginx",
            [{"from": "nginx:1", "src": "/etc/nginx", "dest": "/etc/nginx"}],
        ),
        ("COPY --from=busybox bin/sh /bin", [{"from": "busybox:latest", "src": "/bin/sh", "dest": "/bin/"}]),
        (
            "COPY --from=reg.example:5000/a/tool@sha256:" + "0" * 64 + " --chmod=755 --chown=1000:1000 /t /u /o/",
            [
                {
                    "from": "reg.example:5000/a/tool@sha256:" + "0" * 64,
                    "src": source,
                    "dest": "/o/",
                    "mode": "0755",
                    "owner": "1000:1000",
                }
                for source in ("/t", "/u")
            ],
        ),
        (
            "COPY --from=x.example/y:2 /usr/lib/*.so ./",
            [{"from": "x.example/y:2", "src": "/usr/lib", "dest": "/", "include": ["*.so"]}],
        ),
    ],
)
def test_files_of_another_image_are_copied_out_of_it(line: str, tables: list[dict[str, object]]) -> None:
    recipe, found = translated(f"FROM python:3.11\n\n{line}\n")
    assert recipe["copy"] == tables and found.is_whole
    assert {verdict for verdict, _ in said(found, 3)} == {"done"}


def test_a_helping_stage_that_copies_out_of_an_image_is_left_to_be_done_by_hand() -> None:
    lines = "FROM python:3.11 AS a\nCOPY --from=nginx:1 /x /y\nFROM python:3.11\nCOPY --from=a /y /y\n"
    recipe, found = translated(lines)
    assert "copy" not in recipe
    assert ("by hand", "files of nginx:1 in a stage: copy them out of it with [[copy]]") in said(found, 2)
