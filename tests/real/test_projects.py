"""Projects without a recipe are started by docker as their users would start them, and answer."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from oci_builder.cli import main
from oci_builder.recipes import load_image
from tests.real.conftest import build
from tests.support.engines import DockerLike

pytestmark = pytest.mark.real

SERVER = """import http.server, os
from parts.words import WORD

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(WORD + open("data.txt", "rb").read())

http.server.HTTPServer(("", int(os.environ["PORT"])), Answer).serve_forever()
"""
ASK = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000').read().decode())"


def test_a_web_process_of_a_procfile_listens_is_healthy_and_answers(tmp_path: Path, docker: DockerLike) -> None:
    place = tmp_path / "shop"
    (place / "parts").mkdir(parents=True)
    (place / "parts" / "words.py").write_text("WORD = b'hello '\n")
    (place / "data.txt").write_text("world")
    (place / "server.py").write_text(SERVER)
    (place / "requirements.txt").write_text("")
    (place / "Procfile").write_text("web: python server.py\n")
    out = tmp_path / "shop.tar"
    said = build(str(place), "--out", str(out))
    assert "command: python server.py (web of Procfile); to write it down: ocibuild init" in said
    assert "-p 8000:8000" in said
    config = load_image(place).recipe.config
    assert config.healthcheck is not None
    check, started = shlex.join(config.healthcheck.test), shlex.join(config.cmd or ())
    wait = f"for i in $(seq 60); do {check} && break; sleep 1; done 2>/dev/null"
    image = docker.load(out)
    script = f"{started} & {wait}; {check} && python3 -c {shlex.quote(ASK)}"
    assert "hello world" in docker.run(image, "/bin/sh", "-c", script).stdout


def test_what_init_writes_is_what_is_built_without_it(tmp_path: Path, docker: DockerLike) -> None:
    place = tmp_path / "job"
    (place / "src").mkdir(parents=True)
    (place / "src" / "main.py").write_text(
        "from src.load import rows\nif __name__ == '__main__':\n    print('rows', len(rows()))\n"
    )
    (place / "src" / "load.py").write_text("def rows():\n    return open('data/in.csv').readlines()\n")
    (place / "data").mkdir()
    (place / "data" / "in.csv").write_text("a\nb\n")
    (place / "requirements.txt").write_text("")
    assert main(["init", str(place), "--quiet"]) == 0
    written, unwritten = tmp_path / "written.tar", tmp_path / "unwritten.tar"
    build("job", "--out", str(written), project=place)
    build(str(place), "--out", str(unwritten))
    assert written.read_bytes() == unwritten.read_bytes()
    assert docker.run(docker.load(written)).stdout == "rows 2\n"
