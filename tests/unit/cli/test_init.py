"""``ocibuild init``: files are written, a report is printed, and what is written builds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.recipes import load_image
from tests.support.tiny import make_tiny

DOCKERFILE = """FROM python:3.11-slim
WORKDIR /srv
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
CMD ["python", "app.py"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "My Project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "requirements.txt").write_text("idna\n")
    (folder / ".dockerignore").write_text("# comment\n**/*.log\n")
    return folder


def test_the_recipe_lies_where_builds_look_for_it_and_leads_to_the_files(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert main(["init"]) == 0
    out, err = capsys.readouterr()
    assert "   4  done" in out and "requirements.txt: read when wheels are chosen" in out
    assert "next: ocibuild my-project" in err
    source = load_image(project / "build" / "my-project")
    assert [path.resolve() for path in source.requirements] == [project / "requirements.txt"]
    (copy,) = source.recipe.copy
    assert (source.folder / copy.src).resolve() == project and "**/*.log" in copy.exclude


def test_nothing_that_is_there_is_replaced_unless_that_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init", "app", "--from-dockerfile", str(project / "Dockerfile")]
    assert main(words) == 0
    recipe = project / "build" / "app" / "image.toml"
    recipe.write_text("# mine\n")
    capsys.readouterr()
    assert main(words) == 1 and "--force" in capsys.readouterr().err
    assert recipe.read_text() == "# mine\n"
    assert main([*words, "--force"]) == 0 and "[[copy]]" in recipe.read_text()


def test_a_line_that_cannot_be_is_exit_code_3_and_the_rest_is_written(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "Dockerfile").write_text(f"{DOCKERFILE}RUN python manage.py migrate\n")
    assert main(["init", "app", "--project-dir", str(project), "--json"]) == 3
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["whole"] is False and document["recipe"]["base"] == "python-3.11"
    assert [line["line"] for line in document["lines"] if line["verdict"] == "cannot"] == [7]
    assert "line 7: python manage.py migrate" in err and (project / "build" / "app" / "image.toml").is_file()


def test_a_name_that_no_recipe_takes_is_exit_code_3_and_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "Dockerfile").write_text("FROM python:3.11\nUSER Große\n")
    assert main(["init", "app", "--project-dir", str(project)]) == 3
    assert "user.name: expected a user name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "--from-dockerfile FILE"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"RUN x\n", "it has no FROM"),
        (b"FROM\n", "line 1"),
    ],
)
def test_what_is_no_dockerfile_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "Dockerfile").write_bytes(content)
    assert main(["init", "app", "--project-dir", str(tmp_path)]) in (1, 2)
    assert said in capsys.readouterr().err and not (tmp_path / "build").exists()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "My Site"
    folder.mkdir()
    (folder / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    (folder / "requirements.txt").write_text("flask\ngunicorn\n")
    monkeypatch.chdir(folder)
    return folder


def test_a_project_is_written_down_as_it_is_built_without_it(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unwritten = load_image(Path())
    assert main(["init"]) == 0
    said = capsys.readouterr().err
    assert "command: gunicorn --bind 0.0.0.0:8000 app:app (app.py: Flask, with gunicorn)\n" in said
    assert "build/my-site/image.toml: written; next: ocibuild my-site" in said
    written = load_image(Path("build/my-site"))
    assert written.recipe.run() == unwritten.recipe.run() and written.recipe.name == unwritten.recipe.name == "my-site"
    assert [path.resolve() for path in written.requirements] == [site / "requirements.txt"]
    assert (written.folder / written.recipe.copy[0].src).resolve() == site
    (site / ".gitignore").write_text("build/\n")
    assert main(["init", "--force"]) == 0
    assert "git add --force build/my-site/image.toml" in capsys.readouterr().err
    # What was written is not lost sight of by who builds the folder.
    assert any("build/my-site/image.toml is there" in note for note in load_image(Path()).notes)
    assert main(["init"]) == 1 and "--force replaces it" in capsys.readouterr().err


def test_a_command_that_is_said_is_taken_and_the_name_too(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "shop", "--json", "--cmd", "gunicorn app:app -b :$PORT"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (
        document["command"] == ["/bin/sh", "-c", "gunicorn app:app -b :$PORT"] and document["why"] == "as it was said"
    )
    assert document["files"] == ["build/shop/image.toml"] and document["recipe"]["name"] == "shop"
    assert load_image(Path("build/shop")).recipe.config.cmd == ("/bin/sh", "-c", "gunicorn app:app -b :$PORT")
    for words in (["a", "--name", "b"], ["--app", "app:app", "--from-dockerfile", "x"], ["--cmd", "'"], ["./gone"]):
        assert main(["init", *words]) == 2


def test_what_a_message_says_to_type_decides(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "main.py").write_text((site / "app.py").read_text())
    assert main(["init"]) == 2
    hint = capsys.readouterr().err.rpartition("say which: ocibuild ")[2].split()
    assert hint == ["init", "--app", "app:app"] and main(hint) == 0
    assert load_image(Path("build/my-site")).recipe.config.cmd == ("gunicorn", "--bind", "0.0.0.0:8000", "app:app")


def test_a_dockerfile_is_translated_where_it_lies_unless_the_command_is_said(site: Path) -> None:
    (site / "Dockerfile").write_text('FROM python:3.13\nCMD ["python", "x.py"]\n')
    assert main(["init"]) == 0
    assert load_image(Path("build/my-site")).recipe.config.cmd == ("python", "x.py")
    assert main(["init", "--force", "--app", "app:app"]) == 0
    assert load_image(Path("build/my-site")).recipe.config.cmd == ("gunicorn", "--bind", "0.0.0.0:8000", "app:app")


def test_the_project_of_a_folder_is_named_by_its_path(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site.parent)
    assert main(["init"]) == 2
    assert "ocibuild init './My Site'" in capsys.readouterr().err
    assert main(["init", "./My Site", "--project-dir", "all"]) == 0
    assert "next: ocibuild all/build/my-site" in capsys.readouterr().err
    copy = load_image(Path("all/build/my-site"), project=site.parent).recipe.copy[0]
    assert copy.src == "../../../My Site"
    assert main(["build", "."]) == 2
    assert "projects lie in My Site: ocibuild './My Site'" in capsys.readouterr().err


def test_what_is_written_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = make_tiny(tmp_path / "project")
    (tiny.root / "Dockerfile").write_text(
        "FROM python:3.11\nRUN mkdir /data && chown web /data\nRUN useradd -u 7 web\n"
        "COPY build/app/requirements.txt /r\n"
        'RUN pip install -r /r\nENV A=1\nUSER web\nCMD ["tool"]\n'
    )
    assert main(["init", "new", "--project-dir", str(tiny.root)]) == 0
    recipe = tiny.root / "build" / "new" / "image.toml"
    recipe.write_text(recipe.read_text().replace("[python]\n", '[python]\nbytecode = "none"\n'))
    (tiny.root / "build" / "new" / "wheels").symlink_to("../app/wheels")
    words = ["build", "new", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--base", "tiny"]
    (tiny.root / "build" / "new" / "debs").symlink_to("../app/debs")
    assert main([*words, "--out", str(tiny.out)]) == 0, capsys.readouterr().err
    assert tiny.out.is_file()
