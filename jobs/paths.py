"""Expands `~` in paths. Every setting, option and file name is expanded here."""

import os
from pathlib import Path


class BadPath(ValueError):
    """Raised for a text that cannot be used as a path. The message is one line with the text and the reason."""


def expanded(text: str | Path) -> Path:
    """`text` as a path, with a leading `~` or `~user` replaced by that user's home.

    Raises BadPath if `text` is empty, contains a null byte or is not UTF-8, or if the user does not exist.
    """
    name = str(text)
    if not name:
        raise BadPath("the path is empty")
    if "\0" in name:
        raise BadPath(f"{name!r} holds a null byte")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise BadPath(f"{name!r} is not UTF-8") from None
    first, *rest = Path(name).parts or (".",)
    if not name.startswith("~"):
        return Path(name)
    home = os.path.expanduser(first)  # noqa: PTH111 - Path.expanduser accepts a relative HOME
    # expanduser returns / for an empty HOME.
    if not Path(home).is_absolute() or (first == "~" and os.environ.get("HOME") == ""):
        raise BadPath(f"{name!r}: {_unknown_home(first)}; write the whole path")
    return Path(home, *rest)


def expanded_address(address: str) -> str:
    """An fsspec address with `~` expanded if it is a local path; a remote address is returned unchanged. Raises BadPath
    as `expanded` does."""
    scheme, separator, rest = address.rpartition("://")
    if scheme in ("", "file", "local"):
        return f"{scheme}{separator}{expanded(rest)}"
    return address


def _unknown_home(first: str) -> str:
    if first != "~":
        return f"there is no user {first[1:]!r}"
    return "HOME is not set to an absolute path, and this user has no home"
