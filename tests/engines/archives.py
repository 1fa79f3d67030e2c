"""Odd image archives: an odd layer as ``docker save`` would write it, and the odd ways an archive itself may be."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import zstandard

from tests.engines.layers import BASE, odd_layers
from tests.engines.tars import BLOCK, CHECKSUMS, END, GNU, folder, hardlink, header, member, padded, pax, symlink

NAME = "odd:1"
PLAIN = BASE + member("etc/x", b"x") + END
_OTHER = member("etc/y", b"y") + END


def corpus() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """All archives by name, each made when it is asked for."""
    for name, layers in odd_layers().items():
        yield name, lambda layers=layers: saved(layers)  # type: ignore[misc]  # a default binds it
    for name, made in odd_archives().items():
        yield f"archive: {name}", lambda made=made: made  # type: ignore[misc]


@dataclass
class Parts:
    """What ``docker save`` writes of an image, until somebody changes it."""

    config_name: str
    config: bytes
    manifest: bytes
    layers: dict[str, bytes]

    def members(self, **fields: int | bytes | str) -> list[bytes]:
        """The members of the archive, in docker's order."""
        files = {self.config_name: self.config, **self.layers, "manifest.json": self.manifest}
        return [member(name, data, b"0", **fields) for name, data in files.items()]


def parts(
    layers: Sequence[bytes], stored: Sequence[bytes] = (), *, config: Mapping[str, object] | None = None
) -> Parts:
    """The parts of an image of plain ``layers``; ``stored`` is what the archive has in their place."""
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "x"} for _ in layers],
        **(config or {}),
    }
    data = json.dumps(document).encode()
    config_name = f"{hashlib.sha256(data).hexdigest()}.json"
    names = [f"{number:064x}/layer.tar" for number in range(len(layers))]
    manifest = _manifest(config_name, names)
    return Parts(config_name, data, manifest, dict(zip(names, stored or layers, strict=True)))


def _manifest(config: str, names: Sequence[str], **more: object) -> bytes:
    return json.dumps([{"Config": config, "RepoTags": [NAME], "Layers": list(names), **more}]).encode()


def saved(layers: Sequence[bytes]) -> bytes:
    """An image of these layers as ``docker save`` wrote it until version 25."""
    return b"".join(parts(layers).members()) + END


def odd_archives() -> Mapping[str, bytes]:
    """Archives that hold what they should in another way than docker writes it."""
    plain = parts([PLAIN])
    whole = b"".join(plain.members()) + END
    return {
        **_packed(whole),
        **_outer(plain, whole),
        **_linked(plain),
        **_documents(plain),
        **_stored(plain),
    }


def _packed(whole: bytes) -> dict[str, bytes]:
    return {
        "plain": whole,
        "gzip": gzip.compress(whole, mtime=0),
        "gzip in members": gzip.compress(whole[:700], mtime=0) + gzip.compress(whole[700:], mtime=0),
        "gzip with noise behind": gzip.compress(whole, mtime=0) + b"noise",
        "gzip with zeros behind": gzip.compress(whole, mtime=0) + bytes(100),
        "gzip cut off": gzip.compress(whole, mtime=0)[:-20],
        "gzip without its checksum": gzip.compress(whole, mtime=0)[:-8],
        "gzip with a wrong checksum": gzip.compress(whole, mtime=0)[:-8] + bytes(8),
        "gzip in gzip": gzip.compress(gzip.compress(whole, mtime=0), mtime=0),
        "bzip2": bz2.compress(whole),
        "bzip2 in streams": bz2.compress(whole[:700]) + bz2.compress(whole[700:]),
        "bzip2 cut off": bz2.compress(whole)[:-20],
        "xz": lzma.compress(whole),
        "xz in streams": lzma.compress(whole[:700]) + lzma.compress(whole[700:]),
        "xz with zeros behind": lzma.compress(whole) + bytes(8),
        "xz cut off": lzma.compress(whole)[:-20],
        "lzma": lzma.compress(whole, lzma.FORMAT_ALONE),
        "zstd": zstandard.compress(whole),
        "zstd in frames": zstandard.compress(whole[:700]) + zstandard.compress(whole[700:]),
    }


def _outer(plain: Parts, whole: bytes) -> dict[str, bytes]:
    members = plain.members()
    found = {
        "one closing block": b"".join(members) + bytes(BLOCK),
        "no closing block": b"".join(members),
        "noise behind": whole + b"noise".ljust(BLOCK, b"!"),
        "noise first": b"noise".ljust(BLOCK, b"!") + whole,
        "a half block behind": whole + bytes(100),
        "another tar behind": whole + member("x", b"x") + END,
        "in another order": b"".join(reversed(members)) + END,
        "GNU's headers": b"".join(plain.members(magic=GNU)) + END,
        "old headers": b"".join(plain.members(magic=bytes(8))) + END,
        "a checksum of seven digits": b"".join(plain.members(checksum=CHECKSUMS["seven digits and NUL"])) + END,
        "a checksum after blanks": b"".join(plain.members(checksum=CHECKSUMS["leading blanks"])) + END,
        "a time of nan": b"".join(pax({"mtime": "nan"}) + each for each in members) + END,
        "a time with a fraction": b"".join(pax({"mtime": "1.5"}) + each for each in members) + END,
        "a global header": pax({"comment": "x"}, b"g") + whole,
        "a folder of everything": folder("./") + whole,
        "a FIFO": member("pipe", kind=b"6") + whole,
        "a device": member("null", kind=b"3", devmajor=1, devminor=3) + whole,
        "an unknown type": member("x", b"x", kind=b"Z") + whole,
        "a contiguous file": member("x", b"x", kind=b"7") + whole,
        "a name that is no UTF-8": member(b"\xe4", b"x") + whole,
        "a name that leads out": member("../x", b"x") + whole,
        "an absolute name": member("/x", b"x") + whole,
        "a link that leads out": symlink("x", "../../etc/passwd") + whole,
        "a whiteout": member(".wh.x") + whole,
        "a file twice": member("x", b"x") + member("x", b"y") + whole,
        "manifest.json twice": member("manifest.json", b"[]") + whole,
        "manifest.json twice, the last is empty": b"".join(members) + member("manifest.json", b"[]") + END,
        "a file of nothing's concern": member("README", b"hello") + whole,
    }
    dotted = [member(f"./{name}", data) for name, data in _files(plain).items()]
    absolute = [member(f"/{name}", data) for name, data in _files(plain).items()]
    return {**found, "names with a dot": b"".join(dotted) + END, "absolute names": b"".join(absolute) + END}


def _files(of: Parts) -> dict[str, bytes]:
    return {of.config_name: of.config, **of.layers, "manifest.json": of.manifest}


def _linked(plain: Parts) -> dict[str, bytes]:
    (name,) = plain.layers
    rest = member(plain.config_name, plain.config) + member("manifest.json", plain.manifest)
    layer = member("stored/layer.tar", PLAIN)
    place = folder(name.partition("/")[0] + "/")
    found = {
        "symbolic": layer + place + symlink(name, "../stored/layer.tar"),
        "symbolic, before it": place + symlink(name, "../stored/layer.tar") + layer,
        "symbolic, twice": layer + place + symlink("mid", "stored/layer.tar") + symlink(name, "../mid"),
        "symbolic, absolute": layer + place + symlink(name, "/stored/layer.tar"),
        "symbolic, of a folder": layer + symlink(name.partition("/")[0], "stored"),
        "symbolic, out of the archive": place + symlink(name, "../../../../../../../etc/hostname"),
        "symbolic, in a circle": place + symlink(name, "layer.tar"),
        "symbolic, to nothing": place + symlink(name, "../none"),
        "hard": layer + place + hardlink(name, "stored/layer.tar"),
        "hard, absolute": layer + place + hardlink(name, "/stored/layer.tar"),
        "hard, with a dot": layer + place + hardlink(name, "./stored/layer.tar"),
        "hard, before it": place + hardlink(name, "stored/layer.tar") + layer,
        "hard, twice": layer + hardlink("mid", "stored/layer.tar") + place + hardlink(name, "mid"),
        "hard, to a symbolic one": layer + symlink("mid", "stored/layer.tar") + place + hardlink(name, "mid"),
        "hard, to nothing": place + hardlink(name, "none"),
        "hard, claims a size": layer + place + header(name, b"1", size=1000, link=b"stored/layer.tar"),
    }
    made = {f"layer by a link, {how}": data + rest + END for how, data in found.items()}
    here = member("conf", plain.config) + member(name, PLAIN) + member("manifest.json", plain.manifest)
    made["configuration by a link, symbolic"] = here + symlink(plain.config_name, "conf") + END
    made["configuration by a link, hard"] = here + hardlink(plain.config_name, "conf") + END
    there = member(plain.config_name, plain.config) + member(name, PLAIN) + member("m", plain.manifest)
    made["manifest.json by a link, symbolic"] = there + symlink("manifest.json", "m") + END
    made["manifest.json by a link, hard"] = there + hardlink("manifest.json", "m") + END
    return made


def _documents(plain: Parts) -> dict[str, bytes]:
    (name,) = plain.layers
    config = plain.config_name

    def written(manifest: bytes, *, conf: bytes = plain.config, called: str = config) -> bytes:
        return member(called, conf) + member(name, PLAIN) + member("manifest.json", manifest) + END

    def changed(**keys: object) -> bytes:
        return b"".join(parts([PLAIN], config=keys).members()) + END

    return {
        "manifest.json with a BOM": written(b"\xef\xbb\xbf" + plain.manifest),
        "manifest.json with blanks": written(b"\n " + plain.manifest + b"\n \n"),
        "manifest.json and noise": written(plain.manifest + b"x"),
        "manifest.json and another value": written(plain.manifest + b"[]"),
        "manifest.json without a name": written(_manifest(config, [name], RepoTags=None)),
        "manifest.json with an unknown key": written(_manifest(config, [name], Unknown=1)),
        "manifest.json in another case": written(plain.manifest.replace(b'"Layers"', b'"layers"')),
        "manifest.json with a key twice": written(plain.manifest.replace(b'"Layers"', b'"Layers": [], "Layers"')),
        "manifest.json with a dot in its names": written(_manifest(f"./{config}", [f"./{name}"])),
        "manifest.json with absolute names": written(_manifest(f"/{config}", [f"/{name}"])),
        "manifest.json with names that lead out": written(_manifest(f"../{config}", [f"../{name}"])),
        "manifest.json of no image": written(b"[]"),
        "manifest.json that is null": written(b"null"),
        "manifest.json with Latin-1": written(plain.manifest.replace(b'"odd:1"', b'"odd:1", "\xe4"')),
        "configuration of another name": written(_manifest("config.json", [name]), called="config.json"),
        "configuration that was changed": written(plain.manifest, conf=plain.config + b" "),
        "configuration with a BOM": written(plain.manifest, conf=b"\xef\xbb\xbf" + plain.config),
        "configuration without history": changed(history=None),
        "configuration with too much history": changed(history=[{}, {}, {}]),
        "configuration without a type of rootfs": changed(rootfs={"diff_ids": _diff_ids(PLAIN)}),
        "configuration of a wrong diff ID": changed(rootfs={"type": "layers", "diff_ids": _diff_ids(b"other")}),
        "configuration with too many diff IDs": changed(rootfs={"type": "layers", "diff_ids": _diff_ids(PLAIN, PLAIN)}),
        "configuration with no diff IDs": changed(rootfs={"type": "layers", "diff_ids": []}),
        "configuration without a time": changed(created=None),
        "configuration with a time that is none": changed(created="yesterday"),
        "configuration with unknown keys": changed(unknown={"a": [1, 2]}),
    }


def _diff_ids(*layers: bytes) -> list[str]:
    return [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]


def _stored(plain: Parts) -> dict[str, bytes]:
    (name,) = plain.layers
    found = {
        "gzip": gzip.compress(PLAIN, mtime=0),
        "gzip in members": gzip.compress(PLAIN[:700], mtime=0) + gzip.compress(PLAIN[700:], mtime=0),
        "gzip with noise behind": gzip.compress(PLAIN, mtime=0) + b"noise",
        "gzip with zeros behind": gzip.compress(PLAIN, mtime=0) + bytes(100),
        "gzip with zeros behind, whole blocks": gzip.compress(PLAIN, mtime=0) + bytes(512),
        "gzip cut off": gzip.compress(PLAIN, mtime=0)[:-20],
        "gzip without its checksum": gzip.compress(PLAIN, mtime=0)[:-8],
        "gzip with a wrong checksum": gzip.compress(PLAIN, mtime=0)[:-8] + bytes(8),
        "gzip in gzip": gzip.compress(gzip.compress(PLAIN, mtime=0), mtime=0),
        "bzip2": bz2.compress(PLAIN),
        "bzip2 in streams": bz2.compress(PLAIN[:700]) + bz2.compress(PLAIN[700:]),
        "xz": lzma.compress(PLAIN),
        "xz in streams": lzma.compress(PLAIN[:700]) + lzma.compress(PLAIN[700:]),
        "lzma": lzma.compress(PLAIN, lzma.FORMAT_ALONE),
        "zstd": zstandard.compress(PLAIN),
    }
    made = {f"layer in {how}": b"".join(parts([PLAIN], stored=[data]).members()) + END for how, data in found.items()}
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name}
    rest = member(plain.config_name, plain.config) + member("manifest.json", plain.manifest)
    content = padded(b"1\n0\n%d\n" % len(PLAIN)) + PLAIN
    made["layer as a sparse file"] = (
        pax({**sparse, "GNU.sparse.realsize": str(len(PLAIN))}) + member("sparse", content) + rest + END
    )
    made["layer missing"] = rest + END
    made["layer as a folder"] = folder(name) + rest + END
    made["layer wrong"] = member(name, _OTHER) + rest + END
    made["layer twice in the archive"] = member(name, _OTHER) + member(name, PLAIN) + rest + END
    made["layer twice in the archive, the last is wrong"] = member(name, PLAIN) + member(name, _OTHER) + rest + END
    both = parts([PLAIN, PLAIN])
    shared = _manifest(both.config_name, [name, name])
    made["one layer for two"] = (
        member(both.config_name, both.config) + member(name, PLAIN) + member("manifest.json", shared) + END
    )
    return made
