"""What lies above the wheels: the user, the home, the folders a run needs, and the recipe's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_builder.assemble.app_files import ORIGIN, owned_folders, recipe_files
from oci_builder.assemble.image_copies import Taken
from oci_builder.bases import Base
from oci_builder.layer import Layer, write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.recipes import ImageSource, ImageToml, UserRecipe
from oci_builder.recipes.environment import expanded
from oci_builder.store import Store
from oci_builder.tree.accounts import User, add_user, ids_of
from oci_builder.tree.entry import Entry, directory
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree

MPLCONFIGDIR = "/tmp/matplotlib"
"""Where matplotlib may write its font cache: in /tmp, the one place a locked-down container can write."""


def run_config(recipe: ImageToml, base: Base, *, labels: Mapping[str, str]) -> RunConfig:
    """How the image runs: what the recipe says, over what the base and the user bring and over ``labels``.

    What a base made elsewhere says holds until the recipe says otherwise, as after a Dockerfile's FROM. Raises
    InvalidValue for an environment variable that refers to one that there is not.
    """
    run = recipe.run()
    known = base.inherited.run if base.inherited else RunConfig()
    kept = keeps_user(recipe, base)
    entrypoint, cmd = _command(recipe, known)
    ours = _language(recipe, base) | ({} if kept else {"HOME": recipe.user.home})
    return RunConfig(
        user=known.user if kept else run.user,
        env=expanded(run.env, {**base.env, **ours, "MPLCONFIGDIR": MPLCONFIGDIR}),
        entrypoint=entrypoint,
        cmd=cmd,
        workdir=_workdir(recipe, base),
        labels={**known.labels, **labels, **run.labels},
        exposed_ports=tuple(sorted({*known.exposed_ports, *run.exposed_ports})),
        volumes=tuple(sorted({*known.volumes, *run.volumes})) if known.volumes else run.volumes,
        stop_signal=run.stop_signal or known.stop_signal,
        healthcheck=run.healthcheck,
    )


def _language(recipe: ImageToml, base: Base) -> dict[str, str]:
    """LANG, and LC_ALL where the base sets that, which would be the stronger."""
    names = ("LANG", "LC_ALL") if base.env.get("LC_ALL") else ("LANG",)
    return dict.fromkeys(names if recipe.config.locales else (), next(iter(recipe.config.locales), ""))


def check_run(recipe: ImageToml, base: Base) -> None:
    """See that ``base`` can have the user, groups and environment of the recipe, before anything is made.

    Raises InvalidValue.
    """
    run_config(recipe, base, labels={})
    if not keeps_user(recipe, base):
        _user(recipe, base.tree)


def keeps_user(recipe: ImageToml, base: Base) -> bool:
    """Whether the base's own user runs: one that is not root, where the recipe names none of its own."""
    user = base.inherited.run.user if base.inherited else ""
    return user.partition(":")[0] not in ("", "0", "root") and recipe.user == UserRecipe()


def _command(recipe: ImageToml, known: RunConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and cmd. An entrypoint of the recipe's own takes the base's cmd away (Dockerfile reference, CMD)."""
    config, run = recipe.config, recipe.run()
    if config.entrypoint or not (known.entrypoint or known.cmd):
        return run.entrypoint, run.cmd
    return known.entrypoint, known.cmd if config.cmd is None else config.cmd


def _workdir(recipe: ImageToml, base: Base) -> str:
    known = base.inherited.run.workdir if base.inherited else ""
    if recipe.config.workdir is None and (known.strip("/") or keeps_user(recipe, base)):
        return known or "/"
    return recipe.run().workdir


def app_layer(source: ImageSource, base: Base, taken: Taken, store: Store) -> Layer | None:
    """The layer with the user and the recipe's files over all below, or None where there is nothing to add.

    What is ``taken`` out of other images lies below it already.

    Raises InvalidValue for a user the base has already, FileProblem, OutsideProject and UnsafePath for what cannot be
    copied, PathConflict where two copies want one path.
    """
    recipe, below = source.recipe, taken.below
    kept = keeps_user(recipe, base)
    owner = owner_of(recipe, base, below)
    entries = [] if kept else list(_user(recipe, below))
    files = recipe_files(source, owner, taken)
    entries += files
    # A folder that is there keeps what it is, but for one that the recipe says otherwise of.
    below = below.overlaid(owned_folders(source, owner, below))
    entries += _folders(
        {_workdir(recipe, base), *recipe.config.volumes}, below, {entry.path for entry in entries}, owner
    )
    if not entries:
        return None
    holds = tuple(
        part
        for part, there in ((f"user {recipe.user.name}", not (kept or recipe.user.is_root)), ("files", files))
        if there
    )
    tree = place(entries, below)
    return write_layer(tree, store, created_by=f"ocibuild {' and '.join(holds) or 'folders'}", holds=holds)


def _user(recipe: ImageToml, below: Tree) -> list[Entry]:
    user = recipe.user
    if user.is_root:
        return []
    account = User(name=user.name, uid=user.uid, gid=user.gid, home=user.home, shell=user.shell, groups=user.groups)
    return add_user(below, account)


def owner_of(recipe: ImageToml, base: Base, below: Tree) -> tuple[int, int]:
    """User and group ID of whoever runs."""
    if base.inherited is None or not keeps_user(recipe, base):
        return recipe.user.uid, recipe.user.gid
    return ids_of(below, base.inherited.run.user)


def _folders(paths: set[str], below: Tree, made: set[str], owner: tuple[int, int]) -> Iterator[Entry]:
    # An engine makes a missing one as root's, whoever runs.
    for path in sorted(paths):
        name = path.strip("/")
        if name and name not in made and below.resolve(name) not in below:
            yield directory(name, uid=owner[0], gid=owner[1], origin=ORIGIN)
