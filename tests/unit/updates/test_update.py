"""Updates of small images: what is in them, when they are refused, and what is believed of whom."""

from __future__ import annotations

import gzip
import json
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, OcibuildError, UnsupportedImage
from oci_builder.imported.parts import open_parts
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.updates.proving import verify_update
from oci_builder.updates.target import TargetImage, read_receipt, target_of
from oci_builder.updates.update import (
    Update,
    UpdateContext,
    UpdatePolicy,
    UpdateRefused,
    UpdateRequest,
    make_update,
    write_update,
)
from oci_builder.verify.verify import verify_file
from tests.support import bombs
from tests.support.archives import folder, make_tar, member
from tests.support.imported import config_of, save_like_new_docker, save_like_old_docker
from tests.support.overlaid import layers_of, root_of
from tests.support.readers import files_of
from tests.support.updates import write_images

NOISE = random.Random(1).randbytes(40_000)
BOMBS = {"records": bombs.records, "links' targets": bombs.link_targets}
USUAL = UpdatePolicy()
FORCED = UpdatePolicy(force=True)


def make(
    old: Path | TargetImage, new: Path, out: Path, *, policy: UpdatePolicy = USUAL, cache: Path | None = None
) -> Update:
    """An update of files, written."""
    store = Store(cache or out.parent / "cache")
    with store.scratch() as scratch, open_parts(new, partial=True) as after:
        context = UpdateContext(store=store, scratch=Store(scratch), reporter=Quiet())
        if isinstance(old, TargetImage):
            update = make_update(UpdateRequest(target=old, new=after, references=(), policy=policy), context)
            write_update(update, out, context)
            return update
        with open_parts(old, partial=True) as before:
            request = UpdateRequest(target=target_of(before), new=after, references=(), policy=policy)
            update = make_update(request, context)
            write_update(update, out, context)
            return update


def proof(update: Path, old: Path) -> Sequence[str]:
    with open_parts(old) as before:
        return verify_update(update, before, scratch=Store(update.parent / "proof")).findings


def save(path: Path, *layers: bytes, **keys: object) -> Path:
    return save_like_new_docker(path, layers, config_of(layers, **keys))  # type: ignore[arg-type]


def base(*more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return make_tar(folder("lib", mtime=7), member("lib/noise", data=NOISE, mtime=7), *more)


def test_a_patch_holds_one_layer_and_names_the_others(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    update = make(old, new, tmp_path / "update.tar")
    with tarfile.open(tmp_path / "update.tar") as archive:
        documents = json.load(archive.extractfile("manifest.json") or pytest.fail())
        there = set(archive.getnames())
    named = documents[0]["Layers"]
    assert [name in there for name in named] == [False, False, False, True]
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(layers_of(new))
    assert proof(tmp_path / "update.tar", old) == ()
    assert update.travels == (tmp_path / "update.tar").stat().st_size
    assert (update.left, update.whole) > (0, 0)


def test_the_configuration_is_the_new_images_and_says_which_that_is(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    update = make(old, new, tmp_path / "update.tar")
    with open_parts(new) as after:
        wanted = json.loads(after.config)
    found = json.loads(update.image.config)
    labels = found["config"].pop("Labels")
    assert labels["dev.ocibuild.equals"] == str(update.equals)
    assert labels["dev.ocibuild.since"] == update.target.id
    assert wanted["config"].pop("Labels").items() <= labels.items()
    assert found["config"] == wanted["config"]
    assert len(found["history"]) == len(found["rootfs"]["diff_ids"]) == 4
    assert found["history"][-1]["created_by"] == "ocibuild update: files that differ"


def test_members_of_a_layer_are_copied_as_they_are_packed(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    update = make(old, new, tmp_path / "update.tar")
    with tarfile.open(tmp_path / "update.tar") as archive:
        blob = archive.extractfile(f"blobs/sha256/{update.image.layers[-1].descriptor.digest.hex}")
        assert blob is not None
        packed = blob.read()
    with open_parts(new) as after:
        whole = after.layers[-1].open().read(1 << 20)
    large = files_of(packed)["opt/app/large"]
    at = packed.find(gzip.compress(large, mtime=0)[:2], 1)
    assert len(large) == 160_000
    members = [packed[start:] for start in range(at, len(packed)) if packed.startswith(b"\x1f\x8b", start)]
    assert any(each[:200] in whole and len(each) > 500 for each in members)


def test_the_same_two_images_give_the_same_bytes_whatever_the_cache_knows(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    make(old, new, tmp_path / "first.tar")
    make(old, new, tmp_path / "again.tar")
    make(old, new, tmp_path / "built.tar", cache=tmp_path / "images")
    found = {(tmp_path / f"{name}.tar").read_bytes() for name in ("first", "again", "built")}
    assert len(found) == 1


def test_images_saved_by_docker_of_any_age_are_updated(tmp_path: Path) -> None:
    layers = [base(), make_tar(folder("a", mtime=7), member("a/one", data=b"1", mtime=7))]
    after = [layers[0], make_tar(folder("a", mtime=7), member("a/two", data=b"2", mtime=7))]
    old = save_like_old_docker(tmp_path / "old.tar", layers, config_of(layers))
    new = save(tmp_path / "new.tar", *after)
    make(old, new, tmp_path / "update.tar", policy=FORCED)
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(after)
    assert proof(tmp_path / "update.tar", old) == ()
    with pytest.raises(UpdateRefused, match="save"):
        make(old, new, tmp_path / "update.tar", policy=UpdatePolicy(exact=True, engine="containerd"))


def test_extended_attributes_come_along_and_make_files_differ(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.user.note": "a\0b", "SCHILY.xattr.security.capability": "\1\0\0\2" + "\0" * 16}
    file = member("lib/x", data=b"x", mtime=7, pax_headers=headers)
    old = save(tmp_path / "old.tar", base(member("lib/x", data=b"x", mtime=7)))
    new = save(tmp_path / "new.tar", base(file))
    assert len(make(old, new, tmp_path / "update.tar").difference.changed) == 1  # type: ignore[union-attr]
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(layers_of(new))


def test_an_update_that_would_save_nothing_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    old, new = save(tmp_path / "old.tar", make_tar(member("a", data=b"a"))), save(tmp_path / "new.tar", base())
    with pytest.raises(UpdateRefused, match=r"would carry .* MB, and save [0-9]+ %") as refused:
        make(old, new, tmp_path / "update.tar")
    assert "--force" in str(refused.value.hint)
    assert not (tmp_path / "update.tar").exists()
    make(old, new, tmp_path / "update.tar", policy=FORCED)
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(layers_of(new))


def test_an_image_is_no_update_of_itself(tmp_path: Path) -> None:
    old = save(tmp_path / "old.tar", base())
    with pytest.raises(UpdateRefused, match="nothing to update"):
        make(old, old, tmp_path / "update.tar")


def test_patches_are_patched_until_they_add_up_to_half_of_the_image(tmp_path: Path) -> None:
    old, cache = save(tmp_path / "0.tar", base(), base(member("lib/more", data=NOISE[::-1], mtime=7))), tmp_path / "c"
    for number in range(1, 4):
        more = random.Random(number).randbytes(20_000)
        new = save(tmp_path / "new.tar", base(), base(member("lib/changes", data=more, mtime=7)))
        out = tmp_path / f"{number}.tar"
        if number == 3:
            with pytest.raises(UpdateRefused, match=r"the patches on .* would have .* together") as refused:
                make(old, new, out, cache=cache)
            assert "--force" in str(refused.value.hint)
            return
        # What is on the target is known by the update alone: the cache has read the layers that it leaves out.
        make(old, new, out, cache=cache)
        old = out


def test_at_dockers_limit_of_layers_there_is_no_patch(tmp_path: Path) -> None:
    layers = [make_tar(member(f"a{number}", data=b"x")) for number in range(125)]
    old, new = save(tmp_path / "old.tar", *layers), save(tmp_path / "new.tar", *layers[:124])
    with pytest.raises(UnsupportedImage, match="125 layers, and Docker mounts 125 at most"):
        make(old, new, tmp_path / "update.tar", policy=FORCED)
    below = save(tmp_path / "below.tar", *layers[:124])
    update = make(below, old, tmp_path / "update.tar", policy=FORCED)
    assert len(update.image.layers) == 125


def test_images_for_two_platforms_are_not_one_anothers_update(tmp_path: Path) -> None:
    old = save(tmp_path / "old.tar", base(), architecture="arm64", variant="v8")
    with pytest.raises(UnsupportedImage, match="linux/arm64/v8"):
        make(old, save(tmp_path / "new.tar", base()), tmp_path / "update.tar")


def test_a_device_that_differs_is_refused_and_one_that_does_not_is_let_be(tmp_path: Path) -> None:
    null = member("lib/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mtime=7)
    old, new = save(tmp_path / "old.tar", base(null)), save(tmp_path / "new.tar", base(null, member("lib/z", data=b"")))
    make(old, new, tmp_path / "update.tar")
    assert proof(tmp_path / "update.tar", old) == ()
    plain = save(tmp_path / "plain.tar", base())
    with pytest.raises(UnsupportedImage, match="lib/null is a device"):
        make(plain, new, tmp_path / "update.tar", policy=FORCED)


def test_exact_updates_leave_out_what_the_targets_store_goes_by(tmp_path: Path) -> None:
    one, two, three = base(), make_tar(member("b", data=NOISE)), make_tar(member("c", data=NOISE[:900]))
    changed = make_tar(member("b", data=NOISE[::-1]))
    old, new = save(tmp_path / "old.tar", one, two, three), save(tmp_path / "new.tar", one, changed, three)
    graph = make(old, new, tmp_path / "u.tar", policy=UpdatePolicy(exact=True, engine="graph"))
    both = make(old, new, tmp_path / "u.tar", policy=UpdatePolicy(exact=True))
    blobs = make(old, new, tmp_path / "u.tar", policy=UpdatePolicy(exact=True, engine="containerd"))
    digests = [layer.descriptor.digest for layer in graph.image.layers]
    assert graph.omitted == both.omitted == {digests[0]}
    assert blobs.omitted == {digests[0], digests[2]}
    with open_parts(new) as after:
        assert (graph.image.config, graph.image.manifest) == (after.config, after.manifest)


def receipt(path: Path, old: Path) -> Path:
    with open_parts(old) as parts:
        config = json.loads(parts.config)
        known = target_of(parts).id
    layers = {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]}
    path.write_text(json.dumps([{"Id": known, "Os": "linux", "Architecture": "amd64", "RootFS": layers}]))
    return path


def test_a_receipt_is_enough_where_the_cache_knows_the_layers(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    known = read_receipt(receipt(tmp_path / "receipt.json", old))
    with pytest.raises(UnsupportedImage, match="nothing here knows what is in its layer 3") as refused:
        make(known, new, tmp_path / "update.tar")
    assert "docker save" in str(refused.value.hint)
    make(known, new, tmp_path / "exact.tar", policy=UpdatePolicy(exact=True, force=True))
    assert proof(tmp_path / "exact.tar", old) == ()
    make(old, new, tmp_path / "update.tar")
    make(known, new, tmp_path / "update.tar")
    assert root_of(layers_of(tmp_path / "update.tar", old)) == root_of(layers_of(new))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it tells of 0 images"),
        ("[{}, {}]", "it tells of 2 images"),
        ("{}", "it names no layers"),
        ('{"RootFS": {"Layers": ["sha256:1"]}}', "a diff ID that is none"),
        ('{"RootFS": {"Layers": 7}}', "it names no layers"),
        ("{", "not valid JSON"),
        ('{"RootFS": {"Layers": [' + '"x",' * 200 + '"x"]}}', "201 layers"),
    ],
)
def test_what_is_no_receipt_is_refused_with_what_would_be_one(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(text)
    with pytest.raises(UnsupportedImage, match=why) as refused:
        read_receipt(path)
    assert why.startswith("a diff ID") or "layers" in why or "docker image inspect" in str(refused.value.hint)


def test_a_layer_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    old, new = save(tmp_path / "old.tar", base()), save(tmp_path / "new.tar", base(), make_tar(member("b", data=NOISE)))
    data = bytearray(new.read_bytes())
    at = data.rfind(b"\x1f\x8b")
    data[at + 5000] ^= 1
    new.write_bytes(bytes(data))
    with pytest.raises((DigestMismatch, UnsupportedImage)):
        make(old, new, tmp_path / "update.tar", policy=FORCED)
    assert not (tmp_path / "update.tar").exists()


def test_an_update_of_another_image_is_told_from_one_that_is_damaged(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    (tmp_path / "x").mkdir()
    other, _ = write_images(tmp_path / "x", "other")
    update = tmp_path / "update.tar"
    make(old, new, update)
    assert proof(update, other)[0].startswith(f"it is no update of {other}: it leaves out 3 layers")
    assert all(line.endswith("is not there") for line in verify_file(update).findings)
    data = bytearray(update.read_bytes())
    data[data.rfind(b"\x1f\x8b") + 15] ^= 1
    update.write_bytes(bytes(data))
    assert proof(update, old)


def test_a_patch_that_makes_other_files_than_it_says_does_not_hold(tmp_path: Path) -> None:
    old, new = write_images(tmp_path, "nonce")
    update = make(old, new, tmp_path / "update.tar")
    said = json.loads(update.image.config)["config"]["Labels"]["dev.ocibuild.tree"]
    labels = {"Labels": {"dev.ocibuild.tree": said}}
    right = save_like_old_docker(tmp_path / "right.tar", merged := layers_of(new), config_of(merged, run=labels))
    assert not proof(right, old)
    merged.append(base())
    wrong = save_like_old_docker(tmp_path / "wrong.tar", merged, config_of(merged, run=labels))
    assert "it makes another root filesystem" in proof(wrong, old)[0]


@pytest.mark.parametrize("name", list(BOMBS))
def test_images_that_ask_for_too_much_are_refused(tmp_path: Path, name: str) -> None:
    diff_id = bombs.packed_layer(BOMBS[name](), tmp_path / "layer")
    bomb, new = bombs.save(tmp_path / "bomb.tar", tmp_path / "layer", diff_id), save(tmp_path / "new.tar", base())
    for old, wanted in ((bomb, new), (new, bomb)):
        with pytest.raises(UnsupportedImage):
            make(old, wanted, tmp_path / "update.tar", policy=FORCED)
    assert not (tmp_path / "update.tar").exists()


def test_every_failure_is_an_error_of_ours() -> None:
    assert issubclass(UpdateRefused, OcibuildError)
