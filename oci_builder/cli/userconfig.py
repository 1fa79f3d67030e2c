"""``ocibuild.toml`` in the user's configuration folder: what is said once for all recipes of a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from oci_builder.errors import BadKey
from oci_builder.files import open_regular
from oci_builder.tomlfile import load_toml, misplaced

FILE = "ocibuild.toml"

Mirrors = Annotated[str | tuple[str, ...], msgspec.Meta(description="an address such as 'http://…/debian', or a list")]


class UserConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What it may say: ``mirror``, where Debian's packages come from if no option and no variable says so."""

    mirror: Mirrors = ()

    @property
    def mirrors(self) -> tuple[str, ...]:
        """The addresses, in the order in which they are asked."""
        return (self.mirror,) if isinstance(self.mirror, str) else self.mirror


def user_config(environ: Mapping[str, str]) -> UserConfig:
    """What the user's file says; nothing where there is none. Raises RecipeError, FileProblem."""
    for path in _places(environ):
        try:
            # No input: which mirror brings a package decides nothing of it.
            stream = open_regular(path, noted=False)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                continue
            raise misplaced(path, BadKey("", str(error.strerror).lower())) from error
        config = load_toml(path, UserConfig, opened=stream)
        for mirror in config.mirrors:
            if not mirror.startswith(("http://", "https://")):
                why, hint = f"{mirror!r} is no address", "such as mirror = 'http://…/debian'"
                raise misplaced(path, BadKey("mirror", why, hint=hint))
        return config
    return UserConfig()


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    folder, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    # As the specification of these folders has it: one that is not absolute is none.
    above = folder if folder.startswith("/") else f"{home}/.config" if home.startswith("/") else ""
    if above:
        yield Path(above, FILE)
        yield Path(above, "ocibuild", FILE)
