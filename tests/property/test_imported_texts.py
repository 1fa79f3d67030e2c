"""What others write (registries, images, credential files, dates) reads or is refused in one of our words; quickly."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.debian.control import stanza
from oci_builder.debian.versions import satisfies, version_key
from oci_builder.errors import InvalidValue, OcibuildError, RecipeError, UnsupportedImage
from oci_builder.image import Image
from oci_builder.imported.documents import Findings, read_descriptor
from oci_builder.oci.documents import parse_rfc3339, rfc3339
from oci_builder.oci.inherited import inherit
from oci_builder.oci.jsonio import decode
from oci_builder.oci.manifest import parse_descriptor, parse_manifest, platform_of
from oci_builder.oci.mediatypes import INDEX, MANIFEST
from oci_builder.platforms import AMD64
from oci_builder.recipes import ImageToml
from oci_builder.redaction import redacted
from oci_builder.reference import Reference
from oci_builder.registry.access import is_loopback
from oci_builder.registry.auth import Logins
from oci_builder.registry.challenges import read_challenge
from oci_builder.retry import retry_after
from oci_builder.tomlfile import line_of, parse_toml
from oci_builder.tree.accounts import ids_of
from oci_builder.tree.entry import file
from oci_builder.tree.tree import Tree

DIGITS = ["0", "1", "42", "²", "٣", "1_0", "+1", "-1", " 1", "9" * 30, "9" * 5000, "1.5", "NaN", ""]
odd = st.sampled_from(["", "a", "/", ":", "\0", "\x1b[31m", "\ud800", "²", "linux/amd64", "=", "x" * 3000, *DIGITS])
texts = odd | st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | texts | st.sampled_from([0, -1, 2**63, 10**30, 1.5, float("nan"), float("inf")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
DIGEST = f"sha256:{'0' * 64}"


def spelled(document: object) -> bytes:
    """A document as an enemy would write it: with NaN, half a surrogate pair as an escape, and any number."""
    return json.dumps(document).encode()


def keyed(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the keys of a specification, and anything under them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, values))


descriptors = keyed("mediaType", "digest", "size", "annotations", "platform") | st.fixed_dictionaries(
    {"mediaType": st.just(MANIFEST), "digest": st.just(DIGEST), "size": st.just(1)},
    optional={"platform": keyed("os", "architecture", "variant"), "annotations": values},
)
manifests = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.just(2) | values,
        "mediaType": st.sampled_from([MANIFEST, INDEX]) | values,
        "config": descriptors,
        "layers": st.lists(descriptors, max_size=3) | values,
        "manifests": st.lists(descriptors, max_size=3) | values,
        "annotations": values,
        "artifactType": values,
    },
)
runs = keyed(
    "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal", "OnBuild"
)
configs = st.fixed_dictionaries(
    {"architecture": st.just("amd64") | values, "os": st.just("linux") | values},
    optional={"config": runs | values, "created": values, "history": values, "rootfs": values, "author": values},
)


@settings(deadline=None)
@given(manifests, st.sampled_from(["", MANIFEST, INDEX, "\x1b"]))
def test_any_manifest_reads_or_is_refused(document: dict[str, Any], media_type: str) -> None:
    with contextlib.suppress(UnsupportedImage):
        parse_manifest(spelled(document), media_type=media_type, what="x")


@settings(deadline=None)
@given(configs)
def test_what_stands_on_any_configuration_can_be_written(document: dict[str, Any]) -> None:
    with contextlib.suppress(UnsupportedImage):
        config = decode(spelled(document), what="x")
        platform_of(spelled(document), what="x")
        base = inherit(config, layers=0, what="x")
        image = Image(platform=AMD64, run=base.run, created=base.created, inherited=base)
        assert decode(image.config, what="ours")["architecture"] == "amd64"


@given(st.dictionaries(texts, values, max_size=4) | descriptors)
def test_any_descriptor_reads_or_is_refused(value: dict[str, Any]) -> None:
    with contextlib.suppress(UnsupportedImage):
        parse_descriptor(value, "x")
    read_descriptor(value, "x", Findings())


@given(st.binary(max_size=60) | st.text().map(lambda text: text.encode("utf-16")) | values.map(spelled))
def test_any_bytes_are_a_json_object_or_refused(data: bytes) -> None:
    try:
        document = decode(data, what="x")
    except UnsupportedImage:
        return
    json.dumps(document, ensure_ascii=False, allow_nan=False).encode()


@given(st.dictionaries(texts, values, max_size=3))
def test_platforms_are_three_words_and_not_one_that_reads_alike(fields: dict[str, Any]) -> None:
    document = {**fields, "os": "linux/amd64"}
    with pytest.raises(UnsupportedImage):
        platform_of(spelled(document), what="x")


@given(
    st.text()
    | st.lists(st.sampled_from(["localhost", ":", "/", "[::1]", "[:::]", "@", ".", "-", *DIGITS])).map("".join)
)
def test_a_reference_that_reads_leads_to_an_address(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidValue as error:
        assert len(str(error)) < 3000
        return
    is_loopback(reference.registry)
    assert redacted(f"https://{reference.registry}/v2/") == f"https://{reference.registry}/v2/"


@given(
    st.text()
    | st.lists(st.sampled_from(["Bearer", "Basic", "realm", "scope", '"', "=", ",", " ", "\\", "a"])).map("".join)
)
def test_any_challenge_is_answered_or_none(header: str) -> None:
    found = read_challenge(header)
    assert found is None or isinstance(found.realm, str)


realms = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=30)


@given(realms, realms, realms)
def test_a_challenge_reads_back(realm: str, service: str, scope: str) -> None:
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in (realm, service, scope)]
    fields = 'realm="{}", service="{}",scope = "{}"'.format(*quoted)
    for header in (
        f"Bearer {fields}",
        f"bearer {fields}, Basic realm=x",
        f"Negotiate ab+/==, Digest a=b,Bearer {fields}",
    ):
        found = read_challenge(header)
        assert found is not None
        assert (found.basic, found.realm, found.service, found.scope) == (False, realm, service, scope)


@given(st.sampled_from(DIGITS) | st.text(max_size=40), st.sampled_from(["", "Mon, 01 Jan 2024 00:00:00 GMT", "x"]))
def test_any_wait_is_a_number_of_seconds_or_nothing(wait: str, date: str) -> None:
    seconds = retry_after({"Retry-After": wait, "Date": date})
    assert seconds is None or 0 <= seconds < 1e12


@pytest.mark.parametrize(
    "wait", ["Mon, 01 Jan 2024 00:00:00 +99999999999", "Mon, 01 Jan 99999 00:00:00 GMT", "²", "9" * 5000, "-5", "1e9"]
)
def test_a_wait_that_nobody_can_count_is_none(wait: str) -> None:
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    assert retry_after({"Retry-After": wait, "Date": date}) is None
    assert retry_after({"Retry-After": "Mon, 01 Jan 2024 00:01:00 GMT", "Date": date}) == 60


@given(
    st.text()
    | st.lists(st.sampled_from(["http://", "[", "]", "::1", "@", ":", "?", "#", "\0", "é", *DIGITS])).map("".join)
)
def test_any_address_is_shown_without_a_password(text: str) -> None:
    redacted(text)
    assert "secret" not in redacted(f"http://me:secret@{text}")


@given(st.integers(0, 253_402_300_799))
def test_a_date_reads_as_what_it_was_written_from(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert parse_rfc3339(rfc3339(seconds)) == seconds
    assert parse_rfc3339(moment.isoformat()) == seconds


@given(
    values | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
)
def test_any_date_is_a_moment_that_can_be_written_or_none(value: object) -> None:
    seconds = parse_rfc3339(value)
    assert seconds is None or len(rfc3339(max(seconds, 0))) == 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2016-12-31T23:59:60Z", 1483228800),
        ("2024-05-06T07:08:09.123456789Z", 1714979289),
        ("2024-05-06t09:08:09+02:00", 1714979289),
        ("2024-W19-1", None),
        ("20240506T070809Z", None),
        ("2024-05-06T07:08:09", None),
        ("2024-05-06T07:08:09+99:99", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("0000-01-01T00:00:00Z", None),
        ("2024-05-06T07:08:09Z\n", None),
        ("٢٠٢٤-05-06T07:08:09Z", None),
        (None, None),
        (1714979289, None),
    ],
)
def test_a_date_is_what_the_specification_calls_one(text: object, seconds: int | None) -> None:
    assert parse_rfc3339(text) == seconds


version = st.lists(st.sampled_from(["0", "1", "00", "~", "+", "-", ":", ".", "a", "é", *DIGITS])).map("".join)


@given(version, version)
def test_any_two_versions_of_debian_compare(one: str, other: str) -> None:
    assert satisfies(one, "<<", other) + satisfies(one, "=", other) + satisfies(one, ">>", other) == 1
    assert (version_key(one) < version_key(other)) == (version_key(other) > version_key(one))


@given(st.text())
def test_any_text_is_a_stanza(text: str) -> None:
    assert all("\n" not in name for name in stanza(text))


@given(
    texts, st.lists(st.lists(texts.map(lambda text: text.replace("\ud800", "")), max_size=8).map(":".join), max_size=4)
)
def test_any_user_of_any_passwd_has_ids_of_32_bits_or_is_refused(user: str, lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    base = Tree([file("etc/passwd", data, origin="base"), file("etc/group", data, origin="base")])
    try:
        uid, gid = ids_of(base, user)
    except InvalidValue:
        return
    assert 0 <= uid < 2**32 - 1 and 0 <= gid < 2**32 - 1


entries = keyed("auth", "identitytoken", "registrytoken", "username", "password") | st.fixed_dictionaries(
    {"auth": st.binary(max_size=20).map(lambda raw: base64.b64encode(raw).decode())}
)
files = st.fixed_dictionaries(
    {}, optional={"auths": st.dictionaries(texts | st.just("r.example"), entries | values), "credHelpers": values}
)


@settings(deadline=None)
@given(files.map(spelled) | st.binary(max_size=40) | st.just(b"[" * 100_000))
def test_any_file_of_credentials_gives_a_login_that_can_be_sent_or_none(tmp_path_factory: Any, data: bytes) -> None:
    path = Path(tmp_path_factory.getbasetemp(), "auth.json")
    path.write_bytes(data)
    logins = Logins({"REGISTRY_AUTH_FILE": str(path), "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"})
    login = logins.find("r.example", "team/x")
    if login is not None:
        f"{login.username}:{login.secret}".encode()
        assert login.kind != "bearer" or login.secret.isprintable()


keys = st.sampled_from(
    ["name", "user.uid", "config.env.A", "config.labels", '"a - at "', '"²[9]"', "copy", "base", "x"]
)
lines = st.tuples(
    keys, st.sampled_from(["1", '"²"', "'\\'", "[]", "[[{}]]", "inf", "1979-05-27", "0x" + "f" * 50, '"a\\nb"'])
)


@settings(deadline=None)
@given(
    st.lists(
        lines.map(" = ".join) | st.sampled_from(["[[copy]]", "[user]", '["a.b"]', "[config.healthcheck]"]), max_size=5
    )
)
def test_any_recipe_is_taken_or_explained_in_few_words(found: list[str]) -> None:
    try:
        parse_toml("\n".join(found), ImageToml, file="image.toml")
    except RecipeError as error:
        assert len(str(error)) < 1000


LONG = 1 << 19
SLOW = {
    "a challenge of letters": lambda: read_challenge("a" * LONG),
    "a challenge of quotes": lambda: read_challenge('Bearer a="\\",' * 600),
    "a challenge of commas": lambda: read_challenge("Bearer " + "realm=," * 1100),
    "a reference of letters": lambda: Reference.parse("a" * LONG + "!"),
    "a reference of dots": lambda: Reference.parse("a." * (LONG // 2) + "/b:c"),
    "a stanza of folds": lambda: stanza("a: b\n" + " c\n" * (LONG // 4)),
    "a header of a table": lambda: line_of("[" * LONG + "\n" + '"' * LONG + "\n" + "a" * LONG, ["a"]),
    "a key of blanks": lambda: line_of(" " * LONG + "\n" + "a " + " " * LONG + "\n" + "a." * LONG, ["a"]),
    "a version of digits": lambda: version_key("1." * LONG + "9" * LONG),
    "a date of digits": lambda: parse_rfc3339("2024-01-01T00:00:00." + "1" * LONG),
    "an address of brackets": lambda: redacted("http://" + "[" * LONG),
}


@pytest.mark.parametrize("act", SLOW.values(), ids=SLOW.keys())
def test_no_text_takes_time_that_grows_with_its_square(act: Any) -> None:
    began = time.process_time()
    with contextlib.suppress(OcibuildError):
        act()
    # Half a million letters, of which the square is hours.
    assert time.process_time() - began < 10
