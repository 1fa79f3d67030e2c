"""Tables of a recipe that put files, folders and links into the image."""

from __future__ import annotations

import posixpath
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from oci_builder.errors import BadKey
from oci_builder.recipes.foreign import COPY_FOREIGN, FETCH_FOREIGN, LINK_FOREIGN
from oci_builder.recipes.values import Absolute, Address, Line, Mode, Owner, Sha256, Table, Target
from oci_builder.tree.patterns import Patterns

_LAST_ID = 4_294_967_294
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


class Placed(Table, frozen=True, kw_only=True):
    """What every such table says: whose it is, and its permissions."""

    mode: Mode | None = None
    owner: Owner = "0:0"

    @property
    def permissions(self) -> int | None:
        """The mode of every file; None keeps what the files say."""
        return None if self.mode is None else int(self.mode, 8)

    def ids(self, user: tuple[int, int]) -> tuple[int, int]:
        """The user and group ID; ``user`` are those of whoever runs."""
        if self.owner == "user":
            return user
        uid, _, gid = self.owner.partition(":")
        return int(uid), int(gid)

    def _check(self, key: str, path: str) -> None:
        if ".." in path.split("/"):
            raise BadKey(key, 'a path of the image has no ".."')
        if self.owner != "user" and any(int(number) > _LAST_ID for number in self.owner.split(":")):
            raise BadKey("owner", f"a user or group ID is at most {_LAST_ID}")


class CopyRecipe(Placed, frozen=True, kw_only=True):
    """``[[copy]]``: files of the recipe's folder, or of another ``image``, and where they go."""

    foreign: ClassVar[Mapping[str, str]] = COPY_FOREIGN
    src: Annotated[Line, Meta(description="a path relative to the recipe's folder, or with from a path of that image")]
    image: Annotated[
        Line | None, Meta(description="an image to copy out of: one of a registry, or a file or folder of one")
    ] = field(default=None, name="from")
    dest: Absolute
    include: Annotated[
        tuple[Line, ...], Meta(description="a list of patterns; only files that match one are copied")
    ] = ()
    exclude: Annotated[tuple[Line, ...], Meta(description="a list of patterns; files that match one are left out")] = ()
    outside: Annotated[bool, Meta(description="true if src may lead out of the project, by .. or through a link")] = (
        False
    )

    layer: Annotated[
        Literal["own", "same"],
        Meta(description='"same" for the layer of the [[copy]] before; by default each has its own'),
    ] = "own"

    def __post_init__(self) -> None:
        self._check("dest", self.dest)
        if self.image is not None and self.layer == "same":
            raise BadKey("layer", "what comes out of one image, table after table, is in one layer anyway")
        _check_patterns(include=self.include, exclude=self.exclude)
        if self.image is None and self.src.startswith("/"):
            hint = "write it as it leads from there, or name the image that it is in with from"
            raise BadKey("src", f"expected a path relative to the recipe's folder, got {self.src!r}", hint=hint)
        if self.image is not None and self.outside:
            raise BadKey("outside", "what is in an image is in no project")
        if self.image is not None and ".." in self.src.split("/"):
            raise BadKey("src", 'a path of the image has no ".."')


class FolderRecipe(Placed, frozen=True, kw_only=True):
    """``[[folder]]``: a folder, empty or not, that is there with this owner and mode."""

    path: Absolute

    def __post_init__(self) -> None:
        self._check("path", self.path)
        if not self.path.strip("/"):
            raise BadKey("path", "the root of the image is always there")


class LinkRecipe(Table, frozen=True, kw_only=True):
    """``[[link]]``: a symbolic link at ``path``; whether anything is at ``target`` is not asked."""

    foreign: ClassVar[Mapping[str, str]] = LINK_FOREIGN
    path: Absolute
    target: Target

    def __post_init__(self) -> None:
        if ".." in self.path.split("/"):
            raise BadKey("path", 'a path of the image has no ".."')
        if not self.path.strip("/") or self.path.endswith("/"):
            raise BadKey("path", "a link has a name")


class FetchRecipe(Placed, frozen=True, kw_only=True):
    """``[[fetch]]``: a file of the internet, known by its digest, or what an archive of it holds."""

    foreign: ClassVar[Mapping[str, str]] = FETCH_FOREIGN
    url: Address
    sha256: Sha256
    dest: Absolute
    unpack: Annotated[bool, Meta(description="true to unpack a .tar, .tar.gz, .tar.xz, .tar.bz2 or .zip into dest")] = (
        False
    )
    strip: Annotated[int, Meta(ge=0, le=20, description="a number of leading folders to leave out when unpacking")] = 0
    include: Annotated[
        tuple[Line, ...], Meta(description="a list of patterns; only files of the archive that match one are taken")
    ] = ()
    exclude: Annotated[
        tuple[Line, ...], Meta(description="a list of patterns; files of the archive that match one are left out")
    ] = ()

    def __post_init__(self) -> None:
        self._check("dest", self.dest)
        _check_patterns(include=self.include, exclude=self.exclude)
        for key in ("strip", "include", "exclude"):
            if getattr(self, key) and not self.unpack:
                raise BadKey(key, "nothing is unpacked", hint="write unpack = true")
        if "@" in urllib.parse.urlsplit(self.url).netloc:
            raise BadKey(
                "url",
                "a recipe is no place for a password",
                hint="get the file before the build, and name it in a [[copy]]",
            )
        if not self.unpack and self.dest.endswith("/") and not self.file_name:
            raise BadKey("dest", "the address ends without a name", hint="write the name of the file behind dest")
        if self.unpack and not self.file_name.lower().endswith(_ARCHIVES):
            raise BadKey("unpack", f"{self.file_name or 'the address'} is no archive by its name", hint=_KNOWN)

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path))


_KNOWN = f"known are {', '.join(_ARCHIVES)}"


def _check_patterns(**keys: Sequence[str]) -> None:
    for key, globs in keys.items():
        for number, glob in enumerate(globs):
            try:
                Patterns([glob])
            except ValueError as error:
                raise BadKey(f"{key}[{number}]", f"not a pattern of a .dockerignore: {error}") from error
