"""The world a build happens in, and what its user chose; both are made once, and handed down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.store import Store


@dataclass(frozen=True, kw_only=True)
class BuildContext:
    """What a build works with, the same for every image of a run.

    ``project`` is the folder that holds ``build/`` and ``layers/``. ``now`` (seconds since 1970) judges signatures, and
    enters no output. ``environ`` is what pip and login helpers are given.
    """

    store: Store
    reporter: Reporter
    registries: Registries
    project: Path
    jobs: int
    now: int
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BuildPolicy:
    """What a user chooses besides the recipe.

    ``offline`` None lets the recipe's ``wheels/`` folder decide for wheels. ``locked`` refuses what would change a
    lock, ``frozen`` takes the wheel lock unseen; without ``update_lock`` a lock that fell behind is left as it is.
    ``mirrors``, ``layer_path`` and ``find_links`` are looked in for packages, bases and wheels. ``epoch`` (seconds
    since 1970) dates the image instead of its base's lock. ``lazy_base`` leaves a base's layers in their registry once
    their content is known: for an image that is pushed and not written. ``base_pin`` (``NAME:TAG@DIGEST``) says which
    image a tag meant, for one that is made again, and ``copied_pins`` the same of images that files are taken out of.
    """

    offline: bool | None = None
    locked: bool = False
    frozen: bool = False
    update_lock: bool = True
    mirrors: tuple[str, ...] = ()
    layer_path: tuple[Path, ...] = ()
    find_links: tuple[str, ...] = ()
    epoch: int | None = None
    lazy_base: bool = False
    base_pin: str = ""
    copied_pins: tuple[str, ...] = ()
