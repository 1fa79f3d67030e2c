"""What a project starts, found by reading it: small projects of many kinds, and what somebody would type in each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from oci_builder.errors import UnclearCommand
from oci_builder.recipes import load_image
from oci_builder.recipes.unwritten import Unwritten, unwritten

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FACTORY = "from flask import Flask\ndef create_app(config=None):\n    app = Flask(__name__)\n    return app\n"
STREAMLIT = "import streamlit as st\nst.title('x')\n"
MAIN = "def main():\n    print('x')\nif __name__ == '__main__':\n    main()\n"
CELERY = "from celery import Celery\napp = Celery('x')\n"
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{0}.settings')\n"
MANAGE += "from django.core.management import execute_from_command_line\n"
WSGI = "import os\nfrom django.core.wsgi import get_wsgi_application\n"
WSGI += "os.environ.setdefault('DJANGO_SETTINGS_MODULE', '{0}.settings')\napplication = get_wsgi_application()\n"
UVICORN = ["--host", "0.0.0.0", "--port", "8000"]
GUNICORN = ["gunicorn", "--bind", "0.0.0.0:8000"]
WEB, SITE, PAGE = "fastapi\nuvicorn\n", "django\ngunicorn\n", "flask\ngunicorn\n"


def project(folder: Path, files: Mapping[str, str | bytes], requirements: str = "") -> Path:
    """A folder ``shop`` with these files."""
    place = folder / "shop"
    if requirements:
        files = {"requirements.txt": requirements, **files}
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return place


def found(place: Path, app: str = "") -> Unwritten:
    result = unwritten(place, app=app)
    assert result is not None
    if not app:
        # What a build makes of it is the same, and a recipe that holds.
        recipe = load_image(place).recipe
        config = result.document.get("config", {})
        assert list(recipe.config.cmd or ()) == config.get("cmd", []), recipe
        assert list(recipe.config.entrypoint) == config.get("entrypoint", [])
    return result


def words(place: Path, app: str = "") -> list[str]:
    config = found(place, app).document.get("config", {})
    return list(config.get("entrypoint", config.get("cmd", [])))


def pyproject(more: str = "", *, backend: str = "hatchling", dependencies: str = '"x"') -> str:
    build = f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{backend}.build"\n' if backend else ""
    return f'[project]\nname = "shop"\nversion = "1.2"\ndependencies = [{dependencies}]\n{build}{more}'


STARTED: dict[str, tuple[dict[str, str | bytes], str, list[str]]] = {
    "main.py": ({"main.py": FASTAPI}, WEB, ["uvicorn", "main:app", *UVICORN]),
    "fastapi[standard]": ({"app.py": FASTAPI}, "fastapi[standard]>=0.1\n", ["uvicorn", "app:app", *UVICORN]),
    "a package": (
        {"app/__init__.py": "", "app/main.py": f"from app.db import x\n{FASTAPI}", "app/db.py": ""},
        WEB,
        ["uvicorn", "app.main:app", *UVICORN],
    ),
    "relative imports": (
        {"shop/main.py": f"from .db import x\n{FASTAPI}", "shop/db.py": ""},
        WEB,
        ["uvicorn", "shop.main:app", *UVICORN],
    ),
    "src": ({"src/shop/main.py": FASTAPI, "src/shop/__init__.py": ""}, WEB, ["uvicorn", "shop.main:app", *UVICORN]),
    "in if": (
        {
            "main.py": "import os\nfrom fastapi import FastAPI\n"
            "if os.name:\n    app = FastAPI()\nelse:\n    app = FastAPI(docs_url=None)\n"
        },
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "in try": (
        {"main.py": "try:\n    import fastapi\n    app = fastapi.FastAPI()\nfinally:\n    pass\n"},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "annotated": (
        {"main.py": "from fastapi import FastAPI\napp: FastAPI = FastAPI()\n"},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "another name": (
        {"main.py": "from fastapi import FastAPI as F\nservice = F()\n"},
        WEB,
        ["uvicorn", "main:service", *UVICORN],
    ),
    "a subclass": (
        {"main.py": "from fastapi import FastAPI\nclass A(FastAPI): pass\napp = A()\n"},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "wrapped": (
        {"main.py": "from fastapi import FastAPI\nfrom x import M\napp = M(FastAPI())\n"},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "mounted": (
        {"main.py": "from fastapi import FastAPI\nmain = FastAPI()\nsub = FastAPI()\nmain.mount('/s', sub)\n"},
        WEB,
        ["uvicorn", "main:main", *UVICORN],
    ),
    "given on": (
        {"shop/__init__.py": "from .main import app\n", "shop/main.py": FASTAPI},
        WEB,
        ["uvicorn", "shop.main:app", *UVICORN],
    ),
    "in parts": (
        {"main.py": f"from api import app as api\n{FASTAPI}app.mount('/a', api)\n", "api.py": FASTAPI},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "started by hand": (
        {"main.py": f"import uvicorn\n{FASTAPI}if __name__ == '__main__':\n    uvicorn.run('main:app', port=9001)\n"},
        WEB,
        ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "9001"],
    ),
    "BOM and CRLF": (
        {"main.py": b"\xef\xbb\xbf" + FASTAPI.replace("\n", "\r\n").encode()},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "Latin-1": (
        {"main.py": f"# coding: latin-1\nx = 'é'\n{FASTAPI}".encode("latin-1")},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "Latin-1, unsaid": ({"main.py": f"x = 'é'\n{FASTAPI}".encode("latin-1")}, WEB, ["uvicorn", "main:app", *UVICORN]),
    "a newer Python": (
        {"main.py": f"{FASTAPI}def f(d):\n    match d:\n        case 1 | : pass\n\ntype X[T] = = list\n"},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "a factory": ({"shop/__init__.py": FACTORY}, PAGE, [*GUNICORN, "shop:create_app()"]),
    "a factory of ASGI": (
        {"main.py": "from fastapi import FastAPI\ndef create_app() -> FastAPI:\n    api = FastAPI()\n    return api\n"},
        WEB,
        ["uvicorn", "--factory", "main:create_app", *UVICORN],
    ),
    "a factory and who calls it": (
        {"shop/__init__.py": FACTORY, "wsgi.py": "from shop import create_app\napplication = create_app()\n"},
        PAGE,
        [*GUNICORN, "wsgi:application"],
    ),
    "a factory in the file": ({"app.py": f"{FACTORY}app = create_app()\n"}, PAGE, [*GUNICORN, "app:app"]),
    "Flask": ({"app.py": FLASK}, PAGE, [*GUNICORN, "app:app"]),
    "waitress": ({"app.py": FLASK}, "flask\nwaitress\n", ["waitress-serve", "--listen=0.0.0.0:8000", "app:app"]),
    "hypercorn": ({"app.py": FASTAPI}, "fastapi\nhypercorn\n", ["hypercorn", "--bind", "0.0.0.0:8000", "app:app"]),
    "its own server": (
        {"app.py": f"{FLASK}if __name__ == '__main__':\n    app.run(host='0.0.0.0', port=5001)\n"},
        "flask\n",
        ["python", "app.py"],
    ),
    "gunicorn.conf.py": (
        {"app.py": FLASK, "gunicorn.conf.py": "bind = '0.0.0.0:8080'\n"},
        PAGE,
        ["gunicorn", "app:app"],
    ),
    "gunicorn.conf.py for here": (
        {"app.py": FLASK, "gunicorn.conf.py": "bind = '127.0.0.1:8080'\n"},
        PAGE,
        ["gunicorn", "--bind", "0.0.0.0:8080", "app:app"],
    ),
    "gunicorn.conf.py with all": (
        {"app.py": FLASK, "gunicorn.conf.py": "wsgi_app = 'app:app'\n"},
        PAGE,
        ["gunicorn", "--bind", "0.0.0.0:8000"],
    ),
    "Dash": (
        {"app.py": "from dash import Dash\napp = Dash(__name__)\nserver = app.server\n"},
        "dash\ngunicorn\n",
        [*GUNICORN, "app:server"],
    ),
    "Django": (
        {
            "manage.py": MANAGE.format("site"),
            "site/settings.py": "WSGI_APPLICATION = 'site.wsgi.application'\n",
            "site/wsgi.py": WSGI.format("site"),
        },
        SITE,
        [*GUNICORN, "site.wsgi"],
    ),
    "Django, deep": (
        {
            "backend/manage.py": MANAGE.format("site"),
            "backend/site/settings.py": "",
            "backend/site/wsgi.py": WSGI.format("site"),
        },
        SITE,
        [*GUNICORN, "site.wsgi"],
    ),
    "Django, settings in parts": (
        {
            "manage.py": MANAGE.format("config.settings.local").replace("local.settings", "local"),
            "config/settings/__init__.py": "",
            "config/settings/base.py": "WSGI_APPLICATION = 'config.wsgi.application'\n",
            "config/settings/local.py": "from .base import *\n",
            "config/wsgi.py": WSGI.format("config"),
        },
        SITE,
        [*GUNICORN, "config.wsgi"],
    ),
    "Django, ASGI": (
        {
            "manage.py": MANAGE.format("site"),
            "site/settings.py": "ASGI_APPLICATION = 'site.asgi.application'\n",
            "site/asgi.py": WSGI.format("site").replace("wsgi", "asgi"),
            "site/wsgi.py": WSGI.format("site"),
        },
        "django\nchannels[daphne]\n",
        ["daphne", "-b", "0.0.0.0", "-p", "8000", "site.asgi:application"],
    ),
    "Streamlit": (
        {"streamlit_app.py": STREAMLIT},
        "streamlit\n",
        ["streamlit", "run", "streamlit_app.py", "--server.address=0.0.0.0"],
    ),
    "Streamlit, pages": (
        {"🏠_Home.py": STREAMLIT, "pages/1_A.py": STREAMLIT, "utils.py": STREAMLIT},
        "streamlit\n",
        ["streamlit", "run", "🏠_Home.py", "--server.address=0.0.0.0"],
    ),
    "Gradio": (
        {"app.py": "import gradio as gr\ndemo = gr.Blocks()\ndemo.launch()\n"},
        "gradio\n",
        ["python", "app.py"],
    ),
    "Celery": ({"shop/tasks.py": CELERY}, "celery\n", ["celery", "-A", "shop.tasks", "worker", "--loglevel=INFO"]),
    "Celery beside a site": (
        {"main.py": FASTAPI, "tasks.py": CELERY},
        f"{WEB}celery\n",
        ["uvicorn", "main:app", *UVICORN],
    ),
    "Procfile": (
        {"Procfile": "web: gunicorn app:app --bind 0.0.0.0:8080\n"},
        PAGE,
        ["gunicorn", "app:app", "--bind", "0.0.0.0:8080"],
    ),
    "Procfile, PORT": (
        {"Procfile": "web: gunicorn app:app -b :$PORT\r\n"},
        PAGE,
        ["/bin/sh", "-c", "exec gunicorn app:app -b :$PORT"],
    ),
    "Procfile, several": (
        {"Procfile": "release: python m.py\nworker: python w.py\nweb: python s.py\n"},
        PAGE,
        ["python", "s.py"],
    ),
    "Procfile, worker": ({"Procfile": "release: python m.py\nworker: python w.py\n"}, PAGE, ["python", "w.py"]),
    "Procfile, runner": (
        {"Procfile": "web: poetry run python s.py && true\n"},
        PAGE,
        ["/bin/sh", "-c", "python s.py && true"],
    ),
    "a script": (
        {"pyproject.toml": pyproject('[project.scripts]\nsell = "shop:x"\n'), "shop/__init__.py": ""},
        "",
        ["sell"],
    ),
    "the script of its name": (
        {"pyproject.toml": pyproject('[project.scripts]\nshop = "shop:x"\nsell = "shop:y"\n'), "shop/__init__.py": ""},
        "",
        ["shop"],
    ),
    "Poetry's script": (
        {
            "pyproject.toml": '[tool.poetry]\nname = "shop"\nversion = "1"\n[tool.poetry.scripts]\nsell = "shop:x"\n'
            '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n',
            "shop/__init__.py": "",
        },
        "",
        ["sell"],
    ),
    "setup.cfg": (
        {
            "setup.py": "from setuptools import setup\nsetup()\n",
            "setup.cfg": "[metadata]\nname = shop\n[options]\npy_modules = shop\n"
            "[options.entry_points]\nconsole_scripts =\n    sell = shop:x\n",
            "shop.py": "",
        },
        "",
        ["sell"],
    ),
    "__main__": ({"shop/__main__.py": "print()\n", "shop/__init__.py": ""}, "x\n", ["python", "-m", "shop"]),
    "src, __main__": (
        {"pyproject.toml": pyproject(), "src/shop/__main__.py": "", "src/shop/__init__.py": ""},
        "",
        ["python", "-m", "shop"],
    ),
    "main.py alone": ({"main.py": MAIN, "etl.py": MAIN}, "x\n", ["python", "main.py"]),
    "app.py is a part": ({"main.py": f"import app\n{MAIN}", "app.py": "x = 1\n"}, "x\n", ["python", "main.py"]),
    "a pipeline": (
        {"pipeline.py": f"import extract, load\n{MAIN}", "extract.py": MAIN, "load.py": MAIN},
        "x\n",
        ["python", "pipeline.py"],
    ),
    "an only program": (
        {"scrape.py": f"import helpers\n{MAIN}", "helpers.py": "x = 1\n"},
        "x\n",
        ["python", "scrape.py"],
    ),
    "src/main.py": (
        {"src/main.py": f"from utils import x\n{MAIN}", "src/utils.py": ""},
        "x\n",
        ["python", "src/main.py"],
    ),
    "src as a package": (
        {"src/main.py": f"from src.utils import x\n{MAIN}", "src/utils.py": ""},
        "x\n",
        ["python", "-m", "src.main"],
    ),
    "bin": ({"bin/sell": "#!/usr/bin/env python3\nprint()\n"}, "x\n", ["python", "bin/sell"]),
    "nothing of tests": ({"tests/test_main.py": MAIN, "setup.py": MAIN, "conftest.py": MAIN}, "x\n", []),
    "notebooks": ({"a.ipynb": "{}"}, "x\n", []),
    "Makefile": ({"Makefile": "all:\n\tpython x.py\n"}, "x\n", []),
    "Python 2": ({"tool.py": "print 'x'\n", "main.py": "print 'x'\n"}, "x\n", []),
}


@pytest.mark.parametrize("kind", STARTED)
def test_what_somebody_would_type_is_started(tmp_path: Path, kind: str) -> None:
    files, requirements, expected = STARTED[kind]
    assert words(project(tmp_path, files, requirements)) == expected


STARTED |= {
    "a tutorial's Flask": (
        {"app/__init__.py": FLASK, "shop.py": "from app import app\n"},
        PAGE,
        [*GUNICORN, "app:app"],
    ),
    "run.py": (
        {"app/__init__.py": FLASK, "run.py": "from app import app\napp.run(host='0.0.0.0')\n"},
        "flask\n",
        ["python", "run.py"],
    ),
    "Celery and Flask in one file": (
        {"app.py": f"{FLASK}from celery import Celery\ncelery = Celery(app.name)\n"},
        f"{PAGE}celery\n",
        [*GUNICORN, "app:app"],
    ),
    "Django, settings by assignment": (
        {
            "manage.py": "import os, django\nos.environ['DJANGO_SETTINGS_MODULE'] = 'conf.prod'\n",
            "conf/prod.py": "WSGI_APPLICATION = 'web.wsgi.application'\n",
            "web/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
        },
        SITE,
        [*GUNICORN, "web.wsgi"],
    ),
    "aiohttp": (
        {"main.py": "from aiohttp import web\nweb.run_app(web.Application(), port=9000)\n"},
        "aiohttp\n",
        ["python", "main.py"],
    ),
    "Celery in a module of its name": (
        {"shop/celery.py": CELERY, "shop/__init__.py": "from .celery import app\n"},
        "celery\n",
        ["celery", "-A", "shop.celery", "worker", "--loglevel=INFO"],
    ),
    "one factory for several": (
        {
            "shop/__init__.py": FACTORY,
            "wsgi.py": "from shop import create_app\napp = create_app()\n",
            "run.py": "from shop import create_app\napp = create_app()\nif __name__ == '__main__':\n    app.run()\n",
        },
        PAGE,
        [*GUNICORN, "wsgi:app"],
    ),
    "setup.cfg beside a build-system alone": (
        {
            "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n',
            "setup.cfg": "[metadata]\nname = Shop\n[options]\n"
            "[options.entry_points]\nconsole_scripts =\n    sell = shop:x\n",
            "shop.py": "",
        },
        "",
        ["sell"],
    ),
    "a factory of any name": (
        {
            "app/main.py": "from app.made import build\napp = build()\n",
            "app/made.py": FACTORY.replace("create_app", "build"),
        },
        PAGE,
        [*GUNICORN, "app.main:app"],
    ),
    "an object's": (
        {
            "main.py": "from fastapi import FastAPI\nclass S:\n    def __init__(self):\n        self.app = FastAPI()\n"
            "app = S().app\n"
        },
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "siblings": (
        {"api/main.py": f"from db import x\n{FASTAPI}", "api/db.py": ""},
        WEB,
        ["uvicorn", "main:app", *UVICORN],
    ),
    "no identifier": ({"my-api/main.py": FASTAPI}, WEB, ["uvicorn", "main:app", *UVICORN]),
    "requirements in a folder": (
        {"requirements/production.txt": "-r base.txt\ngunicorn\n", "requirements/base.txt": "flask\n", "app.py": FLASK},
        "",
        [*GUNICORN, "app:app"],
    ),
    "a lock": (
        {"pyproject.toml": pyproject(backend=""), "uv.lock": '[[package]]\nname = "uvicorn"\n', "main.py": FASTAPI},
        "",
        ["uvicorn", "main:app", *UVICORN],
    ),
    "Pipenv": (
        {"Pipfile.lock": '{"default": {"gunicorn": {}}}', "app.py": FLASK},
        "",
        [*GUNICORN, "app:app"],
    ),
    "a script that is not installed": (
        {"pyproject.toml": pyproject('[project.scripts]\nsell = "other:x"\n'), "main.py": MAIN},
        "",
        ["python", "main.py"],
    ),
}


UNCLEAR: dict[str, tuple[dict[str, str | bytes], str, str, str]] = {
    "two applications": ({"a/main.py": FASTAPI, "b/main.py": FASTAPI}, WEB, "a.main:app", "--app a.main:app"),
    "two files": ({"main.py": FASTAPI, "app.py": FASTAPI}, WEB, "main:app", "--app app:app"),
    "two kinds": ({"api.py": FASTAPI, "ui.py": STREAMLIT}, f"{WEB}streamlit\n", "ui.py (ui.py: Streamlit)", "--app"),
    "two programs": ({"main.py": MAIN, "app.py": MAIN}, "x\n", "main.py", "--app"),
    "two sites": (
        {"a/manage.py": MANAGE.format("a"), "b/manage.py": MANAGE.format("b")},
        SITE,
        "b/manage.py (Django)",
        "--app a/manage.py",
    ),
    "no server": ({"main.py": FASTAPI}, "fastapi\n", "no server", "add uvicorn to requirements.txt"),
    "no server for WSGI": (
        {"app.py": f"{FLASK}app.run()\n"},
        "flask\n",
        "no server",
        "add gunicorn to requirements.txt",
    ),
    "no server for Django": (
        {"manage.py": MANAGE.format("site"), "site/wsgi.py": WSGI.format("site")},
        "django\n",
        "no server",
        "add gunicorn to requirements.txt",
    ),
    "a factory that needs something": (
        {"app.py": FACTORY.replace("config=None", "config")},
        PAGE,
        "needs config",
        "wsgi.py",
    ),
    "no application": ({"main.py": "import fastapi\n"}, WEB, "no application of it was found", "--cmd"),
    "a worker and a program": (
        {"tasks.py": CELERY, "main.py": f"import tasks\n{MAIN}"},
        "celery\n",
        "tasks (tasks.py: Celery), main.py (a program)",
        "--app tasks",
    ),
    "a workspace": (
        {
            "pyproject.toml": '[tool.uv.workspace]\nmembers = ["a"]\n',
            "uv.lock": "version = 1\n",
            "a/pyproject.toml": "",
        },
        "",
        "projects of their own lie in a",
        "shop/a",
    ),
    "two processes": ({"Procfile": "a: python a.py\nb: python b.py\n"}, "x\n", "b (Procfile: python b.py)", "--app a"),
    "two scripts": (
        {"pyproject.toml": pyproject('[project.scripts]\na = "shop:x"\nb = "shop:y"\n'), "shop/__init__.py": ""},
        "",
        "a (a command of the project), b",
        "--app a",
    ),
}


@pytest.mark.parametrize("kind", UNCLEAR)
def test_what_is_equally_right_or_cannot_be_served_is_refused_with_what_to_type(tmp_path: Path, kind: str) -> None:
    files, requirements, why, hint = UNCLEAR[kind]
    with pytest.raises(UnclearCommand) as caught:
        unwritten(project(tmp_path, files, requirements))
    assert why in str(caught.value) and hint in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["no server", "no server for WSGI", "no server for Django"])
def test_a_server_that_is_added_as_the_message_says_is_started(tmp_path: Path, kind: str) -> None:
    files, requirements, _, hint = UNCLEAR[kind]
    server = hint.split()[1]
    assert words(project(tmp_path, files, f"{requirements}{server}\n"))[0] == server


def test_what_is_named_is_started_though_others_are_as_right(tmp_path: Path) -> None:
    place = project(tmp_path, {"main.py": FASTAPI, "app.py": FASTAPI, "job.py": MAIN, "bin/x.py": ""}, WEB)
    assert words(place, "app:app") == ["uvicorn", "app:app", *UVICORN]
    assert words(place, "main.py") == ["uvicorn", "main:app", *UVICORN]
    (place / "Procfile").write_text("web: a\nworker: b\nrelease: c\n")
    assert words(place) == ["a"] and words(place, "worker") == ["b"]
    (place / "Procfile").unlink()
    with pytest.raises(UnclearCommand, match="there is no nothing to start; it could start app:app"):
        unwritten(place, app="nothing")


def test_a_recipe_says_where_it_starts_what_it_listens_on_and_how_it_is_asked(tmp_path: Path) -> None:
    text = f"{FASTAPI}@app.get('/healthz')\ndef ok():\n    return 1\n"
    config = found(project(tmp_path, {"src/shop/main.py": text}, WEB)).document["config"]
    assert config["workdir"] == "/app" and config["env"] == {"PYTHONPATH": "/app/src"}
    assert config["exposed-ports"] == [8000]
    assert "http://127.0.0.1:%d/healthz' % 8000" in config["healthcheck"]["test"][-1]
    site = {
        "backend/manage.py": MANAGE.format("site"),
        "backend/site/wsgi.py": WSGI.format("site").replace("os.environ.setdefault", "print"),
    }
    config = found(project(tmp_path / "b", site, SITE)).document["config"]
    assert config["workdir"] == "/app/backend" and config["env"] == {"DJANGO_SETTINGS_MODULE": "site.settings"}
    assert "create_connection(('127.0.0.1', 8000)" in config["healthcheck"]["test"][-1]
    process = found(project(tmp_path / "c", {"Procfile": "web: x -b :$PORT --key $KEY\n"}, "x\n"))
    assert process.document["config"]["env"] == {"PORT": "8000"}
    assert any("KEY has no value" in note for note in process.notes)


def test_a_program_of_installed_packages_brings_no_files(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "pyproject.toml": pyproject('[project.scripts]\nshop = "shop:x"\n'),
        "src/shop/__init__.py": "",
    }
    document = found(project(tmp_path, files)).document
    assert document["python"] == {"project": "."} and document["version"] == "1.2" and "copy" not in document


def test_what_ignore_files_name_is_neither_copied_nor_started(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"main.py": FASTAPI, "old.py": FASTAPI, "app/main.py": FASTAPI}
    files |= {".gitignore": "# x\n/main.py\nsecret.json\n!keep.json\n*.log/\ndata/*.csv\n", "venv/x/main.py": FASTAPI}
    result = found(project(tmp_path, files, WEB))
    assert result.launch is not None and result.launch.words[1] == "app.main:app"
    exclude = result.document["copy"][0]["exclude"]
    assert exclude[-5:] == ["main.py", "**/secret.json", "!**/keep.json", "**/*.log", "data/*.csv"]
    # A .dockerignore is for images: it goes first.
    (tmp_path / "shop" / ".dockerignore").write_text("app\n")
    assert words(tmp_path / "shop")[1] == "main:app"


def test_a_virtual_environment_is_left_out_whatever_it_is_called(tmp_path: Path) -> None:
    files = {
        "main.py": FASTAPI,
        "my env/pyvenv.cfg": "",
        "my env/lib/main.py": FASTAPI,
        "env/pyvenv.cfg": "",
        "envs/a": "",
    }
    exclude = found(project(tmp_path, files, WEB)).document["copy"][0]["exclude"]
    assert exclude[-2:] == ["env", "my env"] and "envs" not in exclude


def test_nothing_outside_of_the_folder_is_read_and_nothing_waits(tmp_path: Path) -> None:
    place = project(tmp_path, {"real.py": FASTAPI}, WEB)
    (tmp_path / "outside.py").write_text(FASTAPI)
    (place / "main.py").symlink_to("../outside.py")
    (place / "loop").symlink_to(".")
    (place / "app.py").symlink_to("app.py")
    os.mkfifo(place / "server.py")
    (place / "a\nb.py").write_text(FASTAPI)
    (place / "Procfile").symlink_to("/dev/zero")
    (tmp_path / "secret").write_text("password\n")
    (place / ".gitignore").symlink_to("../secret")
    assert words_of(place) == ["uvicorn", "real:app", *UVICORN]
    (place / "app.py").unlink()
    (place / "app.py").symlink_to("real.py")
    assert words_of(place)[:2] == ["uvicorn", "app:app"]
    assert "password" not in str(unwritten(place))


def words_of(place: Path) -> list[str]:
    result = unwritten(place)
    assert result is not None
    return list(result.document["config"]["cmd"])


def test_a_recipe_folder_below_build_is_what_was_written_and_no_more(tmp_path: Path) -> None:
    place = tmp_path / "build" / "shop"
    project(place.parent, {"main.py": FASTAPI}, WEB)
    assert unwritten(place) == Unwritten(document={"python": {"requirements": ["requirements.txt"]}})


@pytest.mark.parametrize("name", ["My Shop", "shop_2", "build", "Ünï"])
def test_the_image_is_called_as_the_folder_as_nearly_as_can_be(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "main.py").write_text(MAIN)
    (tmp_path / name / "requirements.txt").write_text("x\n")
    expected = {"My Shop": "my-shop", "build": "build-image", "Ünï": "n"}.get(name, name)
    assert load_image(tmp_path / name).recipe.name == expected


def test_a_port_that_is_none_is_not_taken(tmp_path: Path) -> None:
    source = "from flask import Flask\napp = Flask(__name__)\nif __name__ == '__main__':\n"
    source += "    app.run(host='0.0.0.0', port=True)\n"
    place = project(tmp_path, {"main.py": source}, "flask\n")
    assert found(place).document["config"]["exposed-ports"] == [5000]


def test_a_command_with_a_nul_is_none(tmp_path: Path) -> None:
    assert found(project(tmp_path, {"Procfile": "web: python \0 main.py\n"}, "x\n")).launch is None
