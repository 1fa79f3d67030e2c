"""The tags of a repository: thousands over many pages, and registries that never come to an end of them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from oci_builder.cli import main
from oci_builder.errors import RegistryError
from oci_builder.registry import tags
from oci_builder.registry.registries import Registries
from oci_builder.registry.tags import list_tags
from tests.support.fakeregistry import FakeRegistry, Handler, give, refuse
from tests.support.registries import open_registries, quick

LIST = "GET /v2/team/x/tags/list"


def hold(registry: FakeRegistry, names: list[str]) -> None:
    for name in names:
        registry.hold_manifest(f"team/x:{name}", b"{}")


def page(found: object, link: str = "") -> Callable[[Handler], None]:
    headers = {"Link": link} if link else {}
    return lambda request: request.say(200, json.dumps({"tags": found}).encode(), **headers)


def test_thousands_of_tags_come_over_all_pages(registry: FakeRegistry, registries: Registries) -> None:
    names = [f"v{number}" for number in range(3456)]
    hold(registry, names)
    assert list_tags(registry.reference("team/x"), registries) == tuple(sorted(names))
    assert len(registry.methods()) == 4


def test_small_and_empty_pages_are_read_on(registry: FakeRegistry, registries: Registries) -> None:
    registry.does(LIST, page(["a"], "</v2/team/x/tags/list?last=a>; rel=next"))
    registry.does(LIST, page(None, '</v2/team/x/tags/list?last=b>; rel="next"'))
    registry.does(LIST, page(["c", "a"]))
    assert list_tags(registry.reference("team/x"), registries) == ("a", "c")


def test_a_page_that_breaks_is_asked_for_again(registry: FakeRegistry, registries: Registries) -> None:
    hold(registry, ["1", "2"])
    registry.page = 1
    registry.does("GET .*last=1", refuse(503))
    assert list_tags(registry.reference("team/x"), registries) == ("1", "2")


def test_a_link_with_the_scheme_that_a_proxy_hides_is_followed(registry: FakeRegistry, registries: Registries) -> None:
    registry.does(LIST, page(["a"], f'<https://{registry.host}/v2/team/x/tags/list?last=a>; rel="next"'))
    registry.does(LIST, page(["b"]))
    assert list_tags(registry.reference("team/x"), registries) == ("a", "b")


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (page(["a"], '</v2/team/x/tags/list?last=a>; rel="next"'), "in a circle"),
        (page(["a"], '<http://127.0.0.1:1/v2/team/x/tags/list>; rel="next"'), "another registry"),
        (page(["a"], '<file:///etc/passwd>; rel="next"'), "another registry"),
        (page(["a"], '<http://[>; rel="next"'), "no address"),
        (page(["a\x1b[2J"]), "not a list of tags"),
        (page(["a" * 129]), "not a list of tags"),
        (page([1]), "not a list of tags"),
        (page("abc"), "not a list of tags"),
        (page({"a": 1}), "not a list of tags"),
        (give(b"[]"), "not a list of tags"),
        (give(b'{"tags": NaN}'), "not a list of tags"),
        (give(b"[" * 100_000), "not a list of tags"),
        (give(b"<html>"), "not a list of tags"),
        (give(b"\xff"), "not a list of tags"),
        (give(b"{}"), "not a list of tags"),
        (give(b" " * (17 << 20)), "longer than the"),
    ],
)
def test_pages_that_are_none_are_refused(
    registry: FakeRegistry, registries: Registries, act: Callable[[Handler], None], why: str
) -> None:
    registry.does(LIST, act, lasting=True)
    with pytest.raises(RegistryError, match=why):
        list_tags(registry.reference("team/x"), registries)


@pytest.mark.parametrize("limit", ["MAX_TAGS", "_MAX_PAGES"])
def test_pages_without_end_are_refused(
    registry: FakeRegistry, registries: Registries, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more(request: Handler) -> None:
        number = len(registry.asked)
        page([f"t{number}"] if limit == "MAX_TAGS" else [], f'<{LIST[4:]}?last={number}>; rel="next"')(request)

    monkeypatch.setattr(tags, limit, 50)
    registry.does(LIST, more, lasting=True)
    with pytest.raises(RegistryError, match="more than"):
        list_tags(registry.reference("team/x"), registries)
    assert len(registry.methods()) == 51


def test_all_pages_together_have_the_time_of_one(registry: FakeRegistry) -> None:
    seconds = iter(range(1_000_000))
    registries = open_registries(registry.host, retry_policy=quick(clock=lambda: float(next(seconds)), slowest=1e9))

    def more(request: Handler) -> None:
        page([], f'<{LIST[4:]}?last={len(registry.asked)}>; rel="next"')(request)

    registry.does(LIST, more, lasting=True)
    with pytest.raises(RegistryError, match="within 300 s"):
        list_tags(registry.reference("team/x"), registries)
    assert len(registry.methods()) < 300


def test_the_command_prints_a_tag_a_line_or_a_document(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(registry, ["10", "9", "latest"])
    assert main(["tags", f"{registry.host}/team/x"]) == 0
    assert capsys.readouterr().out == "10\n9\nlatest\n"
    assert main(["tags", "--json", f"{registry.host}/team/x"]) == 0
    document = {"repository": f"{registry.host}/team/x", "tags": ["10", "9", "latest"]}
    assert json.loads(capsys.readouterr().out) == document


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("team/x:1", 2, "leave its tag or digest out"),
        (f"team/x@sha256:{'0' * 64}", 2, "leave its tag or digest out"),
        ("team/X", 2, "is not an image reference"),
        ("team/none", 1, "repository name not known"),
    ],
)
def test_what_is_no_repository_is_refused(
    registry: FakeRegistry, capsys: pytest.CaptureFixture[str], name: str, code: int, why: str
) -> None:
    assert main(["tags", f"{registry.host}/{name}"]) == code
    said = capsys.readouterr()
    assert why in " ".join(said.err.split()) and said.out == ""
