from __future__ import annotations

import pytest

from oci_builder.errors import InvalidValue
from oci_builder.platforms import AMD64, ARM64, Platform


@pytest.mark.parametrize("text", ["linux/amd64", "amd64", "x86_64", "LINUX/AMD64", " linux/x86-64 "])
def test_amd64_has_many_names_and_no_variant(text: str) -> None:
    assert Platform.parse(text) == AMD64


@pytest.mark.parametrize("text", ["linux/arm64", "arm64", "aarch64", "linux/arm64/v8"])
def test_arm64_is_always_v8(text: str) -> None:
    assert Platform.parse(text) == ARM64


@pytest.mark.parametrize(
    "text", ["", "/", "windows/amd64", "linux/s390x", "linux/amd64/v3", "linux/arm64/v9", "linux/arm64/v8/x", "linux/"]
)
def test_what_is_not_built_for_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="platform"):
        Platform.parse(text)


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_a_platform_reads_back_from_its_text(platform: Platform) -> None:
    assert Platform.parse(str(platform)) == platform


def test_wheels_and_uname_call_the_cpu_otherwise() -> None:
    assert (AMD64.machine, ARM64.machine) == ("x86_64", "aarch64")
