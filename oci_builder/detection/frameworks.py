"""What frameworks call their applications, and who serves them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ServerKind(enum.Enum):
    """By what an application is served."""

    ASGI = "ASGI"
    WSGI = "WSGI"
    OWN = "its own server"
    WORKER = "a worker"


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework: its ``name`` for people, and the ``kind`` of its applications."""

    name: str
    kind: ServerKind


_APPLICATIONS = {
    "FastAPI": (ServerKind.ASGI, "fastapi.FastAPI"),
    "Starlette": (ServerKind.ASGI, "starlette.Starlette"),
    "Quart": (ServerKind.ASGI, "quart.Quart"),
    "Litestar": (ServerKind.ASGI, "litestar.Litestar"),
    "FastHTML": (ServerKind.ASGI, "fasthtml.FastHTML fasthtml.fast_app"),
    "BlackSheep": (ServerKind.ASGI, "blacksheep.Application"),
    "Falcon's ASGI": (ServerKind.ASGI, "falcon.asgi.App"),
    "Connexion": (ServerKind.ASGI, "connexion.AsyncApp connexion.FlaskApp"),
    "Socket.IO's ASGI": (ServerKind.ASGI, "socketio.ASGIApp"),
    "ASGI": (ServerKind.ASGI, "asgiref.WsgiToAsgi django.get_asgi_application channels.ProtocolTypeRouter"),
    "Flask": (ServerKind.WSGI, "flask.Flask apiflask.APIFlask flask_openapi3.OpenAPI"),
    "Falcon": (ServerKind.WSGI, "falcon.App falcon.API"),
    "Bottle": (ServerKind.WSGI, "bottle.Bottle bottle.default_app"),
    "Socket.IO's WSGI": (ServerKind.WSGI, "socketio.WSGIApp"),
    "WSGI": (ServerKind.WSGI, "django.get_wsgi_application"),
    "Dash": (ServerKind.WSGI, "dash.Dash"),
    "Sanic": (ServerKind.OWN, "sanic.Sanic"),
    "Celery": (ServerKind.WORKER, "celery.Celery"),
}

_BY_CLASS = {
    dotted: Framework(name, kind) for name, (kind, classes) in _APPLICATIONS.items() for dotted in classes.split()
}


def framework_of(qualified: str) -> Framework | None:
    """The framework whose application ``qualified``, a dotted name, makes; None for every other callable.

    The modules between package and class do not count: ``fastapi.applications.FastAPI`` is FastAPI's as well.
    """
    parts = qualified.split(".")
    if len(parts) < 2:
        return None
    between = "asgi." if parts[0] == "falcon" and "asgi" in parts[1:-1] else ""
    return _BY_CLASS.get(f"{parts[0]}.{between}{parts[-1]}")


MARKS = (
    *("fastapi", "starlette", "quart", "litestar", "fasthtml", "blacksheep", "falcon", "connexion", "socketio"),
    *("asgi", "flask", "bottle", "wsgi", "dash", "sanic", "celery", "streamlit", "gradio", "chainlit", "nicegui"),
    *("__main__", "_app", "aiohttp", "tornado", "cherrypy", "argparse", "click", "typer", r"\.run\("),
)
"""Expressions one of which is met in every file that says something of what a project starts."""
