"""The context of the list of share links."""

from dataclasses import dataclass

from prunescope.server.shares.documents import ShareDocument
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame


@dataclass(frozen=True)
class SharesPage:
    """The context of ``shares/list.html``."""

    frame: Frame
    document: Page[ShareDocument]
