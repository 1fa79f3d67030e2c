"""The words that images are marked with which were brought up to date."""

from __future__ import annotations

PATCH = "ocibuild update"
"""How the history's line of a patch begins."""

EQUALS = "dev.ocibuild.equals"
"""The label with the ID of the image whose files and configuration a patched one has."""

SINCE = "dev.ocibuild.since"
"""The label with the ID of the image that the patch is for, as the target calls it."""

TREE = "dev.ocibuild.tree"
"""The label with the digest of all files of a patched image: what it is proved by where the other is not at hand."""
