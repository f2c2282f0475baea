"""Requests to a service's REST interface: JSON there and back, no redirects."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        said = error.read(200).decode("utf-8", "replace")
        raise ServiceError(
            f"{method} {url}: {error.code} {error.reason} {said}".rstrip()
        ) from error
    except (URLError, OSError, ValueError) as error:
        raise ServiceError(f"{method} {url}: {error}") from error
