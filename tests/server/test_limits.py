"""How much one request may ask for, and what happens when it asks for more."""

import asyncio
import json
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from prunescope.jobs.bounds import MAX_BODY_BYTES, MAX_ERRORS
from prunescope.jobs.problems import Problem
from prunescope.server.limits import MAX_ADDRESS_BYTES, Limits, Turns, check_body
from prunescope.server.stores import Stores
from tests.waiting import wait_for

JOB = {"kind": "evaluate", "spec": {"model": "demo", "tasks": ["reviews"]}}
HEADERS = {"content-type": "application/json"}


def post(client: TestClient, body: bytes, path: str = "/api/v1/jobs") -> Any:
    return client.post(path, content=body, headers=HEADERS)


def spec(**fields: str) -> bytes:
    inside = "".join(f', "{name}": {value}' for name, value in fields.items())
    return f'{{"kind": "evaluate", "spec": {{"model": "demo", "tasks": ["reviews"]{inside}}}}}'.encode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (spec(limit="1e30"), "limit"),
        (spec(limit="9" * 4000), "limit"),
        (spec(**{"\\ud800": "1"}), "\\ud800"),
        (spec(seed='"\\ud800"'), "seed"),
        (spec(x="[" * 500 + "]" * 500), "x" + ".0" * 30),
        (b'{"kind": "evaluate", "spec": [' + b"0," * 200_000 + b"0]}", "spec"),
        (b'{"kind": "' + b"x" * 5000 + b'", "spec": {}}', "kind"),
        (b'{"kind": "evaluate", "spec": {}, "force": 1}', "force"),
        (b'{"kind": "evaluate", "spec": {}, "force": "yes"}', "force"),
        (b'{"kind": "evaluate", "spec": {}, "force": null}', "force"),
    ],
)
def test_a_wrong_body_is_a_422_with_its_field(client: TestClient, body: bytes, field: str) -> None:
    answer = post(client, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert len(answer.content) < 5000


@pytest.mark.parametrize(
    "body",
    [
        spec(limit="9" * 5000),
        b'{"kind": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"kind": "\xff\xfe", "spec": {}}',
        b"{",
        b"[]",
        b"null",
    ],
)
def test_what_cannot_be_read_is_a_422(client: TestClient, body: bytes) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_a_body_is_counted_as_it_comes(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield b" " * (MAX_BODY_BYTES // 8)

    own = {"origin": "http://localhost", "content-type": "application/x-www-form-urlencoded"}
    address = "/attributions/" + "0" * 16 + "/texts"
    for headers, path in ((HEADERS, "/api/v1/jobs"), (own, address)):
        for content in (b" " * (MAX_BODY_BYTES + 1), pieces()):
            answer = client.post(path, content=content, headers=headers)
            assert answer.status_code == 413


def test_bad_seeds_answer_a_page_of_errors_and_no_more(client: TestClient) -> None:
    seeds = json.dumps(["x"] * 90_000)
    body = f'{{"kind": "study", "spec": {{"models": ["demo"], "tasks": ["reviews"], "seeds": {seeds}}}}}'
    answer = post(client, body.encode())
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) <= MAX_ERRORS and len(answer.content) < 10_000


def test_a_long_address_is_refused(client: TestClient) -> None:
    assert client.get("/api/v1/search?q=" + "a" * (MAX_ADDRESS_BYTES - 100)).status_code == 200
    answer = client.get("/api/v1/search?q=" + "a" * MAX_ADDRESS_BYTES)
    assert (answer.status_code, answer.json()["code"]) == (414, "long-address")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_check_body_leaves_what_is_no_json_to_the_route() -> None:
    check_body(b"{")
    check_body(b'{"a": [1, 2.5, NaN, "text", null, true]}')
    with pytest.raises(Problem, match="4300 digits"):
        check_body(b"9" * 5000)


class Conversation:
    """What one request is sent and answers, at an ASGI application."""

    def __init__(self, body: bytes = b"", kind: str = "application/json") -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/there",
            "query_string": b"",
            "headers": [(b"content-type", kind.encode())],
        }
        self.messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self.answers: list[Message] = []

    async def receive(self) -> Message:
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.answers.append(message)

    @property
    def status(self) -> int:
        return int(self.answers[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answers[0]["headers"])


def test_who_waits_too_long_hears_so_and_the_work_comes_to_its_end_unheard() -> None:
    ended: list[str] = []

    async def scene() -> None:
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            ended.append("work")

        limits, talk = Limits(app, seconds=0), Conversation()
        await limits(talk.scope, talk.receive, talk.send)
        assert talk.status == 503 and talk.headers[b"retry-after"] == b"5"
        said = len(talk.answers)
        assert len(limits.abandoned) == 1
        go_on.set()
        await asyncio.gather(*limits.abandoned)
        await asyncio.sleep(0)
        assert len(talk.answers) == said and not limits.abandoned

    asyncio.run(scene())
    assert ended == ["work"]


def test_an_answer_that_has_begun_may_take_as_long_as_it_likes() -> None:
    async def scene() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(100):
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"all"})

        talk = Conversation()
        await Limits(app, seconds=0.0)(talk.scope, talk.receive, talk.send)
        assert talk.status == 200 and talk.answers[-1]["body"] == b"all"

    asyncio.run(scene())


def test_bodies_that_are_held_have_a_sum() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["body"] == b"[1, 2, 3]"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def scene() -> None:
        limits = Limits(app, body_bytes=9)
        for body, status in ((b"[1, 2, 3]", 200), (b"[1, 2, 33]", 503), (b"[1, 2, 3]", 200)):
            talk = Conversation(body)
            await limits(talk.scope, talk.receive, talk.send)
            assert talk.status == status
        assert limits.free_bytes == 9

    asyncio.run(scene())


def test_heavy_work_takes_turns() -> None:
    async def scene() -> None:
        free, begun = threading.Event(), threading.Semaphore(0)
        started: list[int] = []

        def work(number: int) -> int:
            started.append(number)
            begun.release()
            free.wait()
            return number

        turns = Turns(at_once=2)
        tasks = [asyncio.create_task(turns.take(partial(work, number))) for number in range(5)]
        for _ in range(2):
            await asyncio.to_thread(begun.acquire)
        for _ in range(50):  # whoever may begin has begun
            await asyncio.to_thread(started.copy)
        assert sorted(started) == [0, 1]  # threads that begin together have no order
        free.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]

    asyncio.run(scene())


def test_who_would_wait_too_long_for_a_turn_is_told_to_come_again() -> None:
    async def scene() -> None:
        free, begun = threading.Event(), threading.Event()

        def long() -> str:
            begun.set()
            free.wait()
            return "done"

        turns = Turns(at_once=1, waiting=1, seconds=0)
        first = asyncio.create_task(turns.take(long))
        await asyncio.to_thread(begun.wait)
        with pytest.raises(Problem) as caught:
            await turns.take(lambda: "never")
        assert caught.value.status == 503 and caught.value.headers == {"retry-after": "5"}
        turns._seconds = 1000
        second = asyncio.create_task(turns.take(lambda: "later"))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="1 requests of this kind wait already"):
            await turns.take(lambda: "never")
        free.set()
        assert [await first, await second] == ["done", "later"]

    asyncio.run(scene())


def test_lists_home_and_events_carry_no_spec(client: TestClient, stores: Stores) -> None:
    text = "A badly lit, crappy room. " * 5000
    texts = [{"text": text, "words": ["badly"]}] * 3
    job, _ = stores.jobs.submit("attribute", {"dense": "demo", "pruned": ["a/b"], "texts": texts}, "f" * 64)
    assert len(client.get(f"/api/v1/jobs/{job.id}").json()["spec"]["texts"][0]["text"]) == len(text)
    for path in ("/api/v1/jobs", "/api/v1/", "/jobs", "/"):
        answer = client.get(path, headers={"accept": "text/html" if "api" not in path else "*/*"})
        assert answer.status_code == 200 and len(answer.content) < 50_000
        assert "against a/b" in answer.text and "3 texts" in answer.text
    (item,) = client.get("/api/v1/jobs").json()["items"]
    assert "spec" not in item and "brief" not in item
    stores.announce(stores.jobs.get(job.id))
    wait_for(lambda: bool(stores.redis.xlen(f"prunescope:jobs:{job.id}")))
    (event,) = stores.redis.xrange(f"prunescope:jobs:{job.id}")
    assert "spec" not in json.loads(event[1]["data"])
