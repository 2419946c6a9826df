"""Parses the list of words in a model's answer, in the formats that chat models use.

    [awful, bad]        after a colon or at the start of a line; over several lines, in bold, backticks, quotes of any
                        kind, a code block, as JSON, with nested brackets
    - awful             one line per word, after a dash, star, dot or number; an explanation after it is dropped
    | awful | harsh |   a column of a table
    words: awful, bad   after a colon, in a line that mentions words
    awful               one line per word and nothing else

Anything else is treated as prose without a list. A reasoning model's thoughts (<think>) are ignored. Of several lists,
the first that contains words of the text in question is used, else the first.
"""

import json
import re
from collections.abc import Iterator, Sequence

from prunescope.text.words import WordIndex

MAX_BRACKETED = 4000
"""Maximum length of a list in brackets, in characters."""
MAX_PHRASE = 4
"""Maximum number of words in one item; longer items are sentences."""

_OPENING = "\"'`“”„‘’‚«»‹›「"  # noqa: RUF001 - quotation marks of many languages
_CLOSING = "\"'`“”‘’«»‹›」"  # noqa: RUF001
_MARKUP = "*_~#|"
_MARKS = f" {_MARKUP}{_OPENING}{_CLOSING}"
_SEPARATORS = ",;，；、،"  # noqa: RUF001 - commas of other scripts
_MARK = r"[-+*•‣◦▪·–—](?![-*])|\(?\d{1,2}[.)](?!\d)|\[\d{1,2}\]|\(?[a-z]\)"  # noqa: RUF001 - dashes are meant
_GAP = r"[ \t]+|(?<=[.)•])(?=[*_`\"'“‘«\w])"  # noqa: RUF001
_BULLET = re.compile(rf"^[ \t>]*(?:{_MARK})(?:{_GAP})(?:\[[ xX]?\][ \t]*)?", re.MULTILINE)
_THOUGHTS = re.compile(r"\A.*</think(?:ing)?>|<think(?:ing)?>.*", re.DOTALL)
_TAG = re.compile(r"</?(?:answer|output|response|result|words?|list)>", re.IGNORECASE)
_NUMBERED_WORD = re.compile(r"\bwords?[ _]?\d{1,2}[ \t]*[:=][ \t]*", re.IGNORECASE)
_NUMBER_ONE = re.compile(r"^[ \t]*\(?1[.)]")
_NEXT_NUMBER = re.compile(r"(?<=\S)[ \t]+(?=\(?(?:[2-9]|[1-9]\d)[.)][ \t]*[^\d\s])")
_RULE = re.compile(r"[-:| \t]*-{2}[-:| \t]*")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$", re.MULTILINE)
_NEXT_QUESTION = re.compile(r"\n\s*(?:Below is a text|Text:)")
_SPEAKS_OF_WORDS = re.compile(
    r"\b(?:(?:key)?words?|terms?|phrases?|lists?|influential|relevant|important|following|these|here)\b", re.IGNORECASE
)
_INTRODUCED = re.compile(r"(?:[:=：]|->|→)$")  # noqa: RUF001
_NOUN = re.compile(r"\b(?:(?:key)?words?|terms?|phrases?)$", re.IGNORECASE)
_VERB = re.compile(r"\b(?:are|is|include|includes|were)$")
_PLACEHOLDER = re.compile(r"\.{2,}|…|words?[ _]?[\dN]?", re.IGNORECASE)
_EXPLANATION = re.compile(r"\s*[:：]|\s+[-–—=→|]+>?\s|\s+\(")  # noqa: RUF001
_AND = re.compile(rf"\s*[{_SEPARATORS}]?\s+(?:and|or|&)\s+|\s*[{_SEPARATORS}]\s*", re.IGNORECASE)
_SPAN = re.compile(rf"(?:\*\*|__|[*`{_OPENING}])+(?P<inner>[^\n]+?)(?:\*\*|__|[*`{_CLOSING}])+(?!\w)")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_BETWEEN_SENTENCES = re.compile(rf"(?<=[.!?])\s+|(?<=[.!?][{_CLOSING}])\s+")


def parse_answer(answer: str, text: str = "") -> tuple[str, ...]:
    """Return the words listed in a model's answer; empty for prose. `text` is the text that the question was about.

    >>> parse_answer("**[awful, bad]**"), parse_answer("- awful\\n- bad"), parse_answer("It is an awful text.")
    (('awful', 'bad'), ('awful', 'bad'), ())
    """
    body = _plain(answer)
    candidates = [candidate for candidate in _candidate_lists(body) if candidate]
    if not text:
        return tuple(candidates[0]) if candidates else ()
    words = WordIndex(text)
    found = [[part for item in candidate for part in _of_text(item, words)] for candidate in candidates]
    for candidate in [*found, _between_commas(body)]:
        if any(item in words for item in candidate):
            return tuple(candidate)
    return tuple(found[0]) if found else ()


def is_finished(answer: str) -> bool:
    """Return whether the list in an unfinished answer is complete: its bracket is closed, or the bulleted lines are
    followed by a complete line that is not a part of the list."""
    answer = _THOUGHTS.sub("", answer)
    if next(_bracketed(answer), None) is not None:
        return True
    lines = [line for line in answer.split("\n")[:-1] if line.strip()]
    listed = [place for place, line in enumerate(lines) if _BULLET.match(line)]
    behind = lines[listed[-1] + 1 :] if listed else []
    return any(not _bare(line).endswith(":") and not line.startswith((" ", "\t")) for line in behind)


def is_one_line(answer: str) -> bool:
    """Return whether a partly generated answer is complete after its first line: the line has ended, is not an item of
    a list, and does not end with a colon or inside a bracket."""
    first, end, _ = answer.lstrip().partition("\n")
    opened = first.count("[") > first.count("]")
    return bool(end) and not opened and not _BULLET.match(first) and not first.strip().strip(_MARKS).endswith(":")


def _plain(answer: str) -> str:
    """Return the answer without thoughts, code fences and tags, and with "1. awful 2. bad" split into one line per
    item."""
    body = _TAG.sub(" ", _FENCE.sub("", _THOUGHTS.sub("", answer))).replace("\\[", "[").replace("\\]", "]")
    lines = _NUMBERED_WORD.sub("", body).split("\n")
    return "\n".join(_NEXT_NUMBER.sub("\n", line) if _NUMBER_ONE.match(line) else line for line in lines)


def _candidate_lists(whole: str) -> Iterator[list[str]]:
    """Yield all lists that can be parsed from the answer, the most certain first; some may be empty."""
    yield from _bracketed(whole)
    body = _NEXT_QUESTION.split(whole)[0]
    yield from _bulleted(body)
    yield from _columns(body)
    lines = [line for line in body.split("\n") if line.strip() and "[" not in line]
    yield _a_line_each(lines)
    yield from _introduced(lines)
    quoted = _quoted_items(lines[0]) if lines else []
    yield quoted if len(quoted) > 1 else []


def _between_commas(whole: str) -> list[str]:
    """Return the comma-separated parts of the first line. The line may be prose, so the caller uses the list only if it
    contains words of the text."""
    items = _items_of(whole.strip().partition("\n")[0].strip("(){}["))
    return items if len(items) > 1 and all(_word_count(item) <= 2 for item in items) else []


def _bracketed(body: str) -> Iterator[list[str]]:
    """Yield the lists in brackets that are at the start of a line or introduced by its text."""
    place = 0
    while (place := body.find("[", place)) >= 0:
        end = _closing(body, place)
        if end is None:
            place += 1
            continue
        before = body[body.rfind("\n", 0, place) + 1 : place]
        items = _split(body[place + 1 : end])
        start = _BULLET.sub("", before).strip().strip(_MARKS)
        introduced = not start or _INTRODUCED.search(start) or (len(items) > 1 and _VERB.search(start))
        if introduced and body[end + 1 : end + 2] != "(" and _is_list(items):
            yield items
        place = end + 1


def _closing(body: str, start: int) -> int | None:
    """Return the position of the bracket that closes the bracket at `start`; None if there is none within MAX_BRACKETED
    characters."""
    depth = 0
    for place in range(start, min(len(body), start + MAX_BRACKETED)):
        depth += {"[": 1, "]": -1}.get(body[place], 0)
        if depth == 0:
            return place
    return None


def _is_list(items: Sequence[str]) -> bool:
    """Return whether the items in brackets are a list of words: not empty, placeholders, numbers or check marks
    only."""
    filled = [item for item in items if not _PLACEHOLDER.fullmatch(item)]
    return bool(filled) and all(items) and not all(item.isdigit() or item in "xX" for item in filled)


def _bulleted(body: str) -> Iterator[list[str]]:
    """Yield candidate lists from bulleted lines: the texts before explanations and the texts after them. If a line
    begins with a heading, such as "Positive words: great, fun", the texts after the headings come first.

    >>> list(_bulleted("- great: praise\\n- fun (joy)\\n  - a nested bullet"))[:2]
    [['great', 'fun'], ['praise', 'joy)']]

    The first two lists are from the outer bullets, because nested bullets are usually explanations; they are empty if
    an outer bullet is only a heading. The last two lists are from all bullets.
    """
    found = [(match, line[match.end() :]) for line in body.split("\n") if (match := _BULLET.match(line))]
    indents = [len(match.group()) - len(match.group().lstrip()) for match, _ in found]
    outer = [place for place, indent in enumerate(indents) if indent <= indents[0] + 1]
    if any(_bare(found[place][1]).endswith(":") and _SPEAKS_OF_WORDS.search(found[place][1]) for place in outer):
        outer = []
    for contents in ([found[place][1] for place in outer], [content for _, content in found]):
        parts = [_head_and_rest(content) for content in contents if content.strip()]
        heads = [item for head, _ in parts for item in _short(_items_of(head))]
        rests = [item for _, rest in parts if rest for item in _short(_items_of(rest))]
        if any(_SPEAKS_OF_WORDS.search(head) for head, rest in parts if rest):
            heads, rests = rests, heads
        yield heads
        yield rests


def _columns(body: str) -> Iterator[list[str]]:
    """Yield the columns of a table with a rule below its header, without cells that are numbers."""
    lines = [line.strip() for line in body.split("\n")]
    rule = next((place for place, line in enumerate(lines) if line[:1] == "|" and _RULE.fullmatch(line)), len(lines))
    rows = [line.strip("|").split("|") for line in lines[rule + 1 :] if line[:1] == "|"]
    for column in zip(*rows, strict=False):
        yield _short([item for cell in column if not (item := _bare(cell)).isdigit()])


def _head_and_rest(content: str) -> tuple[str, str]:
    """Split a line at its first separator (a colon, a dash, the end of quotes or bold type) into the text before and
    after the separator: a word and its explanation, or a heading and its words. Without a separator, the second part is
    empty."""
    marked = _SPAN.match(content)
    rest = content[marked.end() :].strip() if marked else ""
    if marked and rest and rest[0] not in _SEPARATORS and not _AND.match(f" {rest}"):
        return marked["inner"].rstrip(":"), rest.lstrip(":-–— ")  # noqa: RUF001
    cut = _EXPLANATION.search(content)
    return (content[: cut.start()], content[cut.end() :]) if cut else (content, "")


def _introduced(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words after a colon, or in quotes, in a line that mentions words."""
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        head, colon, tail = line.partition(":")
        if colon and _SPEAKS_OF_WORDS.search(head):
            tail = tail if _bare(tail) else following
            sentence = _SENTENCE_END.split(tail, maxsplit=1)[0]
            items = _items_of(sentence)
            if (
                items
                and all(_word_count(item) <= 3 for item in items)
                and (len(items) > 1 or _word_count(items[0]) <= 2)
            ):
                yield items
        for sentence in _BETWEEN_SENTENCES.split(line):
            spans = list(_SPAN.finditer(sentence))
            start = sentence[: spans[0].start()].strip() if spans else ""
            if _NOUN.search(start) or (_SPEAKS_OF_WORDS.search(start) and _VERB.search(start)):
                yield _short([_without_stop(_bare(span["inner"])) for span in spans])


def _a_line_each(lines: Sequence[str]) -> list[str]:
    """Return the lines, without a heading, if each is a single word (two words below a heading); else an empty list."""
    heading = bool(lines) and _bare(lines[0]).endswith(":")
    items = [_bare(line).rstrip(".,;") for line in lines[heading:]]
    alone = all(0 < _word_count(item) <= (2 if heading else 1) for item in items)
    return items if alone and len(items) > 1 else []


def _items_of(line: str) -> list[str]:
    """Return the parts of a line that are separated by commas or "and"."""
    quoted = _quoted_items(line)
    return quoted if quoted else [item for part in _AND.split(_bare(line)) if (item := _bare(part).rstrip(".,;!?"))]


def _quoted_items(line: str) -> list[str]:
    """Return the items of a line that consists of quoted items only, else an empty list."""
    spans = list(_SPAN.finditer(line))
    between = _SPAN.sub("", line)
    plain = re.fullmatch(rf"(?:[{_SEPARATORS}.\s{{}}()]|\band\b|\bor\b|&)*", between)
    return [_without_stop(_bare(span["inner"])) for span in spans] if spans and plain else []


def _split(content: str) -> list[str]:
    """Return the items of a list in brackets; between two adjacent commas there is an empty item."""
    try:
        loaded = json.loads(f"[{content}]")
    except (ValueError, RecursionError):
        loaded = None
    if loaded and all(isinstance(item, str) and item.strip() for item in loaded):
        return [item.strip() for item in loaded]
    flat = _BULLET.sub("", content.replace("[", "").replace("]", "").strip())
    flat = re.sub(rf"([{_SEPARATORS}])\s*\n\s*", r"\1 ", flat)
    items, start = [], 0
    flat = flat.replace("\n", ",") + ","
    for place in _outside_quotes(flat):
        items.append(_unquoted(flat[start:place]))
        start = place + 1
    while items and not items[-1]:
        items.pop()
    return items


def _outside_quotes(content: str) -> Iterator[int]:
    """Yield the positions of separators outside quotes. A quote opens at the start of an item and closes at its end."""
    start = place = 0
    while place < len(content):
        if content[place] in _SEPARATORS:
            yield place
            start = place = place + 1
            continue
        if content[place] in _OPENING and not content[start:place].strip():
            closed = re.compile(rf"[{_CLOSING}]\s*(?=[{_SEPARATORS}])").search(content, place + 1)
            opened = content[place]
            pair = closed and (content[closed.start()] == opened or opened not in "\"'`")
            place = closed.end() if closed and pair else place + 1
            continue
        place += 1


def _unquoted(item: str) -> str:
    """Return an item without the marks around it and without a leading "and" or "or"."""
    return re.sub(r"^(?:and|or)\s+", "", _bare(item), flags=re.IGNORECASE)


def _bare(item: str) -> str:
    """Return an item without the marks around it; unchanged if it consists of marks only."""
    item = item.strip()
    return item.strip(_MARKS) or item


def _without_stop(item: str) -> str:
    """Return a quoted item without a comma or full stop inside the quotes, as in American English."""
    return item.rstrip(".,;!?") or item


def _short(items: Sequence[str]) -> list[str]:
    """Return the items that may be words: not sentences, placeholders, or marks only."""
    filled = [item for item in items if item.strip(_MARKS) and not _PLACEHOLDER.fullmatch(item)]
    return [item for item in filled if _word_count(item) <= MAX_PHRASE]


def _word_count(item: str) -> int:
    return len(item.split())


def _of_text(item: str, words: WordIndex) -> list[str]:
    """Return the item in a list. If the text contains a part of the item (split at each "and") but not the whole item,
    return all parts instead."""
    parts = [part for part in _AND.split(item) if part]
    found = item not in words and any(part in words for part in parts)
    return parts if found else [item]
