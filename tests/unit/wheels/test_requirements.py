from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.errors import NotFound, OcibuildError, RecipeError, UnsupportedRequirement
from oci_builder.wheels.requirements import fingerprint, index_options, scan, wheel_folders
from tests.support.wheels import make_wheel


def write(folder: Path, text: str, name: str = "requirements.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_lines_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "# a comment\n"
        "\n"
        "Foo_Bar[extra]>=1.0,<2 ; python_version >= '3.8'   # why\n"
        "pinned==1.0 \\\n"
        "    --hash=sha256:aa \\\n"
        "    --hash=sha256:bb\n"
        "--index-url https://index.example/simple\n"
        "last",
    )
    assert [(line.line, line.name, line.specifier, line.hashes) for line in scan([file])] == [
        (3, "foo-bar", "<2,>=1.0", ()),
        (4, "pinned", "==1.0", ("sha256:aa", "sha256:bb")),
        (8, "last", "", ()),
    ]


@pytest.mark.parametrize("option", ["-r more.txt", "-rmore.txt", "--requirement more.txt", "--requirement=more.txt"])
def test_included_files_are_read_from_beside_the_file_that_names_them(tmp_path: Path, option: str) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "inner\n", "more.txt")
    write(tmp_path / "sub", f"{option}\n", "outer.txt")
    file = write(tmp_path, "-r sub/outer.txt\n")
    assert [line.place for line in scan([file])] == [f"{tmp_path}/sub/more.txt:1"]


def test_constraints_only_limit_and_what_they_require_is_required_as_in_pip(tmp_path: Path) -> None:
    write(tmp_path, "-c limits2.txt\na<2\n-r more.txt\n", "limits.txt")
    write(tmp_path, "b<3\n", "limits2.txt")
    write(tmp_path, "c\n", "more.txt")
    found = scan([write(tmp_path, "a\n-c limits.txt\n")])
    told = [(line.name, line.constraint) for line in found]
    assert told == [("a", False), ("b", True), ("a", True), ("c", False)]


def test_an_included_path_may_hold_a_variable(tmp_path: Path) -> None:
    write(tmp_path, "inner\n", "more.txt")
    file = write(tmp_path, "-r ${WHERE}/more.txt\n")
    assert [line.name for line in scan([file], environ={"WHERE": str(tmp_path)})] == ["inner"]


def test_a_file_written_by_powershell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes("numpy\r\npandas\r\n".encode("utf-16"))
    assert [line.name for line in scan([path])] == ["numpy", "pandas"]


def test_a_local_wheel_is_taken_from_the_folder_of_the_first_file(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "vendor", "demo", "1.0")
    (line,) = scan([write(tmp_path, f"./vendor/{wheel.name}\n")])
    assert (line.name, line.wheel) == ("demo", wheel)
    assert wheel_folders([line]) == (wheel.parent,)


def test_a_local_wheel_may_have_extras_or_be_a_url(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    found = scan([write(tmp_path, f"./{wheel.name}[more]\ndemo @ {wheel.as_uri()}\n")])
    assert [line.wheel for line in found] == [wheel, wheel]


def test_a_url_of_a_wheel_is_kept_without_its_credentials(tmp_path: Path) -> None:
    (line,) = scan([write(tmp_path, "demo @ https://me:secret@files.example/demo-1.0-py3-none-any.whl\n")])
    assert line.name == "demo"
    assert "secret" not in line.text


@pytest.mark.parametrize(
    "text, why",
    [
        ("git+https://me:secret@host.example/x.git", "version control"),
        ("x @ git+ssh://host.example/x.git@v1", "version control"),
        ("-e .", "editable"),
        ("--editable=./x", "editable"),
        ("./project", "local project"),
        ("https://files.example/x-1.0.tar.gz", "must lead to a wheel"),
        ("x @ https://files.example/x-1.0.zip ; python_version > '3'", "must lead to a wheel"),
        ("-r https://files.example/requirements.txt", "must lie on this machine"),
        ("--no-binary :all:", "installs wheels"),
    ],
)
def test_what_is_no_wheel_is_refused_with_its_place_and_a_way_out(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "project").mkdir()
    file = write(tmp_path, f"fine\n{text}\n")
    with pytest.raises(UnsupportedRequirement, match=why) as caught:
        scan([file])
    assert caught.value.place == f"{file}:2"
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text, why",
    [
        ("numpy=1.0", "not a requirement"),
        ("-r requirements.txt", "cannot include itself"),
        ("./missing-1.0-py3-none-any.whl", "there is no"),
        ("https://files.example/wheel.whl", "not the name of a wheel"),
    ],
)
def test_a_line_that_says_nothing_is_named(tmp_path: Path, text: str, why: str) -> None:
    file = write(tmp_path, f"fine\n{text}\n")
    with pytest.raises(RecipeError, match=why) as caught:
        scan([file])
    assert f"{file}:2" in str(caught.value)


def test_a_missing_file_is_named_with_who_asked_for_it(tmp_path: Path) -> None:
    file = write(tmp_path, "-r gone.txt\n")
    with pytest.raises(NotFound, match=r"gone\.txt") as caught:
        scan([file])
    assert str(file) in (caught.value.hint or "")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(OcibuildError, match="not utf-8"):
        scan([path])


def test_the_fingerprint_is_of_what_is_asked_not_of_how_it_is_written(tmp_path: Path) -> None:
    one = scan([write(tmp_path, "a==1\nb  # why\n", "one.txt")])
    write(tmp_path, "a==1\n", "a.txt")
    two = scan([write(tmp_path, "--index-url https://mirror.example\n\nb\n-r a.txt\n", "two.txt")])
    assert fingerprint(one) == fingerprint(two)


def test_the_fingerprint_changes_with_all_that_decides(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    lines = scan([write(tmp_path, f"a==1\n./{wheel.name}\n")])
    prints = {fingerprint(lines), fingerprint(lines, build=["x"]), fingerprint(lines, targets=["y"])}
    prints.add(fingerprint(scan([write(tmp_path, f"a==2\n./{wheel.name}\n")])))
    make_wheel(tmp_path, "demo", "1.0", files={"demo.py": "other"})
    prints.add(fingerprint(lines))
    assert len(prints) == 5


def test_options_that_say_where_to_look_are_found_for_fetching(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    write(tmp_path, "--extra-index-url=https://two.example/simple\nb\n--pre\n", "more.txt")
    file = write(tmp_path, "-i https://one.example/simple\na\n-r more.txt\n-f vendor\n--no-index\n")
    assert index_options([file]) == (
        "--index-url https://one.example/simple",
        "--extra-index-url https://two.example/simple",
        f"--find-links {tmp_path}/vendor",
        "--no-index",
    )


@pytest.mark.parametrize(
    "line", ["pandas=3.1", "pandas = 3.1", "pandas[excel]=3.1", "pandas=3.1 ; python_version > '3'"]
)
def test_one_equals_sign_is_asked_about(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    with pytest.raises(RecipeError) as failed:
        scan([tmp_path / "requirements.txt"])
    assert (failed.value.hint or "").startswith("did you mean `==`?")
