"""The base that an image stands on: how many of its layers are that one's, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from oci_builder.bases import Base
from oci_builder.digest import Digest
from oci_builder.errors import UnsupportedImage
from oci_builder.oci.documents import RunConfig, rfc3339
from oci_builder.oci.inherited import Inherited
from oci_builder.oci.jsonio import JSON
from oci_builder.wording import counted


@dataclass(frozen=True, kw_only=True)
class OldBase:
    """What an image's lowest ``layers`` layers are, called ``name``.

    Of one whose configuration nobody has, ``run`` is empty: all that the image says is taken for its own.
    """

    name: str
    layers: int
    run: RunConfig = field(default_factory=RunConfig)
    run_rest: JSON = field(default_factory=dict)
    rest: JSON = field(default_factory=dict)
    history: tuple[JSON, ...] = ()


def known_base(name: str, said: Inherited) -> OldBase:
    """The base with this configuration."""
    return OldBase(
        name=name,
        layers=said.layers,
        run=said.run,
        run_rest=said.run_rest,
        rest=said.rest,
        history=said.history,
    )


def said_of(base: Base) -> Inherited:
    """What a base says of itself, also where it was made here and has no configuration of its own."""
    if base.inherited is not None:
        return base.inherited
    steps = tuple(_step(layer.created_by, layer.comment, base.created) for layer in base.layers)
    return Inherited(run=RunConfig(env=base.env), created=base.created, layers=len(base.layers), history=steps)


def _step(created_by: str, comment: str, created: int) -> JSON:
    step: JSON = {"created": rfc3339(created), "created_by": created_by}
    return {**step, "comment": comment} if comment else step


def expect_below(name: str, base: Sequence[Digest], image: Base) -> None:
    """The layers of ``base`` are the lowest of ``image``, by what they unpack to. Raises UnsupportedImage."""
    there = [layer.diff_id for layer in image.layers]
    if base and there[: len(base)] == list(base):
        return
    same = next(
        (number for number, pair in enumerate(zip(base, there, strict=False)) if pair[0] != pair[1]), len(there)
    )
    why = f"{name} has {counted(len(base), 'layer')}, of which {same or 'none'} "
    why += f"{'is' if same == 1 else 'are'} the lowest of the image's {len(there)}"
    hint = "name the very version of the base that it was made on with --base, by its digest or as a file"
    raise UnsupportedImage(image.name, f"it does not stand on that base: {why}", hint=hint)
