"""Numbers, times, names and terms as text. In templates each function is a filter: ``{{ value | accuracy }}``."""

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from inspect import isfunction

from markupsafe import Markup

from prunescope.frontend import GLOSSARY
from prunescope.store.attributions.documents import Interval
from prunescope.text.pieces import drawn

MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
AGAINST_DENSE = f"pruned {MINUS} dense"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NOTHING = "\N{EN DASH}"
"""Shown in place of a missing number."""
_ROW = re.compile(r"^\| (?!---|word \| meaning)([^|]+) \| (.+) \|$", re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def activation(value: float | None) -> str:
    """An activation with four decimals, or in scientific notation if tiny: ``0.2112``, ``-1.3e-06``, ``124.5``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size and size < 0.0001:
        text = f"{size:.1e}"
    elif size >= 100:
        text = f"{size:.1f}"
    else:
        text = f"{size:.4f}"
    return f"{MINUS}{text}" if value < 0 else text


def signed(value: float | None) -> str:
    """An activation with its sign, also if positive: ``+0.0123``, ``-0.2028``, ``0.0000``."""
    text = activation(value)
    return f"+{text}" if value is not None and value > 0 else text


def decimal(value: float | None, places: int = 3) -> str:
    """A number with this many decimals."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):.{places}f}"
    return f"{MINUS}{text}" if value < 0 and float(text) else text


def signed_decimal(difference: float) -> str:
    """A difference with its sign and three decimals: ``+0.021``."""
    text = decimal(difference)
    return f"+{text}" if difference > 0 and float(text) else text


def percent(fraction: float | None, places: int = 0) -> str:
    """A share in percent: 0.47 -> ``47 %``."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return f"{decimal(100 * fraction, places)}{SPACE}%"


def share_of(part: float | None, whole: float) -> float:
    """``part / whole`` in percent with one decimal, the length of a bar."""
    return round(100 * (part or 0.0) / whole, 1) if whole else 0.0


def change(fraction: float | None) -> str:
    """A relative change with its sign: -0.96 -> ``-96 %``, 2.5 -> ``+250 %``; from ten-fold on as a factor: ``x12``."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    if fraction >= 9.995:
        return f"{TIMES}{count(round(fraction + 1))}"
    text = percent(fraction)
    return f"+{text}" if round(100 * fraction) > 0 else text


def lost(drop: float | None) -> str:
    """A drop (1 - pruned / dense) as a relative change: 0.96 -> ``-96 %``."""
    return change(None if drop is None else -drop)


def within(interval: Interval) -> str:
    """The 95 % interval of a drop as relative changes: ``-43 to -25 %``; empty if there is none."""
    if interval.low is None or interval.high is None:
        return ""
    return span(-interval.high, -interval.low)


def span(low: float, high: float) -> str:
    """A range of shares: ``-43 to -25 %``."""
    return f"{decimal(100 * low, 0)} to {decimal(100 * high, 0)}{SPACE}%"


def bar(part: float | None, whole: float = 1.0) -> int:
    """The length of a bar in percent of its full length: ``abs(part) / whole``, at most 100; 0 without a number."""
    return 0 if part is None or not whole else round(100 * min(1.0, abs(part) / whole))


def place(value: float, scale: float) -> float:
    """The position of a value on an axis from ``-scale`` to ``scale``, in percent of the axis's length."""
    return round(50 + 50 * value / scale, 2)


def about(expected: float) -> str:
    """An expected count, with one decimal below 100."""
    return decimal(expected, 1) if expected < 100 else count(round(expected))


def ratio(part: float, whole: float) -> str:
    """``part / whole`` as a factor: ``1.27 ×``; a dash if ``whole`` is 0."""
    return times(part / whole) if whole else NOTHING


def points(difference: float | None) -> str:
    """A difference of accuracies in percentage points: -0.201 -> ``-20.1``."""
    if difference is None:
        return NOTHING
    text = decimal(100 * difference, 1)
    return f"+{text}" if difference > 0 and text != "0.0" else text


def probability(p: float) -> str:
    """A p-value: ``0.032``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else decimal(p, 3)


def accuracy(value: float | None) -> str:
    """An accuracy in percent without the sign: 0.7504 -> ``75.0``."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def perplexity(value: float) -> str:
    """A perplexity with two decimals as in papers, from 1,000 on without: ``5.12``, ``13,482``, ``2.6e+17``."""
    if value >= 1e9:
        return f"{value:.1e}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def times(ratio: float) -> str:
    """A ratio as a factor: ``1.27 ×``, ``812 ×``."""
    return f"{ratio:.2f}{SPACE}×" if ratio < 100 else f"{perplexity(round(ratio)).removesuffix('.00')}{SPACE}×"


def multiple(nats: float) -> str:
    """A difference of losses (nats per token) as a ratio of perplexities: 0.223 -> ``1.25 ×``, 812.3 -> ``e^812 ×``."""
    return times(math.exp(nats)) if nats < 700 else f"e^{nats:.0f}{SPACE}×"


def count(value: int | None) -> str:
    """An integer with thousands separators: ``352,256``."""
    return NOTHING if value is None else f"{value:,}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 text``, ``2 texts``."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def size(count: int) -> str:
    """A number of bytes: ``812 bytes``, ``1.4 MB``, ``13.5 GB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """A duration: ``850 ms``, ``4.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{round(1000 * seconds)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds % 1 else f"{round(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """The time since ``moment``: ``just now``, ``12 minutes ago``, ``3 days ago``."""
    if moment is None:
        return ""
    past = (now or datetime.now(UTC)) - aware(moment)
    if past < timedelta(seconds=45):
        return "just now"
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        whole = int(past.total_seconds() // size)
        if whole:
            return f"{plural(whole, unit)} ago"
    return "a minute ago"


def timestamp(moment: datetime | None) -> str:
    """A time as ISO 8601 in UTC without fractions of a second, for ``<time datetime>``; empty for None."""
    return "" if moment is None else aware(moment).astimezone(UTC).isoformat(timespec="seconds")


def instant(moment: datetime) -> str:
    """A time as ISO 8601 in UTC with microseconds, equal to the value in JSON documents."""
    return aware(moment).astimezone(UTC).isoformat()


def clock(moment: datetime) -> str:
    """The time of day in UTC: ``09:04:00``."""
    return f"{aware(moment).astimezone(UTC):%H:%M:%S}"


def aware(moment: datetime) -> datetime:
    """``moment`` with the time zone UTC if it has none, as times from SQLite have."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def token_name(text: str) -> str:
    """A token in quotes, with newlines and tabs as visible marks: ``“ badly”``, ``“↵”``."""
    return f"“{drawn(text).replace(chr(10), '↵').replace(chr(9), '⇥')}”"


def harmless(text: str) -> str:
    """Escape the text of a CSV cell so that no spreadsheet evaluates it as a formula.

    >>> harmless("=1+1"), harmless("badly")
    ("'=1+1", 'badly')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@lru_cache(maxsize=1)
def glossary_sections() -> dict[str, dict[str, str]]:
    """Heading in `docs/glossary.md` -> its words with their definitions, as plain text. A row that names a word and its
    notation (``neuron `L15/N2194```) defines the word."""
    _, *parts = _HEADING.split(GLOSSARY.read_text(encoding="utf-8"))
    return {
        heading: {
            word.split(" `")[0]: _LINK.sub(r"\1", meaning).replace("`", "") for word, meaning in _ROW.findall(body)
        }
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


@lru_cache(maxsize=1)
def definitions() -> dict[str, str]:
    """Word -> definition, of all sections of the glossary."""
    return {word: meaning for words in glossary_sections().values() for word, meaning in words.items()}


def term(label: str, word: str | None = None) -> str:
    """``label`` as a button that shows the definition of ``word``, or of the label if the glossary has it; any
    other label is returned unchanged. Raises KeyError if ``word`` is not in the glossary."""
    meaning = definitions()[word] if word is not None else definitions().get(label)
    if meaning is None:
        return label
    return Markup('<button class="term" type="button" title="{}" data-term="{}">{}</button>').format(
        meaning, word or label, label
    )


FILTERS = {name: each for name, each in globals().items() if isfunction(each) and each.__module__ == __name__}
