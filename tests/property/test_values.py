"""Values print as text that reads back as the same value."""

from __future__ import annotations

import contextlib
import string

from hypothesis import given
from hypothesis import strategies as st

from oci_builder.digest import Digest
from oci_builder.errors import InvalidValue
from oci_builder.oci.jsonio import decode, encode
from oci_builder.platforms import AMD64, ARM64, Platform
from oci_builder.reference import Reference

digests = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))
component = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-)[a-z0-9]{1,5})?", fullmatch=True)
hosts = st.sampled_from(["docker.io", "localhost", "localhost:5000", "registry.example", "127.0.0.1:80", "[::1]:5000"])
tags = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(digests)
def test_a_digest_reads_back(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(st.sampled_from([AMD64, ARM64]))
def test_a_platform_reads_back(platform: Platform) -> None:
    assert Platform.parse(str(platform)) == platform


@given(hosts, st.lists(component, min_size=2, max_size=4), tags, st.none() | digests)
def test_a_reference_reads_back_in_its_long_and_its_short_form(
    host: str, parts: list[str], tag: str, digest: Digest | None
) -> None:
    reference = Reference(host, "/".join(parts), tag, digest)
    assert Reference.parse(str(reference)) == reference
    if host != "docker.io":
        assert Reference.parse(reference.familiar) == reference


@given(st.text() | st.text("abc:/@.-_[]0A", max_size=12))
def test_any_text_is_a_reference_that_reads_back_or_is_refused(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidValue:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference


@given(st.text() | st.text("linuxamd64/v8r ", max_size=16))
def test_any_text_is_a_platform_or_is_refused(text: str) -> None:
    with contextlib.suppress(InvalidValue):
        assert Platform.parse(text) in (AMD64, ARM64)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4))
def test_a_document_reads_back_and_has_one_spelling(document: dict[str, object]) -> None:
    data = encode(document)
    assert decode(data, what="x") == document
    assert encode(dict(reversed(document.items()))) == data
