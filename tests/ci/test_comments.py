"""One comment of ours, through a real HTTP server that keeps them as GitHub and GitLab do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from services import BOT, Service, serving

from pytest_keras_golden.ci.comments import MOST, GitHub, GitLab, Place, marker, outdate, post
from pytest_keras_golden.ci.http import ServiceError, call

TOKEN = "t0ken"


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.fixture(params=["GitHub", "GitLab"])
def place(request: pytest.FixtureRequest, service: Service) -> Place:
    if request.param == "GitHub":
        return GitHub(service.url, "o/r", 7, TOKEN)
    return GitLab(service.url, "12", 7, TOKEN)


def test_one_comment_is_written_and_then_renewed(place: Place, service: Service) -> None:
    assert post(place, "uv.lock jax", "first") == "written"
    assert post(place, "uv.lock jax", "second") == "renewed"
    assert service.bodies == ["<!-- keras-golden uv.lock jax -->\nsecond"]


def test_jobs_of_other_names_have_comments_of_their_own(place: Place, service: Service) -> None:
    post(place, "uv.lock jax", "a")
    post(place, "uv.lock torch", "b")
    post(place, "uv.lock jax", "c")
    assert [body.rpartition("\n")[2] for body in service.bodies] == ["c", "b"]


@pytest.mark.parametrize("place", ["GitHub"], indirect=True)
@pytest.mark.parametrize("association", ["NONE", "CONTRIBUTOR", "FIRST_TIMER"])
def test_a_strangers_comment_is_never_written_over(
    place: Place, service: Service, association: str
) -> None:
    theirs = {
        "id": 1,
        "body": marker("x"),
        "user": {"type": "User"},
        "author_association": association,
    }
    service.comments.append(theirs)
    assert post(place, "x", "ours") == "written"
    assert service.bodies[0] == marker("x")


@pytest.mark.parametrize("place", ["GitLab"], indirect=True)
def test_notes_of_others_are_never_written_over(place: Place, service: Service) -> None:
    service.comments.append({"id": 1, "body": marker("x"), "author": {"id": 2}})
    assert post(place, "x", "ours") == "written"
    assert service.bodies[0] == marker("x")


def test_a_comment_far_down_is_found(place: Place, service: Service) -> None:
    others = [{"id": i, "body": "hello", **BOT, "author": {"id": 1}} for i in range(1, 251)]
    service.comments += [*others, {**others[0], "id": 251, "body": f"{marker('x')}\nold"}]
    assert post(place, "x", "new") == "renewed"
    assert service.bodies[-1] == f"{marker('x')}\nnew"


def test_a_page_is_cut_where_the_service_would_refuse_it(place: Place, service: Service) -> None:
    post(place, "x", "y" * 100_000)
    assert len(service.bodies[0]) < MOST + 100
    assert "cut off here" in service.bodies[0]


def test_a_name_never_ends_its_marker() -> None:
    assert marker("a --> <script>\n") == "<!-- keras-golden a --_ _script__ -->"


def test_the_token_is_sent_and_never_follows_a_redirect(place: Place, service: Service) -> None:
    post(place, "x", "y")
    sent = service.requests[-1][2]
    assert TOKEN in (sent.get("Authorization", "") + sent.get("Private-Token", ""))
    with serving() as other:
        service.answer = lambda *_: (302, other.url)  # type: ignore[method-assign]
        with pytest.raises(ServiceError, match="302"):
            post(place, "x", "y")
        assert other.requests == []


def test_a_refusal_is_an_error_with_the_services_words(place: Place, service: Service) -> None:
    service.refuses = 403
    with pytest.raises(ServiceError, match=r"403.*not accessible by integration"):
        post(place, "x", "y")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x", "http://127.0.0.1:1/x"])
def test_what_is_no_service_is_an_error(url: str) -> None:
    with pytest.raises(ServiceError):
        call("GET", url, {})


def test_what_no_longer_holds_is_outdated_and_only_ours(place: Place, service: Service) -> None:
    post(place, "uv.lock jax", "moved")
    post(place, "uv.lock torch", "moved")
    assert outdate(place, lambda name: name == "uv.lock jax", "not judged") == 1
    assert outdate(place, lambda name: name == "poetry.lock", "not judged") == 0
    first, second = service.bodies
    assert first == f"{marker('uv.lock jax')}\nnot judged"
    assert second.endswith("moved")
    assert post(place, "uv.lock jax", "holds") == "renewed"


SHAPES = [{}, [None], [[]], ["x"], [{}], [{"id": "1"}], "x", 7, None, [{"id": 1, "user": ["Bot"]}]]


@pytest.mark.parametrize("answer", SHAPES, ids=str)
def test_an_answer_of_another_shape_is_an_error_of_the_service(
    place: Place, service: Service, answer: object
) -> None:
    def say(method: str, path: str, body: object) -> tuple[int, object]:
        return 200, {"id": 1} if path.endswith("/user") else answer

    service.answer = say  # type: ignore[method-assign]
    if isinstance(place, GitLab) and answer == SHAPES[-1]:
        answer = [{"id": 1, "author": [1]}]
    for act in (lambda: post(place, "x", "y"), lambda: outdate(place, lambda _: True, "y")):
        with pytest.raises(ServiceError, match="the service answered with"):
            act()


@pytest.mark.parametrize("answer", [[], ["x"], {"head": "x"}, {"head": {"sha": 1}}, None], ids=str)
def test_a_pull_request_of_another_shape_is_an_error_too(service: Service, answer: object) -> None:
    service.answer = lambda *_: (200, answer)  # type: ignore[method-assign]
    with pytest.raises(ServiceError):
        GitHub(service.url, "o/r", 7, TOKEN).head()


NO_ANSWERS = (
    b"",
    b"nonsense\r\n\r\n",
    b"HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n[",
    b"HTTP/1.1 200 x\r\n\r\n" + b"[" * 200_000,
)


@pytest.mark.parametrize("sent", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_an_answer_that_is_no_http_or_no_json_is_one(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer, args=(listening, sent))
        answering.start()
        with pytest.raises(ServiceError):
            call("GET", f"http://127.0.0.1:{listening.getsockname()[1]}/", {})
        answering.join()


def _answer(listening: socket.socket, sent: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(sent)
