from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

from oci_builder.gate.finding import Finding, judged
from oci_builder.inspect.packages import Inventory
from oci_builder.report import Remark, remarks_of, render
from tests.support.installed import distribution, found, layer, package

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>@@DATA@@&\u2028"


def image(path: Path, version: str = "1.0") -> Inventory:
    demo = distribution("demo", version, metadata=[f"Summary: {HOSTILE}", f"License: {HOSTILE}"], requires=["tool"])
    parts = layer(package("libc6"), {f"srv/{HOSTILE.replace('/', '_')}": b"1" * 100})
    return found(path, parts, layer(demo, distribution("tool")), run={"Cmd": [HOSTILE]})


def embedded(page: bytes) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.decode())
    assert match is not None
    return dict(json.loads(match[1]))


def test_the_same_images_give_the_same_page_wherever_they_lie(tmp_path: Path) -> None:
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        new, old = image(tmp_path / name / "x.tar"), image(tmp_path / name / "y.tar", "0.9")
        pages.append(render(new, before=old, remarks=[Remark("verify", "error", "it is odd")]))
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_text_of_the_image_ends_no_element_and_begins_none(tmp_path: Path) -> None:
    page = render(image(tmp_path / f"{HOSTILE[:9].replace('/', '_')}.tar"), remarks=[Remark("gate", "note", HOSTILE)])
    text = page.decode()
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text and "<!--" not in text and "\u2028" not in text
    document = embedded(page)
    assert document["packages"][0]["summary"] == HOSTILE.rstrip("\u2028")
    assert document["remarks"] == [{"check": "gate", "severity": "note", "text": HOSTILE.replace("\u2028", "\\u2028")}]


def test_the_page_may_load_nothing_and_run_only_its_own_script(tmp_path: Path) -> None:
    text = render(image(tmp_path / "x.tar")).decode()
    policy = unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[0])
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    shell = text.replace(re.findall(r'id="data">.*?</script>', text)[0], "")
    assert not re.search(r"https?://|\ssrc=|<link|@import|url\(", shell)


def test_the_treemaps_parts_add_up(tmp_path: Path) -> None:
    def check(node: dict[str, Any]) -> None:
        below = node.get("b", [])
        assert not below or sum(each["s"] for each in below) == node["s"]
        for each in below:
            check(each)

    document = embedded(render(image(tmp_path / "x.tar")))
    check(document["tree"])
    assert document["tree"]["s"] == document["totals"]["unpacked"]


def test_packages_say_who_needs_them_and_licences_who_has_them(tmp_path: Path) -> None:
    document = embedded(render(image(tmp_path / "x.tar")))
    assert {each["name"]: each["by"] for each in document["packages"]} == {"demo": [], "tool": ["demo"], "libc6": []}
    assert {each["licence"]: each["packages"] for each in document["licences"]}["not stated"] == "tool, libc6"
    assert document["diff"] is None


def test_two_images_show_what_changed(tmp_path: Path) -> None:
    page = render(image(tmp_path / "x.tar"), before=image(tmp_path / "y.tar", "0.9"))
    changed = embedded(page)["diff"]
    assert [(each["name"], each["before"], each["after"]) for each in changed["packages"]] == [("demo", "0.9", "1.0")]
    assert (changed["before"], changed["after"], changed["new_layers"]) == ("y.tar", "x.tar", [2])
    assert changed["count"] == len(changed["files"]) > 0


def test_what_verify_and_the_gate_found_stands_on_the_page() -> None:
    error = Finding(severity="error", kind="library", origin="cv2 4", subject="libGL.so.1", message="cv2 needs it")
    warning = Finding(severity="warning", kind="script", origin="x 1", subject="x", message="odd", hint="mend it")
    assert remarks_of(["layer 1: bad"], judged([error, warning], ())) == (
        Remark("verify", "error", "layer 1: bad"),
        Remark("gate", "error", "cv2 needs it"),
        Remark("gate", "warning", "odd: mend it"),
    )
