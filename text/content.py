"""Tells content words from function words, numbers and punctuation.

The rule is for English: a word (`text/words.py`) is a content word if it is not a number and not in FUNCTION_WORDS.
Emoji and words of other languages are content words, unless they are spelled like an English function word.
"""

from prunescope.text.words import WordIndex, fold

_ARTICLES = "a an the"
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves one ones who whom whose which what that this these those "
    "there here"
)
_PREPOSITIONS = (
    "about above across after against along among around as at before behind below beneath beside between beyond by "
    "down during for from in into like near of off on onto out over per since through throughout to toward towards "
    "under until up upon via with within"
)
_CONJUNCTIONS = "and or so than then if when while where because how why whether also too just"
_AUXILIARIES = (
    "am is are was were be been being do does did done doing have has had having will would shall should can could "
    "may might must i'm you're he's she's it's we're they're i've you've we've they've i'll you'll he'll she'll it'll "
    "we'll they'll i'd you'd he'd she'd we'd they'd that's there's what's who's let's"
)
_PIECES = "s t d ll m re ve"  # parts of contractions in texts that were split into tokens: "it ' s"

FUNCTION_WORDS = frozenset(
    fold(word)
    for words in (_ARTICLES, _PRONOUNS, _PREPOSITIONS, _CONJUNCTIONS, _AUXILIARIES, _PIECES)
    for word in words.split()
)
"""English articles, pronouns, prepositions, conjunctions and auxiliary verbs, folded. Words that negate, contrast or
grade (not, no, never, but, without, very, more) are missing on purpose, because they change what a text says."""


def is_content(phrase: str) -> bool:
    """Whether the first and the last word of a word or phrase are content words.

    >>> is_content("terrible"), is_content("waste of time"), is_content("of the"), is_content("the room")
    (True, True, False, False)
    >>> is_content("not"), is_content("1999"), is_content("!")
    (True, False, False)
    """
    words = [phrase[start:end] for start, end in WordIndex(phrase).words()]
    return bool(words) and all(map(_is_content_word, (words[0], words[-1])))


def _is_content_word(word: str) -> bool:
    number = any(map(str.isalnum, word)) and not any(map(str.isalpha, word))
    return not number and fold(word) not in FUNCTION_WORDS
