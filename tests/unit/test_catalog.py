"""Names lead to folders; a name that does not is answered with those that do."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.catalog import find_base, find_image, find_layer, known_images, known_layers, layer_folders
from oci_builder.errors import NotFound
from oci_builder.reference import Reference


def image(project: Path, name: str, file: str = "image.toml") -> Path:
    folder = project / "build" / name
    folder.mkdir(parents=True)
    (folder / file).touch()
    return folder


def layer(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "layer.toml").touch()
    return folder


def test_an_image_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = image(tmp_path, "mypy", "requirements.txt")
    assert find_image("mypy", tmp_path) == folder
    assert find_image(str(folder), tmp_path / "elsewhere") == folder


def test_an_image_is_found_by_the_path_of_its_recipe(tmp_path: Path) -> None:
    folder = image(tmp_path, "mypy")
    assert find_image(str(folder / "image.toml"), tmp_path) == folder


def test_only_folders_with_a_recipe_are_images(tmp_path: Path) -> None:
    image(tmp_path, "b")
    image(tmp_path, "a", "requirements.txt")
    (tmp_path / "build" / "lib").mkdir()
    assert known_images(tmp_path) == ("a", "b")
    assert known_images(tmp_path / "elsewhere") == ()


def test_a_name_with_a_slip_lists_the_images_nearest_first(tmp_path: Path) -> None:
    for name in ("apples", "mypy", "report"):
        image(tmp_path, name)
    with pytest.raises(NotFound) as caught:
        find_image("mypi", tmp_path)
    assert str(caught.value) == f"no image 'mypi' (looked in {tmp_path / 'build'})"
    assert str(caught.value.hint).startswith("the images here are mypy, ")


def test_a_folder_without_a_recipe_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "build" / "mypy").mkdir(parents=True)
    for name in ("mypy", str(tmp_path / "build" / "mypy")):
        with pytest.raises(NotFound) as caught:
            find_image(name, tmp_path)
        assert "requirements.txt" in str(caught.value.hint)


def test_a_project_without_images_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find_image("mypy", tmp_path)
    assert "--project-dir" in str(caught.value.hint)


def test_a_layer_with_a_slash_stands_beside_the_recipe(tmp_path: Path) -> None:
    folder = image(tmp_path, "mypy")
    beside = layer(folder, "own")
    assert find_layer("./own", recipe_folder=folder, project_dir=tmp_path, extra=()).samefile(beside)
    with pytest.raises(NotFound, match=r"'\./other'"):
        find_layer("./other", recipe_folder=folder, project_dir=tmp_path, extra=())


def test_layers_are_searched_from_the_nearest_to_the_packaged(tmp_path: Path) -> None:
    folder = image(tmp_path / "other", "mypy")

    def found(*extra: Path) -> Path:
        return find_layer("python-3.11", recipe_folder=folder, project_dir=tmp_path, extra=extra)

    packaged = found()
    assert tmp_path not in packaged.parents
    of_project = layer(tmp_path / "layers", "python-3.11")
    assert found() == of_project
    of_recipe = layer(tmp_path / "other" / "layers", "python-3.11")
    assert found() == of_recipe
    named = layer(tmp_path / "named", "python-3.11")
    assert found(tmp_path / "empty", tmp_path / "named") == named


def test_of_all_layers_the_nearest_come_first_and_one_of_each_name(tmp_path: Path) -> None:
    nearest, other = layer(tmp_path / "extra", "b"), layer(tmp_path / "layers", "a")
    layer(tmp_path / "layers", "b")
    found = layer_folders(recipe_folder=tmp_path, project_dir=tmp_path, extra=[tmp_path / "extra"])
    assert found[:2] == (nearest, other)
    assert [folder.name for folder in found[2:]] == ["python-3.11", "python-3.11-slim", "python-3.13"]


def test_an_unknown_layer_lists_the_known_ones(tmp_path: Path) -> None:
    layer(tmp_path / "layers", "house")
    with pytest.raises(NotFound) as caught:
        find_layer("hose", recipe_folder=tmp_path, project_dir=tmp_path, extra=())
    assert str(caught.value.hint).startswith("the layers here are house, ")
    assert {"house", "python-3.11"} <= set(known_layers(project_dir=tmp_path, extra=()))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("docker.io/library/python", "docker.io/library/python:latest"),
        ("localhost/team/py", "localhost/team/py:latest"),
        ("host:5000/team/py:1", "host:5000/team/py:1"),
        (f"team/py@sha256:{'0' * 64}", f"docker.io/team/py@sha256:{'0' * 64}"),
    ],
)
def test_what_has_a_tag_a_digest_or_a_host_is_an_image_of_a_registry(name: str, full: str, tmp_path: Path) -> None:
    found = find_base(name, recipe_folder=tmp_path, project_dir=tmp_path, extra=())
    assert isinstance(found, Reference) and str(found) == full


def test_an_image_file_or_folder_stands_beside_the_recipe(tmp_path: Path) -> None:
    folder = image(tmp_path, "mypy")
    (folder / "base.tar.gz").touch()
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout" / "index.json").touch()
    beside = layer(folder, "own")
    for name, place in {
        "base.tar.gz": folder / "base.tar.gz",
        "../../layout": tmp_path / "layout",
        "./own": beside,
    }.items():
        found = find_base(name, recipe_folder=folder, project_dir=tmp_path, extra=())
        assert isinstance(found, Path) and found.samefile(place)


@pytest.mark.parametrize("name", ["gone.tar", "./gone", "../build", "/nowhere/at/all"])
def test_a_path_that_leads_to_no_base_says_what_one_is(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no base") as caught:
        find_base(name, recipe_folder=image(tmp_path, "mypy"), project_dir=tmp_path, extra=())
    assert "index.json" in (caught.value.hint or "") and "layer.toml" in (caught.value.hint or "")


def test_other_names_are_layers_and_scratch_is_nothing(tmp_path: Path) -> None:
    assert find_base("scratch", recipe_folder=tmp_path, project_dir=tmp_path, extra=()) is None
    assert isinstance(find_base("python-3.11", recipe_folder=tmp_path, project_dir=tmp_path, extra=()), Path)
    with pytest.raises(NotFound, match="no layer"):
        find_base("team/py", recipe_folder=tmp_path, project_dir=tmp_path, extra=())
