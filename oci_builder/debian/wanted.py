"""What a recipe wants of Debian packages over its base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_builder.debian.archives import Archives


@dataclass(frozen=True, kw_only=True)
class WantedPackages:
    """Packages that a recipe names, and globs of what stays and of what goes too; ``keep`` is the stronger.

    ``skipped`` are those of the packages whose maintainer scripts are passed over, each with the recipe's reason;
    ``locales`` are those that are to be taken out of Debian's package of all. Without ``archives`` they come from those
    that the base is made from.
    """

    names: tuple[str, ...]
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    locales: tuple[str, ...] = ()
    archives: Archives | None = None

    def line_with_skipped(self, name: str) -> str:
        """The line of image.toml that says the same, and has the scripts of the package ``name`` passed over."""
        reasons = {**self.skipped, name: "what they do is not needed"}
        words = [
            f'{{ name = "{each}", scripts = "skip", reason = {json.dumps(reasons[each])} }}'
            if each in reasons
            else f'"{each}"'
            for each in dict.fromkeys((*self.names, name))
        ]
        key = "packages" if self.keep or self.drop or self.archives else "base-packages"
        return f"{key} = [{', '.join(words)}]"
