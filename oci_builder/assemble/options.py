"""What a build is told besides its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.registry.registries import Registries


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to build, as the command line and the environment say.

    ``offline`` None lets the recipe's ``wheels/`` folder decide. ``locked`` refuses what would change a lock,
    ``frozen`` takes the wheel lock unseen; ``keep_lock`` False lets a build that was asked for something else than the
    recipe leave the recipe's lock alone. ``epoch`` (seconds since 1970) dates the image instead of its base's lock;
    ``now`` judges signatures, and enters no output. ``registries`` is how bases are pulled, None as ``environ`` says;
    ``lazily`` leaves a base's layers there once their content is known: for an image that is pushed and not written.
    ``verify`` has what was written read again before it appears. ``stands_on`` is what an image to be made again says
    of its base (``NAME:TAG@DIGEST``), whose tag may have moved.
    """

    project: Path
    jobs: int
    now: int
    environ: Mapping[str, str] = field(default_factory=dict)
    find_links: tuple[str, ...] = ()
    offline: bool | None = None
    locked: bool = False
    frozen: bool = False
    keep_lock: bool = True
    mirrors: tuple[str, ...] = ()
    layers: tuple[Path, ...] = ()
    epoch: int | None = None
    registries: Registries | None = None
    lazily: bool = False
    verify: bool = False
    stands_on: str = ""
