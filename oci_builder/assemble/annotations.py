"""What an image says of where it comes from (OCI image-spec, annotations.md: pre-defined keys first)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name

from oci_builder.bases import Base
from oci_builder.debian.unscripted import unscripted_label, unscripted_of
from oci_builder.digest import Digest
from oci_builder.layer import FORMAT
from oci_builder.oci.documents import rfc3339
from oci_builder.oci.layout import COPIED_FROM
from oci_builder.recipes import ImageToml
from oci_builder.version import __version__
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.unverified import UNVERIFIED, unverified_label, unverified_of

_DEFINED = "org.opencontainers.image."


def annotations_of(
    recipe: ImageToml, base: Base, *, lock: Digest | None, pins: Sequence[WheelPin], copied: Sequence[Base] = ()
) -> Mapping[str, str]:
    """What the image was made from; ``lock`` is the digest of pylock.toml, ``pins`` are the wheels.

    ``copied`` are images that files were taken out of.

    These are labels, which engines keep and show, and annotations of the manifest, where registries look. Nothing in
    them depends on the machine or the moment of the build.
    """
    known = {
        # A base of a registry by the name it has there; a file's without the folder, which is one machine's affair.
        f"{_DEFINED}base.name": base.name if base.inherited else recipe.base,
        "dev.ocibuild.version": __version__,
        "dev.ocibuild.layer-format": str(FORMAT),
    }
    if base.digest is not None:
        # No registry has a base of layers/: the lock that says which packages it is made of stands for it.
        known[f"{_DEFINED}base.digest"] = str(base.digest)
    if lock is not None:
        known["dev.ocibuild.lock"] = str(lock)
    if recipe.version:
        known[f"{_DEFINED}version"] = recipe.version
    known.update(_unverified(recipe, base, pins))
    # A base keeps its packages: what it says of them holds.
    below = unscripted_of({"Labels": base.inherited.run.labels}) if base.inherited else frozenset()
    known.update(unscripted_label([*base.skipped_scripts, *below]))
    names = sorted({image.name for image in copied if image.reference is not None})
    # A base's label would hold on, though it is of other files.
    if names or (base.inherited is not None and COPIED_FROM in base.inherited.run.labels):
        known[COPIED_FROM] = " ".join(names)
    return known


def _unverified(recipe: ImageToml, base: Base, pins: Sequence[WheelPin]) -> Mapping[str, str]:
    """The label of wheels that were not held to their RECORD: of those here, and of those that the base has kept."""
    unheld, here = set(map(canonicalize_name, recipe.python.unverified)), {pin.name for pin in pins}
    inherited = unverified_of({"Labels": base.inherited.run.labels}) if base.inherited else frozenset()
    kept = [each for each in inherited if each.partition(" ")[0] not in here]
    label = unverified_label([*(str(pin) for pin in pins if pin.name in unheld), *kept])
    # A base's label would hold on, though all that it names was replaced.
    return label or ({UNVERIFIED: ""} if inherited else {})


def manifest_annotations(recipe: ImageToml, known: Mapping[str, str], *, created: int) -> Mapping[str, str]:
    """The manifest's annotations: what is ``known``, and what the recipe's labels say in pre-defined keys.

    So revision and source are there when the recipe or ``--label`` gives them, and never guessed.
    """
    described = {key: text for key, text in recipe.config.labels.items() if key.startswith(_DEFINED)}
    return {**known, f"{_DEFINED}created": rfc3339(created), **described}
