"""Requests to a service's REST interface: JSON there and back, no redirects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import GoldenError

SECONDS = 30
MOST = 16 << 20
"""Bytes of an answer."""


class ServiceError(GoldenError):
    """A service did not do what it was asked; the message has its status and first words."""


class _Refused(HTTPRedirectHandler):
    """A token is for the host that it was given for."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = build_opener(_Refused)


def call(method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Any:
    """The answer's JSON. Raises ServiceError."""
    if not url.startswith(("https://", "http://")):
        raise ServiceError(f"{url} is no address of a service")
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, data=content, method=method)
    for name, value in {**headers, "Content-Type": "application/json"}.items():
        request.add_header(name, value)
    try:
        with _opener.open(request, timeout=SECONDS) as answer:
            return json.loads(answer.read(MOST) or b"null")
    except HTTPError as error:
        said = _first_words(error)
        raise ServiceError(
            f"{method} {url}: {error.code} {error.reason} {said}".rstrip()
        ) from error
    except (URLError, OSError, HTTPException, ValueError, RecursionError) as error:
        raise ServiceError(f"{method} {url}: {error}") from error


def _first_words(error: HTTPError) -> str:
    """Of what came with a status; nothing where the connection ends before."""
    try:
        return error.read(200).decode("utf-8", "replace")
    except (OSError, HTTPException):
        return ""


def entries(answer: Any) -> list[Any]:
    """The answer, a list. Raises ServiceError for any other."""
    if not isinstance(answer, list):
        raise ServiceError(f"the service answered with {_kind(answer)} where a list is expected")
    return answer


def within(answer: Any, *path: str) -> Any:
    """What objects within each other have under these names; None where one has nothing there.

    Raises ServiceError where something on the way is no object.
    """
    for name in path:
        if answer is None:
            return None
        if not isinstance(answer, dict):
            raise ServiceError(
                f"the service answered with {_kind(answer)} where an object with {name!r} is "
                "expected"
            )
        answer = answer.get(name)
    return answer


def whole(answer: Any, name: str) -> int:
    """The whole number under a name. Raises ServiceError where there is none."""
    found = within(answer, name)
    if type(found) is not int:
        raise ServiceError(f"the service answered with no number as {name!r}")
    return found


def _kind(answer: Any) -> str:
    known = {dict: "an object", list: "a list", str: "a text", type(None): "nothing"}
    return known.get(type(answer), "another value")
