"""Which package brings which library, from a suite's list of contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.debian.sonames import read_libraries, sonames, write_libraries

CONTENTS = b"""\
usr/lib/x86_64-linux-gnu/libGL.so                       libdevel/libgl-dev
usr/lib/x86_64-linux-gnu/libGL.so.1                     libs/libgl1
usr/lib/x86_64-linux-gnu/libGL.so.1.7.0                 libs/libgl1
usr/lib/x86_64-linux-gnu/libglib-2.0.so.0               libs/libglib2.0-0
usr/lib/x86_64-linux-gnu/libnss3.so                     libs/libnss3
usr/lib/x86_64-linux-gnu/libx.so.1                      libs/other-x,libs/libx1-compat,libs/libx1
usr/lib/x86_64-linux-gnu/private/libhidden.so.1         libs/hidden
usr/lib32/libGL.so.1                                    libs/lib32gl1
lib/x86_64-linux-gnu/libz.so.1                          libs/zlib1g
usr/share/doc/libGL.so.1                                doc/none
"""


def test_libraries_are_those_in_the_loaders_folders_by_the_package_named_like_them() -> None:
    assert sonames(CONTENTS) == {
        "libGL.so.1": "libgl1",
        "libglib-2.0.so.0": "libglib2.0-0",
        "libnss3.so": "libnss3",
        "libx.so.1": "libx1",
        "libz.so.1": "zlib1g",
    }


def test_an_index_reads_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "libraries.amd64.json"
    write_libraries(sonames(CONTENTS), path)
    assert read_libraries(path) == sonames(CONTENTS)


@pytest.mark.parametrize("text", ["", "{", '{"schema": 2, "packages": {}}', '{"schema": 1}'])
def test_an_index_that_does_not_read_is_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "libraries.amd64.json"
    assert read_libraries(path) == {}
    path.write_text(text)
    assert read_libraries(path) == {}
