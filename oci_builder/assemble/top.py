"""What lies above the wheels: the user, the home, the folders a run needs, and the recipe's own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oci_builder.bases import Base
from oci_builder.errors import PathConflict
from oci_builder.layer import Layer, write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.recipes import CopyRecipe, ImageRecipe, ImageSource
from oci_builder.store import Store
from oci_builder.tree.accounts import User, add_user
from oci_builder.tree.copying import Copy, copied
from oci_builder.tree.entry import Entry, Kind, directory
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, same_place

_ORIGIN = "image.toml"
MPLCONFIGDIR = "/tmp/matplotlib"
"""Where matplotlib may write its font cache: in /tmp, the one place a locked-down container can write."""


def run_config(recipe: ImageRecipe, base: Base, *, labels: Mapping[str, str]) -> RunConfig:
    """How the image runs: what the recipe says, over what the base and the user bring and over ``labels``."""
    run = recipe.run()
    env = {**base.env, "HOME": recipe.user.home, "MPLCONFIGDIR": MPLCONFIGDIR, **run.env}
    return RunConfig(
        user=run.user,
        env=env,
        entrypoint=run.entrypoint,
        cmd=run.cmd,
        workdir=run.workdir,
        labels={**labels, **run.labels},
        exposed_ports=run.exposed_ports,
        volumes=run.volumes,
        stop_signal=run.stop_signal,
        healthcheck=run.healthcheck,
    )


def top_layer(source: ImageSource, below: Tree, store: Store) -> Layer | None:
    """The layer with the user and the recipe's files over ``below``, or None where there is nothing to add.

    Raises InvalidValue for a user the base has already, FileProblem and UnsafePath for what cannot be copied,
    PathConflict where two copies want one path.
    """
    recipe = source.recipe
    entries = list(_user(recipe, below))
    files = list(_files(source))
    entries += files
    entries += _folders(recipe, below, {entry.path for entry in entries})
    if not entries:
        return None
    holds = tuple(
        part for part, there in ((f"user {recipe.user.name}", not recipe.user.is_root), ("files", files)) if there
    )
    tree = place(entries, below)
    return write_layer(tree, store, created_by=f"ocibuild {' and '.join(holds) or 'folders'}", holds=holds)


def _user(recipe: ImageRecipe, below: Tree) -> list[Entry]:
    user = recipe.user
    if user.is_root:
        return []
    account = User(name=user.name, uid=user.uid, gid=user.gid, home=user.home, shell=user.shell)
    return add_user(below, account)


def _folders(recipe: ImageRecipe, below: Tree, made: set[str]) -> Iterator[Entry]:
    # An engine makes a missing one as root's, whoever runs.
    for path in sorted({recipe.run().workdir, *recipe.config.volumes}):
        name = path.strip("/")
        if name and name not in made and below.resolve(name) not in below:
            yield directory(name, uid=recipe.user.uid, gid=recipe.user.gid, origin=_ORIGIN)


def _files(source: ImageSource) -> Iterator[Entry]:
    """The copies in the recipe's order; a later one replaces an earlier one's file, as in a Dockerfile."""
    found: dict[str, Entry] = {}
    for copy in source.recipe.copy:
        for entry in copied(_copy(source, copy)):
            present = found.get(entry.path)
            if present is not None and (present.kind is Kind.DIRECTORY) != (entry.kind is Kind.DIRECTORY):
                raise PathConflict(f"/{entry.path}", "one [[copy]]", "a later one")
            if present is None or not same_place(present, entry):
                found[entry.path] = entry
    yield from found.values()


def _copy(source: ImageSource, copy: CopyRecipe) -> Copy:
    uid, gid = copy.owner_ids(source.recipe.user)
    return Copy(
        source=source.folder / copy.src,
        dest=copy.dest,
        include=copy.include,
        exclude=copy.exclude,
        mode=copy.permissions,
        uid=uid,
        gid=gid,
    )
