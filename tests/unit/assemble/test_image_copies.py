"""Files out of other images: what lands where, in which layer, and by which digest."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.verify.verify import verify_file
from oci_builder.wheels.lock import read
from tests.support.archives import make_tar, member
from tests.support.fakeregistry import FakeRegistry, fake_registry
from tests.support.imported import config_of, index_of
from tests.support.readers import gunzipped
from tests.support.registries import close_opened
from tests.support.sources import LOWER, UPPER, save_source
from tests.support.tiny import IMAGE, NAME, Tiny, build, built, make_tiny

Found = dict[str, tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    made = make_tiny(tmp_path / "project")
    save_source(made.image / "source.tar")
    return made


def want(tiny: Tiny, *tables: str, image: str = "./source.tar") -> None:
    text = "".join(f'[[copy]]\nfrom = "{image}"\n{table}\n' for table in tables)
    (tiny.image / "image.toml").write_text(IMAGE + text)


def layers(tiny: Tiny) -> list[Found]:

    with tarfile.open(tiny.out) as archive:

        def content(name: str) -> bytes:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read()

        found = []
        for name in json.loads(content("manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(gunzipped(content(name)))) as layer:
                found.append({each.name: (each, _content(layer, each)) for each in layer})
        return found


def _content(layer: tarfile.TarFile, each: tarfile.TarInfo) -> bytes:
    stream = layer.extractfile(each) if each.isfile() else None
    return stream.read() if stream is not None else b""


def layer_with(tiny: Tiny, path: str) -> Found:
    found = [each for each in layers(tiny) if path in each]
    assert found, path
    return found[-1]


def below(folder: str, layer: Found) -> set[str]:
    return {name for name in layer if name == folder or name.startswith(f"{folder}/")}


def refusal(tiny: Tiny, *flags: str) -> str:
    ending = build(tiny, *flags)
    assert ending.code in (1, 2)
    return ending.said


def test_a_file_keeps_its_permissions_and_time_and_is_in_a_layer_of_its_own(tiny: Tiny) -> None:
    want(tiny, 'src = "/bin/uv"\ndest = "/tools/"')
    first = built(tiny)
    layer = layer_with(tiny, "tools/uv")
    each, data = layer["tools/uv"]
    assert data == b"the tool\n" and (each.mode, each.uid, each.gid, each.mtime) == (0o755, 0, 0, 7)
    assert set(layer) == {"tools", "tools/uv"}
    tiny.forget()
    assert built(tiny) == first


def test_owner_and_mode_are_as_every_copy_has_them(tiny: Tiny) -> None:
    want(tiny, 'src = "/data"\ndest = "/d"\nowner = "user"\nmode = "0640"')
    built(tiny)
    found = layer_with(tiny, "d/secret")
    assert {(each.uid, each.gid) for each, _ in found.values()} == {(1000, 1000)}
    assert {each.mode for each, _ in found.values() if each.isfile()} == {0o640}
    assert found["d/sub"][0].mode == 0o775


def test_what_was_deleted_in_the_image_is_not_copied(tiny: Tiny) -> None:
    want(tiny, 'src = "/data"\ndest = "/d"', 'src = "/opq"\ndest = "/q"')
    built(tiny)
    assert "d/gone" not in layer_with(tiny, "d/secret")
    assert below("q", layer_with(tiny, "q/y")) == {"q", "q/y"}


def test_a_link_is_followed_where_it_is_named_and_kept_where_it_lies(tiny: Tiny) -> None:
    want(tiny, 'src = "/bin/abs"\ndest = "/t/"', 'src = "/dl"\ndest = "/d"')
    built(tiny)
    assert layer_with(tiny, "t/abs")["t/abs"][1] == b"the tool\n"
    found = layer_with(tiny, "d/sub/rel")
    assert found["d/sub/rel"][0].linkname == "../secret" and found["d/sub/out"][0].linkname == "../../../etc/x"


def test_patterns_choose_below_the_folder(tiny: Tiny) -> None:
    want(
        tiny,
        'src = "/data"\ndest = "/i"\ninclude = ["sub/*.txt"]',
        'src = "/data"\ndest = "/e"\nexclude = ["sub", "!sub/*.bin"]',
    )
    built(tiny)
    assert below("i", layer_with(tiny, "i/sub/a.txt")) == {"i", "i/sub", "i/sub/a.txt"}
    assert below("e", layer_with(tiny, "e/secret")) == {"e", "e/secret", "e/hard", "e/sub", "e/sub/b.bin"}


def test_copies_out_of_one_image_that_follow_each_other_share_a_layer_and_the_later_has_a_path(tiny: Tiny) -> None:
    tables = [f'src = "/data/{name}"\ndest = "/o/{number}"' for name in ("secret", "hard") for number in range(80)]
    want(tiny, *tables, 'src = "/bin/uv"\ndest = "/o/7"')
    built(tiny)
    found = layer_with(tiny, "o/7")
    assert len(found) == 81 and found["o/7"][1] == b"the tool\n" and found["o/8"][1] == b"s"


@pytest.mark.parametrize("first", [True, False])
def test_of_two_copies_to_one_place_the_later_stays(tiny: Tiny, *, first: bool) -> None:
    (tiny.image / "own").write_text("own\n")
    tables = [
        '[[copy]]\nsrc = "own"\ndest = "/o/uv"\n',
        '[[copy]]\nfrom = "./source.tar"\nsrc = "/bin/uv"\ndest = "/o/"\n',
    ]
    (tiny.image / "image.toml").write_text(IMAGE + "".join(tables if first else reversed(tables)))
    built(tiny)
    assert layer_with(tiny, "o/uv")["o/uv"][1] == (b"the tool\n" if first else b"own\n")


@pytest.mark.parametrize(
    ("image", "table", "said"),
    [
        ("./source.tar", 'src = "/nowhere"\ndest = "/x"', "no file or folder '/nowhere' (looked in source.tar)"),
        ("./source.tar", 'src = "/data/gone"\ndest = "/x"', "no file or folder '/data/gone'"),
        ("./source.tar", 'src = "/data/../x"\ndest = "/x"', 'a path of the image has no ".."'),
        ("./source.tar", 'src = "/data"\ndest = "/x"\noutside = true', "what is in an image is in no project"),
        ("builder", 'src = "/data"\ndest = "/x"', "name an image of a registry with its tag, as in builder:latest"),
        ("./none.tar", 'src = "/data"\ndest = "/x"', "no image to copy from './none.tar'"),
    ],
)
def test_what_cannot_be_copied_is_one_error(image: str, table: str, said: str, tiny: Tiny) -> None:
    want(tiny, table, image=image)
    assert said in refusal(tiny)


def test_a_path_that_begins_with_a_slash_is_one_of_an_image(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text(f'{IMAGE}[[copy]]\nsrc = "/etc/passwd"\ndest = "/x"\n')
    assert "expected a path relative to the recipe's folder, got '/etc/passwd'" in refusal(tiny)


def serve(registry: FakeRegistry, layers: list[bytes]) -> str:
    """Have the registry's tag name an image of ``layers``; its digest."""
    blobs, descriptor, raw = index_of([(layers, config_of(layers))])
    for digest, blob in blobs.items():
        registry.hold(blob)
        kind = json.loads(blob).get("mediaType", "") if blob[:1] == b"{" else ""
        registry.hold_manifest(f"team/uv:{digest}", blob, str(kind))
    registry.hold_manifest("team/uv:1", raw, descriptor["mediaType"])
    return str(descriptor["digest"])


def locked(tiny: Tiny, *flags: str) -> int:
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--progress", "none")
    return main([*flags[:1], NAME, *places, *flags[1:]])


def test_a_tag_is_locked_and_a_download_is_all_that_another_machine_needs(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_registry() as registry:
        digest = serve(registry, [LOWER, UPPER])
        reference = str(registry.reference("team/uv:1"))
        want(tiny, 'src = "/bin/uv"\ndest = "/tools/"', image=reference)
        assert locked(tiny, "lock", "--offline") != 0
        assert f"it has no digest of the image to copy from {reference}" in capsys.readouterr().err
        assert locked(tiny, "lock", "--online", f"--find-links={tiny.wheels}") == 0, capsys.readouterr().err
        assert read(tiny.image / "pylock.toml").images == (f"{reference}@{digest}",)
        usual = built(tiny, "--locked")
        serve(registry, [LOWER, UPPER, make_tar(member("usr/bin/uv", data=b"moved"))])
        assert "its tag has moved" in refusal(tiny, "--locked", "--online")
        serve(registry, [LOWER, UPPER])
        assert locked(tiny, "download") == 0, capsys.readouterr().err
    (folder,) = (tiny.image / "copied").iterdir()
    assert (folder / "index.json").is_file()
    tiny.forget()
    assert built(tiny, "--locked", "--offline") == usual
    shutil.rmtree(folder)
    tiny.forget()
    assert "no image to copy from" in refusal(tiny, "--locked", "--offline")
    close_opened()


def test_what_a_download_put_there_is_not_copied_with_the_recipes_folder(tiny: Tiny) -> None:
    (tiny.image / "copied").mkdir()
    (tiny.image / "copied" / "x").write_text("x")
    (tiny.image / "image.toml").write_text(f'{IMAGE}[[copy]]\nsrc = "."\ndest = "/own"\n')
    built(tiny)
    assert not [name for layer in layers(tiny) for name in layer if name.startswith("own/copied")]


@dataclass
class Files:
    """An image of files alone, in a folder of its own, and what was said of it."""

    folder: Path
    said: str = ""

    def run(self, command: str, *flags: str) -> int:
        """Run a command on it."""
        told = io.StringIO()
        out = ("--out", str(self.folder / "x.tar")) if command == "build" else ()
        with contextlib.redirect_stderr(told):
            cache = ("--cache-dir", str(self.folder.parent / "cache"), "--progress", "none")
            code = main([command, f"{self.folder}/", *out, *cache, *flags])
        self.said = told.getvalue()
        return code

    def built(self, *flags: str) -> bytes:
        """Build it; its bytes."""
        assert self.run("build", *flags) == 0, self.said
        assert verify_file(self.folder / "x.tar").findings == ()
        return (self.folder / "x.tar").read_bytes()


ALONE = """
base = "scratch"
[user]
name = "root"
[config]
cmd = ["/tools/uv"]
[[copy]]
from = "{}"
src = "/bin/uv"
dest = "/tools/"
[[checks.allow]]
subject = "*"
reason = "it is no program"
"""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Files, FakeRegistry]]:
    folder = tmp_path / "alone"
    folder.mkdir()
    with fake_registry() as registry:
        (folder / "image.toml").write_text(ALONE.format(registry.reference("team/uv:1")))
        yield Files(folder), registry
    close_opened()


def test_where_there_are_no_wheels_images_have_a_lock_of_their_own(alone: tuple[Files, FakeRegistry]) -> None:
    image, registry = alone
    lock = image.folder / "images.lock.json"
    digest = serve(registry, [LOWER, UPPER])
    assert image.run("lock") == 0, image.said
    reference = str(registry.reference("team/uv:1"))
    assert json.loads(lock.read_text()) == {"schema": 1, "images": {reference: digest}}
    first = image.built("--locked")
    assert image.run("lock", "--check") == 0, image.said
    moved = serve(registry, [LOWER, make_tar(member("usr/bin/uv", data=b"moved", mode=0o755))])
    assert image.run("build", "--locked") == 1 and "its tag has moved" in image.said
    assert image.run("lock", "--check") == 3
    assert image.built("--offline") == first == image.built("--frozen")
    assert image.built() != first and "images.lock.json was behind" in image.said
    assert json.loads(lock.read_text())["images"] == {reference: moved}


def test_where_another_tools_lock_decides_the_base_has_one_too(alone: tuple[Files, FakeRegistry]) -> None:
    image, registry = alone
    digest, reference = serve(registry, [LOWER]), registry.reference("team/uv:1")
    (image.folder / "uv.lock").write_text('version = 1\nrequires-python = ">=3.11"\n')
    (image.folder / "image.toml").write_text(f'base = "{reference}"\n')
    assert image.run("lock") == 0, image.said
    assert json.loads((image.folder / "images.lock.json").read_text())["images"] == {str(reference): digest}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"schema": 1, "images": {"a": "b"}}', "\0", '{"schema":2,"images":{}}']
)
def test_a_lock_of_images_that_does_not_read_is_an_error(text: str, alone: tuple[Files, FakeRegistry]) -> None:
    image, registry = alone
    serve(registry, [LOWER])
    (image.folder / "images.lock.json").write_text(text)
    assert image.run("build") == 1 and "images.lock.json: it does not read" in image.said
    assert "remove it" in image.said


def test_an_image_says_what_it_was_copied_out_of_and_is_made_again_of_that(alone: tuple[Files, FakeRegistry]) -> None:
    image, registry = alone
    serve(registry, [LOWER, UPPER])
    image.built()
    serve(registry, [LOWER, make_tar(member("usr/bin/uv", data=b"moved", mode=0o755))])
    with contextlib.redirect_stderr(io.StringIO()) as told:
        cache = ("--cache-dir", str(image.folder.parent / "cache"), "--progress", "none")
        code = main(["verify", str(image.folder / "x.tar"), f"{image.folder}/", "--rebuild", *cache])
    assert code == 0, told.getvalue()
