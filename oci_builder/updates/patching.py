"""A patch: the old image's layers, named, and one layer more that makes the new root filesystem of the old one."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from oci_builder.digest import Digest
from oci_builder.errors import CheckFailed, UnsupportedImage
from oci_builder.image import MAX_LAYERS
from oci_builder.imported.documents import as_object
from oci_builder.imported.names import shown
from oci_builder.imported.parts import ImageParts
from oci_builder.layer import Layer, write_layer
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import JSON, decode, encode
from oci_builder.oci.manifest import GivenImage, Manifest, parse_manifest, platform_of
from oci_builder.oci.mediatypes import CONFIG, MANIFEST
from oci_builder.store import Store
from oci_builder.tree.entry import Content, Entry, EntryPath, Kind
from oci_builder.updates.differing import TreeDifference, differing, in_patch_order
from oci_builder.updates.faces import Face, MergedTree
from oci_builder.updates.reading import PatchContents
from oci_builder.updates.scanning import Attributes, LayerScan, scan_of
from oci_builder.updates.target import TargetImage
from oci_builder.updates.words import EQUALS, PATCH, SINCE, TREE

_ORIGIN = "the new image"
_KINDS = {"file": Kind.FILE, "directory": Kind.DIRECTORY, "symlink": Kind.SYMLINK}
_DELETIONS = {"whiteout": Kind.WHITEOUT, "opaque": Kind.OPAQUE}
_DISTRIBUTION = re.compile(r"(?:\A|/)([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)\.dist-info\Z")
_MOST_NAMED = 5
_MOST_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Patch:
    """An image that is another one patched; its own layer is in the store that it was written to."""

    image: GivenImage
    layer: Descriptor
    difference: TreeDifference


@dataclass(frozen=True, kw_only=True)
class Trees:
    """The root filesystems of both images."""

    old: MergedTree
    new: MergedTree


def make_patch(target: TargetImage, new: ImageParts, trees: Trees, *, contents: PatchContents, scratch: Store) -> Patch:
    """Write the layer that makes one tree of the other, prove that it does, and name the image.

    Raises UnsupportedImage where that cannot be: at Docker's limit of layers, or for devices that differ; CheckFailed.
    """
    if len(trees.old.layers) >= MAX_LAYERS:
        why = f"it has {len(trees.old.layers)} layers, and Docker mounts {MAX_LAYERS} at most: there is no room for one"
        raise UnsupportedImage(target.name, why, hint="carry the new image whole, and update that from then on")
    found = differing(trees.old, trees.new)
    contents.bring(_wanted(found, trees.new))
    entries = list(_entries(found, trees.new, contents))
    label = created_by(found, trees)
    layer = write_layer(entries, scratch, created_by=label, holds=())
    _prove(layer, entries, trees)
    image = _image(target, new, trees, layer)
    return Patch(image=image, layer=layer.descriptor, difference=found)


def _wanted(found: TreeDifference, new: MergedTree) -> Mapping[int, list[int]]:
    wanted: dict[int, list[int]] = {}
    for path in found.listed:
        source = new.source(path)
        if source is not None and new.face(path).kind == "file":
            wanted.setdefault(source[0], []).append(source[1])
    return wanted


def _entries(found: TreeDifference, new: MergedTree, contents: PatchContents) -> Iterator[Entry]:
    for kind, path in in_patch_order(found):
        if kind in _DELETIONS:
            yield Entry(path=path, kind=_DELETIONS[kind], mode=0o644, origin=_ORIGIN)
            continue
        face, peers = new.face(path), new.peers.get(path, ())
        if face.kind not in _KINDS:
            hint = "--exact carries whole layers, whatever is in them"
            why = f"{shown(path)} is a device or a FIFO that differs, and a patch holds none"
            raise UnsupportedImage("the patch", why, hint=hint)
        if peers and path != peers[0]:
            yield _entry(path, face, kind=Kind.HARDLINK, target=peers[0])
            continue
        source = new.source(path)
        content = contents.of(*source) if source is not None and face.kind == "file" else None
        yield _entry(path, face, kind=_KINDS[face.kind], target=face.target, content=content)


def _entry(path: EntryPath, face: Face, *, kind: Kind, target: str, content: Content | None = None) -> Entry:
    return Entry(
        path=path,
        kind=kind,
        mode=face.mode,
        uid=face.uid,
        gid=face.gid,
        mtime=face.mtime,
        size=face.size if kind is Kind.FILE else 0,
        target=target,
        content=content,
        attributes=face.attributes if kind is not Kind.HARDLINK else (),
        origin=_ORIGIN,
    )


def _prove(layer: Layer, entries: Sequence[Entry], trees: Trees) -> None:
    """The old tree under the layer's own index is the new tree, path by path. Raises CheckFailed."""
    scan = scan_of(layer)
    assert scan is not None, "it was made here"
    names: dict[str, Attributes] = {entry.path: entry.attributes for entry in entries if entry.attributes}
    names.update({path: names[peers[0]] for path, peers in trees.new.peers.items() if peers[0] in names})
    patched = LayerScan(
        descriptor=scan.descriptor,
        diff_id=scan.diff_id,
        entries=scan.entries,
        members=array("q"),
        attributes=names,
        links=scan.links,
    )
    expect_same(MergedTree((*trees.old.layers, patched)), trees.new, what="the patch")


def expect_same(made: MergedTree, wanted: MergedTree, *, what: str) -> None:
    """Every path of one tree is in the other, and the same. Raises CheckFailed, naming the first that are not."""
    wrong = [path for path in wanted if path not in made or not wanted.is_same(path, made)]
    wrong += [path for path in made if path not in wanted]
    if wrong:
        lines = [f"/{shown(path)} is not what the new image has" for path in wrong[:_MOST_SHOWN]]
        lines += [f"and {len(wrong) - _MOST_SHOWN} paths more"] if len(wrong) > _MOST_SHOWN else []
        raise CheckFailed(what, lines, hint="--exact carries whole layers; please tell us what the images are")


def created_by(found: TreeDifference, trees: Trees) -> str:
    """The history's line of the patch: which distributions come with it, and which go."""
    new = dict(_distributions(path for path in found.changed if trees.new.is_folder(path)))
    old = dict(_distributions(path for path in (*found.deleted,) if trees.old.is_folder(path)))
    words = []
    for name in sorted(new.keys() | old.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        words.append(f"{name} {before} → {after}" if before and after else f"{name} {after or 'gone'}")
    more = [f"and {len(words) - _MOST_NAMED} more"] if len(words) > _MOST_NAMED else []
    return f"{PATCH}: {', '.join([*words[:_MOST_NAMED], *more]) or 'files that differ'}"


def _distributions(paths: Iterator[EntryPath]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if (match := _DISTRIBUTION.search(path)) is not None and path.isascii():
            yield match[1], match[2]


def _image(target: TargetImage, new: ImageParts, trees: Trees, layer: Layer) -> GivenImage:
    """The image of the old layers and the patch, run as the new one is."""
    old = [scan.descriptor for scan in trees.old.layers]
    config = _config(target, new, trees, layer)
    named = Descriptor(media_type=CONFIG, digest=Digest.of(config), size=len(config))
    document: JSON = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": named.to_json(),
        "layers": [each.to_json() for each in (*old, layer.descriptor)],
    }
    if new.annotations:
        document["annotations"] = dict(new.annotations)
    parsed = parse_manifest(encode(document), media_type=MANIFEST, what="the update")
    assert isinstance(parsed, Manifest), "it was written as one"
    return GivenImage(platform=platform_of(new.config, what=new.name), parsed=parsed, config=config)


def _config(target: TargetImage, new: ImageParts, trees: Trees, layer: Layer) -> bytes:
    config = decode(new.config, what=f"{new.name}: configuration")
    run = dict(as_object(config.get("config")))
    labels = {**as_object(run.get("Labels")), EQUALS: str(Digest.of(new.config)), TREE: str(trees.new.digest())}
    labels |= {SINCE: target.id} if target.id else {}
    created = {"created": config["created"]} if isinstance(config.get("created"), str) else {}
    below = [dict(step) for step in target.history] or [{"comment": "from the old image"} for _ in target.diff_ids]
    document: JSON = {
        **config,
        "config": {**run, "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*map(str, target.diff_ids), str(layer.diff_id)]},
        "history": [*below, {**created, "created_by": layer.created_by}],
    }
    return encode(document)
