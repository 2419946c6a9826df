"""Builds the documents of share links."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from prunescope.server import urls
from prunescope.server.shares.documents import ResultState, ShareDocument
from prunescope.server.shares.opening import kind_of
from prunescope.server.site.documents import Page
from prunescope.server.site.permalinks import digests_of, results_of
from prunescope.server.stores import Stores
from prunescope.store.shares import Share


def share_list(stores: Stores, site: str, *, cursor: str | None = None, limit: int = 50) -> Page[ShareDocument]:
    """One page of the list of share links that were not revoked, newest first. ``site`` is the address of this site,
    with which their URLs begin. Raises Problem 422 for an invalid cursor or limit."""
    items, after = stores.shares.list(cursor=cursor, limit=limit)
    href = urls.shares(cursor=after) if after else None
    return Page[ShareDocument](items=share_documents(stores, site, items), next=after, next_href=href)


def share_documents(stores: Stores, site: str, shares: Sequence[Share]) -> list[ShareDocument]:
    """The documents of several share links. The digests of all their results are read at once."""
    shown = [results_of(share.path) for share in shares]
    digests = digests_of(stores, shown)
    return [
        _document(share, site, _state(share, now) if results else None)
        for share, results, now in zip(shares, shown, digests, strict=True)
    ]


def _document(share: Share, site: str, result: ResultState | None) -> ShareDocument:
    href = urls.shared(share.token)
    query = parse_qsl(urlsplit(share.path).query, keep_blank_values=True)
    return ShareDocument(
        token=share.token,
        url=site.rstrip("/") + href,
        href=href,
        path=share.path,
        kind=kind_of(share.path),
        title=share.title,
        view=[f"{name} {value}" for name, value in query],
        created_at=share.created_at,
        opened_at=share.opened_at,
        result=result,
    )


def _state(share: Share, now: str | None) -> ResultState | None:
    """The state of the result of a page that shows one; ``now`` is its present digest, None without a record."""
    if now is None:
        # A folder of activations without a record has no digest, neither then nor now.
        return "removed" if share.digest is not None or share.title is None else None
    if share.digest is None:
        return None
    return "same" if share.digest == now else "made again"
