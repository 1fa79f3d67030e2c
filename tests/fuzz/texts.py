"""Targets: documents of images and registries, recipes, locks, requirements, what pip says, and files of an image."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path

import msgspec

from oci_builder import bounded
from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue, OcibuildError, UnclearCommand
from oci_builder.image import MAX_LAYERS
from oci_builder.imported.installed import find_installed, removal
from oci_builder.inspect.contents import FileRecord, ImageContents
from oci_builder.inspect.distributions import distributions
from oci_builder.inspect.dpkg import debian_packages
from oci_builder.inspect.licences import debian_licences
from oci_builder.oci.documents import rfc3339
from oci_builder.oci.inherited import inherit
from oci_builder.oci.jsonio import decode, encode
from oci_builder.oci.manifest import GivenImage, Index, parse_manifest, platform_of
from oci_builder.platforms import AMD64, Platform
from oci_builder.recipes import ImageToml, Overrides, load_image, with_overrides
from oci_builder.recipes.unwritten import unwritten
from oci_builder.reference import Reference
from oci_builder.registry.access import Access
from oci_builder.registry.auth import Logins
from oci_builder.registry.challenges import Challenge, read_challenge
from oci_builder.registry.tokens import Tokens
from oci_builder.store import Store
from oci_builder.tomlfile import line_of, parse_toml
from oci_builder.tomltext import document_text
from oci_builder.tree.accounts import User, add_user, ids_of
from oci_builder.tree.entry import directory
from oci_builder.tree.tree import Tree
from oci_builder.updates.target import is_receipt, read_receipt
from oci_builder.wheels import lock
from oci_builder.wheels.explain import Failure, distilled
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.project_requirements import build_requires, read_pyproject
from oci_builder.wheels.rejected import candidates, fitting, reasons
from oci_builder.wheels.requirements import fingerprint, index_options, scan
from tests.fuzz.archives import a_file
from tests.fuzz.harness import Target, workshop, written
from tests.support.targets import SITE, TARGET

_USER = User(name="app", uid=1000, gid=1000, home="/home/app", shell="/bin/sh")
_AUTH = "registry.example.com"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _manifest(data: bytes) -> None:
    found = parse_manifest(data, media_type="", what="a manifest")
    assert found.descriptor.size == len(data)
    if isinstance(found, Index):
        found.select(AMD64, what="an index")
        return
    GivenImage(platform=AMD64, parsed=found, config=b"{}").as_oci()


def _config(data: bytes) -> None:
    document = decode(data, what="a configuration")
    with contextlib.suppress(OcibuildError):
        platform_of(data, what="a configuration")
    inherited = inherit(document, layers=1, what="a configuration")
    rfc3339(inherited.created)
    encode({**inherited.rest, "config": {**inherited.run_rest, **inherited.run.to_json()}})


def _challenged(data: bytes) -> None:
    found = read_challenge(data.decode("latin-1"))
    tokens = Tokens(_AUTH, "https", Access(logins=Logins({})))
    if found is None:
        return
    tokens.challenged(found, frozenset(), refused="")
    tokens.header(frozenset(), lambda *_, **__: b'{"token": "t"}').encode("latin-1")


def _token(data: bytes) -> None:
    tokens = Tokens(_AUTH, "https", Access(logins=Logins({})))
    tokens.challenged(Challenge(basic=False, realm="https://x/token"), frozenset(), refused="")
    # http.client sends header lines in this encoding.
    header = tokens.header(frozenset({"repository:a/b:pull"}), lambda *_, **__: data)
    header.encode("latin-1")
    assert not {"\r", "\n"} & set(header)


def _logins(data: bytes) -> None:
    path = written("docker/config.json", data)
    logins = Logins({"DOCKER_CONFIG": str(path.parent), "HOME": "/nonexistent", "PATH": "/nonexistent"})
    login = logins.find(_AUTH, "team/app")
    tokens = Tokens(_AUTH, "https", Access(logins=logins))
    tokens.challenged(Challenge(basic=True), frozenset(), refused="")
    tokens.header(frozenset(), lambda *_, **__: b"").encode("latin-1")
    assert login is None or login.username is not None


def _references(data: bytes) -> None:
    text = _text(data)
    for kind in (Platform, Digest, Reference):
        with contextlib.suppress(InvalidValue):
            found = kind.parse(text)
            assert kind.parse(str(found)) == found


def _recipe(data: bytes) -> None:
    folder = written("recipe/image.toml", data).parent
    written("recipe/requirements.txt", b"demo\n")
    source = load_image(folder)
    recipe = source.recipe
    recipe.run().to_json()
    assert recipe.references and recipe.targets and recipe.release and recipe.max_bytes >= 0
    for copy in recipe.copy:
        copy.ids((recipe.user.uid, recipe.user.gid))
        assert 0 <= (copy.permissions or 0) <= 0o7777
    with_overrides(recipe, Overrides(user="app:1:2", env={"A": "b"}, tags=["x:1"]))


def _project(data: bytes) -> None:
    """Files of a project, with a line of dashes between: a source, a Procfile, an ignore file, requirements."""
    parts = (*data.split(b"\n---\n"), *[b""] * 5)
    names = ("main.py", "Procfile", ".gitignore", "requirements.txt", "setup.cfg")
    for name, part in zip(names, parts, strict=False):
        folder = written(f"project/{name}", part).parent
    for app in ("", "main:app", "web"):
        with contextlib.suppress(UnclearCommand):
            found = unwritten(folder, app=app)
            assert found is not None
            text = document_text(found.document, found.comments)
            parse_toml(text, ImageToml, file="image.toml")
            assert tomllib.loads(text) == found.document


class _Table(msgspec.Struct):
    name: str = ""
    number: int = 0
    copy: list[dict[str, str]] = []
    python: dict[str, list[str]] = {}


def _line_of(data: bytes) -> None:
    text = _text(data)
    places: list[list[str | int]] = [["name"], ["copy", 1, "src"], ["python", "build", 0], ["a.b", "c"]]
    for steps in places:
        found = line_of(text, steps)
        assert found is None or 1 <= found <= len(text.splitlines()) + 1
    parse_toml(text, _Table, file="a.toml")


def _pylock(data: bytes) -> None:
    found = lock.parse(data, path=Path("pylock.toml"))
    lock.changes(None, found)
    pins = found.select(TARGET)
    again = lock.parse(lock.encode({TARGET: pins}, fingerprint="f"), path=Path("pylock.toml"))
    assert [pin.sha256 for pin in again.select(TARGET)] == [pin.sha256 for pin in pins]


def _requirements(data: bytes) -> None:
    file = written("requirements/requirements.txt", data)
    index_options([file])
    fingerprint(scan([file], environ={"HERE": "there"}))


def _pyproject(data: bytes) -> None:
    file = written("project/pyproject.toml", data)
    build_requires(file)
    read_pyproject(file, extras=["a"], groups=["dev"])


def _pip(data: bytes) -> None:
    text = _text(data)
    found = candidates(text)
    fitting(found, ">=1")
    for one in found[:1]:
        reasons(fitting(found, f"=={one.version}"), TARGET)
    distilled(text)
    sources = WheelSources(environ={})
    Failure(said=text, log=text, target=TARGET, lines=(), sources=sources).error()


def _accounts(data: bytes) -> None:
    base = Tree(
        [
            directory("etc", origin="t"),
            a_file("etc/passwd", data),
            a_file("etc/group", data),
            a_file("etc/shadow", data),
        ]
    )
    for user in ("root", "app", "1000", "0:root", "app:app", _text(data)[:32]):
        with contextlib.suppress(InvalidValue):
            ids_of(base, user)
    add_user(base, _USER)


def _contents(**kept: bytes) -> ImageContents:
    files = {path.replace("__", "/"): data for path, data in kept.items()}
    tree = {
        path: FileRecord(
            path=path, kind="file", mode=0o644, uid=0, gid=0, size=len(data), target="", digest=b"", layer=1
        )
        for path, data in files.items()
    }
    return ImageContents(
        name="an image",
        config={"architecture": "amd64", "os": "linux"},
        config_digest=Digest.of(b""),
        manifest_digest=None,
        references=(),
        layers=(),
        tree=tree,
        kept=files,
    )


def _status(data: bytes) -> None:
    list(debian_packages(_contents(**{"var/lib/dpkg/status": data, "var/lib/dpkg/status.d/demo": data})))
    list(
        debian_packages(
            _contents(
                **{
                    "var/lib/dpkg/status": b"Package: a\nVersion: 1\nStatus: x ok installed\n",
                    "etc/os-release": data,
                    "var/lib/dpkg/info/a.list": data,
                    "usr/share/doc/a/copyright": data,
                }
            )
        )
    )
    debian_licences(_text(data))


def _distribution(data: bytes) -> None:
    folder = f"{SITE}/demo-1.0.dist-info"
    known = {f"{folder}/{name}": data for name in ("METADATA", "RECORD", "WHEEL", "direct_url.json", "INSTALLER")}
    list(distributions(_contents(**known)))
    list(distributions(_contents(**{**known, f"{folder}/METADATA": b"Name: demo\nVersion: 1.0\n"})))


def _removed(data: bytes) -> None:
    folder = f"{SITE}/demo-1.0.dist-info"
    parts = folder.split("/")
    folders = [directory("/".join(parts[: end + 1]), origin="t") for end in range(len(parts))]
    tree = Tree([*folders, a_file(f"{folder}/RECORD", data), a_file(f"{SITE}/demo.py", b"x")])
    removal(tree, find_installed(tree, f"/{SITE}"), prefix="/usr/local", store=Store(workshop() / "store"))


def _bounded(data: bytes) -> None:
    text = _text(data)
    with contextlib.suppress(ValueError):
        number = bounded.parse_decimal(text)
        assert str(number) == (text.lstrip("0") or "0")
    with contextlib.suppress(ValueError):
        found = bounded.load_json(data)
        assert json.loads(json.dumps(found, allow_nan=False).encode()) == found
    with contextlib.suppress(ValueError):
        bounded.load_toml(text)


def _receipt(data: bytes) -> None:
    path = written("receipt.json", data)
    if is_receipt(path):
        found = read_receipt(path)
        assert 0 < len(found.diff_ids) <= MAX_LAYERS


TARGETS = (
    Target(name="manifest", run=_manifest),
    Target(name="config", run=_config),
    Target(name="challenge", run=_challenged),
    Target(name="token", run=_token),
    Target(name="logins", run=_logins),
    Target(name="references", run=_references),
    Target(name="image-toml", run=_recipe),
    Target(name="project", run=_project),
    Target(name="line-of", run=_line_of),
    Target(name="pylock", run=_pylock),
    Target(name="requirements", run=_requirements),
    Target(name="pyproject", run=_pyproject),
    Target(name="pip-log", run=_pip),
    Target(name="accounts", run=_accounts),
    Target(name="dpkg-status", run=_status),
    Target(name="distribution", run=_distribution),
    Target(name="removal", run=_removed),
    Target(name="bounded", run=_bounded),
    Target(name="receipt", run=_receipt),
)
