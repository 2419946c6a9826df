"""Share links lead to pages of this site, and nowhere after they were revoked."""

from datetime import UTC, datetime, timedelta

import pytest

from prunescope.jobs.problems import Problem
from prunescope.store.database import Database
from prunescope.store.shares import LONGEST_TITLE, OPENED_SECONDS, ShareStore

PATH = "/attributions/0123456789abcdef/neurons/3/17?example=2&scale=shared"


def test_a_link_opens_its_page_until_it_is_revoked(database: Database) -> None:
    shares = ShareStore(database)
    share = shares.create(PATH)
    other = shares.create(PATH)
    assert shares.get(share.token) == share and share.path == PATH
    assert share.token != other.token and len(share.token) >= 20
    shares.revoke(share.token)
    for ask in (shares.get, shares.revoke):
        with pytest.raises(Problem) as gone:
            ask(share.token)
        assert gone.value.status == 404
    assert shares.list() == ([other], None)


def test_links_are_listed_newest_first(database: Database) -> None:
    shares = ShareStore(database)
    made = [shares.create(f"/studies/{number}") for number in range(5)]
    first, cursor = shares.list(limit=3)
    rest, end = shares.list(limit=3, cursor=cursor)
    assert first + rest == made[::-1] and end is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "attributions/x",
        "//evil.example/x",
        "https://evil.example/x",
        "/\\evil.example",
        "/x\r\nSet-Cookie: a=b",
        "/s/another",
        "/api/v1/jobs",
        "/" + "x" * 5000,
    ],
)
def test_other_paths_are_refused(database: Database, path: str) -> None:
    with pytest.raises(Problem) as refused:
        ShareStore(database).create(path)
    assert refused.value.status == 422
    assert refused.value.errors[0].field == "path"


def test_the_last_opening_is_written_once_in_ten_minutes(database: Database) -> None:
    now = datetime(2026, 1, 2, 12, tzinfo=UTC)
    shares = ShareStore(database, now=lambda: now)
    share = shares.create(PATH, title="L3/N17", digest="0" * 12)
    assert (share.title, share.digest, share.opened_at) == ("L3/N17", "0" * 12, None)
    start, seen = now, []
    for minute in range(0, 31, 3):
        now = start + timedelta(minutes=minute)
        shares.opened(shares.get(share.token))
        opened = shares.get(share.token).opened_at
        assert opened is not None and now - opened < timedelta(seconds=OPENED_SECONDS)
        seen.append(opened)
    assert [(moment - start) / timedelta(minutes=1) for moment in dict.fromkeys(seen)] == [0, 12, 24]
    shares.opened(share)  # read by another request before the first opening: the condition is the database's
    assert shares.get(share.token).opened_at == seen[-1]
    assert shares.list()[0][0].opened_at == seen[-1]


def test_a_long_title_is_cut(database: Database) -> None:
    share = ShareStore(database).create(PATH, title="x" * 5000)
    assert share.title == "x" * LONGEST_TITLE
