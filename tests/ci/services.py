"""A service's REST interface on this machine: comments in memory, every request written down."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Service:
    """comments: as the service lists them. refuses: status of every request that writes."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    head: str = "a" * 40
    refuses: int | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if method != "GET" and self.refuses:
            return self.refuses, {"message": "Resource not accessible by integration"}
        if path.endswith("/user"):
            return 200, {"id": 1}
        if re.search(r"/pulls/\d+$", path):
            return 200, {"head": {"sha": self.head}}
        if method == "GET":
            page = int(re.search(r"[?&]page=(\d+)", path)[1])  # type: ignore[index]
            return 200, self.comments[100 * (page - 1) : 100 * page]
        if method == "POST":
            comment = {"id": len(self.comments) + 1, **body, **BOT, "author": {"id": 1}}
            self.comments.append(comment)
            return 201, comment
        key = int(path.rpartition("/")[2])
        comment = next(comment for comment in self.comments if comment["id"] == key)
        comment.update(body)
        return 200, comment


BOT = {"user": {"type": "Bot"}, "author_association": "NONE"}


@contextmanager
def serving() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            service.requests.append((self.command, self.path, dict(self.headers)))
            status, answer = service.answer(self.command, self.path, body)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", answer)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PATCH = do_PUT = handle_any

        def log_message(self, *_: Any) -> None:
            """Nothing: pytest shows what the test asks for."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
