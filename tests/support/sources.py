"""An image to copy out of, and what podman's own COPY --from makes of it (tests/real asks it again)."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.support.archives import folder, make_tar, member
from tests.support.imported import config_of, save_like_old_docker

NAME = "localhost/source:1"
_LINK, _HARD = tarfile.SYMTYPE, tarfile.LNKTYPE

LOWER = make_tar(
    member("bin", _LINK, target="usr/bin", mode=0o777),
    folder("usr"),
    folder("usr/bin"),
    member("usr/bin/uv", data=b"the tool\n", mode=0o755, mtime=7),
    member("usr/bin/link", _LINK, target="uv", mode=0o777),
    member("usr/bin/abs", _LINK, target="/usr/bin/uv", mode=0o777),
    folder("data", mode=0o700),
    member("data/secret", data=b"s", mode=0o600),
    member("data/gone", data=b"g"),
    folder("data/sub", mode=0o775),
    member("data/sub/a.txt", data=b"a", mode=0o664, mtime=9),
    member("data/sub/b.bin", data=b"b", mode=0o664, mtime=9),
    member("data/sub/rel", _LINK, target="../secret", mode=0o777),
    member("data/sub/out", _LINK, target="../../../etc/x", mode=0o777),
    member("data/hard", _HARD, target="data/secret", mode=0o600),
    member("dl", _LINK, target="data", mode=0o777),
    folder("empty"),
    folder("opq"),
    member("opq/x", data=b"x"),
    folder("tmp", mode=0o1777),
)
UPPER = make_tar(
    folder("data", mode=0o700),
    member("data/.wh.gone"),
    folder("opq"),
    member("opq/.wh..wh..opq"),
    member("opq/y", data=b"y"),
)

COPIES: list[tuple[str, str]] = [
    ("/bin/uv", "/o/bin/"),
    ("/bin/link", "/o/bin/"),
    ("/usr/bin/abs", "/o/absfile"),
    ("/data", "/o/data"),
    ("/dl", "/o/dl"),
    ("/dl/", "/o/dl2/"),
    ("/opq", "/o/two/"),
    ("/empty", "/o/two/"),
    ("/data/sub/rel", "/o/rel"),
    ("/", "/o/all/"),
]
"""Sources and destinations, in their order."""


def save_source(path: Path) -> Path:
    """The image in a file, as ``docker save`` wrote it."""
    layers = [LOWER, UPPER]
    return save_like_old_docker(path, layers, config_of(layers))
