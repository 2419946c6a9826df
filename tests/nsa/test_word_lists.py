"""Parsing lists of words in answers, in the formats of chat models; prose has none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.nsa.word_lists import is_finished, is_one_line, parse_answer

TEXT = "The awful food was bad, not good at all."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (" [bad,awful]", ("bad", "awful")),
        ("[bad, awful , not good]\n\nBelow is a text.", ("bad", "awful", "not good")),
        ("Here they are:\n[bad]", ("bad",)),
        ("bad, awful", ()),
        ("[bad, awful", ()),
        ("the text [sic] is [bad]", ()),
        ("[bad,,awful]", ()),
        ("Influential words: [bad, 'awful', \"not good\"]", ("bad", "awful", "not good")),
        ("['']", ("''",)),
        ("[]", ()),
        ("", ()),
        ("['don't', 'isn't']", ("don't", "isn't")),
        ('["not good, at all", "bad"]', ("not good, at all", "bad")),
        ("1. [awful]\n2. [bad]", ("awful",)),
    ],
)
def test_lists_in_brackets(answer: str, expected: tuple[str, ...]) -> None:
    assert parse_answer(answer) == expected


FORMS = """
**[awful, bad]**
`[awful, bad]`
- [awful, bad]
The words are: [awful, bad]
[awful,|bad]
[awful, bad,]
[“awful”, “bad”]
[«awful», «bad»]
[‘awful’, ‘bad’]
[„awful“, „bad“]
[*awful*, **bad**]
[awful; bad].
Sure! Here are the words: [awful, bad]
The influential words are [awful, bad].
[awful, and bad]
[[awful, bad]]
[[awful], [bad]]
[|  "awful",|  "bad",|]
[|- awful|- bad|]
words = ['awful', 'bad']
```json|["awful", "bad"]|```
{"words": ["awful", "bad"]}
In the form [word1,word2,...]: [awful, bad]
\\[awful, bad\\]
See [this](http://x): [awful, bad]
**Influential words:** [awful, bad]||They are [sad].
- awful|- bad
* awful|* bad
• awful|• bad
1. awful|2. bad
1) awful|2) bad
1.awful|2.bad
[1] awful|[2] bad
- [ ] awful|- [x] bad
- “awful”|- “bad”
a) awful|b) bad
1. **awful**|2. **bad**
* **awful**: very negative|* **bad**: negative too
- "awful" (negative)|- "bad" (negative)|- "
- awful - harsh|- bad - dull
- "awful" - This is a common expression that means "very bad" in English.|- "bad" - This is a word.
Here are the words:||- awful|- bad||These words express a negative sentiment.
**Negative words:**|- awful|- bad
- Negative words: awful, bad
* awful, bad
awful|bad
awful,|bad
Words:|awful|bad
```|awful|bad|```
The words are: awful, bad.
The words are: awful and bad
**Influential words:** awful, bad
Influential words:|awful, bad
The influential words are "awful" and "bad".
The influential words in it are "awful," and "bad."
The words “awful” and “bad” are the most influential.
<think>|The words are: [good], so bad.|</think>||[awful, bad]
It says so: [good]|</think>|- awful|- bad
<answer>[awful, bad]</answer>
1. awful 2. bad
(1) awful (2) bad
Word 1: awful|Word 2: bad
[word1: awful, word2: bad]
1. awful:|   - the food|2. bad:|   - not good
- Words:|  - awful|  - bad
`awful`, `bad`
«awful», «bad»
The words are: `awful`, `bad`.
"""  # noqa: RUF001 - quotation marks of many kinds are meant


@pytest.mark.parametrize("answer", FORMS.strip().split("\n"))
def test_usual_forms_of_a_list(answer: str) -> None:
    answer = answer.replace("|", "\n")
    assert parse_answer(answer) == ("awful", "bad")
    assert parse_answer(answer, TEXT) == ("awful", "bad")


@pytest.mark.parametrize(
    "answer",
    [
        "| Word | Why |\n|------|:---:|\n| awful | not good |\n| bad | dull |",
        "| # | Word |\n|---|---|\n| 1 | **awful** |\n| 2 | `bad` |",
        "(awful, bad)",
        "{awful, bad}",
        "[awful, bad",
        "word1: awful, word2: bad",
    ],
)
def test_forms_that_the_text_makes_a_list(answer: str) -> None:
    assert parse_answer(answer, TEXT) == ("awful", "bad")


PROSE = """
<think>|The words are: [awful, bad].
It is an awful text.
The sentiment is: negative
Note: the food was bad, but good
I think it is negative.
The food was awful, and it was bad.
Positive
Answer: negative
negative|
As an AI, I cannot do that.
The text says "the food was bad".
- The food was described as awful by the writer
See [this link](http://x)
1. The text is negative because the food was bad.|2. It has no good words at all.
Yes, it is bad
The text is organised as follows:||[word1,word2,...]|[word1,word2,...]
Words: I am not sure what you mean by that.
The text is bad [1]. See [2].
I am sorry.|I do not know.
[...]
"""


@pytest.mark.parametrize("answer", PROSE.strip().split("\n"))
def test_prose_lists_no_words(answer: str) -> None:
    answer = answer.replace("|", "\n")
    assert parse_answer(answer) == () == parse_answer(answer, TEXT)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("bad, awful", ("bad", "awful")),  # short parts, and words of the text among them
        ("bad, dull", ("bad", "dull")),
        ("Sadly, no", ()),
        ("[awful and bad]", ("awful", "bad")),
        ("[not good]", ("not good",)),
        ("Positive: [kind, nice]\nNegative: [awful, bad]", ("awful", "bad")),
        ("[kind, nice]", ("kind", "nice")),  # to be told what it named
        ("- Negative: awful, bad\n- Positive: good", ("awful", "bad", "good")),
    ],
)
def test_the_text_decides_between_readings(answer: str, expected: tuple[str, ...]) -> None:
    assert parse_answer(answer, TEXT) == expected


def test_a_list_that_is_thought_of_ends_nothing() -> None:
    assert not is_finished("<think>\nPerhaps [awful, bad]\nbut")
    assert is_finished("<think>\nPerhaps [awful]\n</think>\n[bad]")


@given(st.text(alphabet="ab[]()\"'“”*`-1.,:;\n \\{}", max_size=40))
def test_any_answer_is_read(answer: str) -> None:
    assert all(parse_answer(answer)) and all(parse_answer(answer, "a b"))
    assert is_finished(answer) in (True, False) and is_one_line(answer) in (True, False)


@pytest.mark.parametrize(
    ("answer", "finished"),
    [
        ("[awful, bad]", True),
        ("**[awful, bad]", True),
        ("[awful, bad", False),
        ("The form is [word1,word2,...]", False),
        ("- awful\n- bad", False),
        ("- awful\n- bad\n\nThese are negative.\n", True),
        ("Words:\n- awful\n", False),
        ("**Negative:**\n- awful\n\n**Positive:**\n", False),
    ],
)
def test_where_a_list_ends(answer: str, finished: bool) -> None:
    assert is_finished(answer) is finished


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (" [bad]\n", True),
        ("bad\n", True),
        ("\n\nbad", False),
        ("Words:\n", False),
        ("[bad,\n", False),
        ("- bad\n", False),
    ],
)
def test_where_a_plain_answer_ends(answer: str, ended: bool) -> None:
    assert is_one_line(answer) is ended


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        (
            'The text is a rhetorical question, and the answer is "too slim." The most relevant words to determining '
            'its sentiment are "slim" and "the story is just too slim."',
            "for starters , the story is just too slim .",
            ("slim",),
        ),
        (
            'The words that are most relevant to determining the sentiment of the text are:\n\n- "coughs and sputters"'
            '\n- "on its own conceit"\n- "coughs and sputters"\n- "coughs and',
            "coughs and sputters on its own conceit .",
            ("coughs and sputters", "on its own conceit"),
        ),
        (
            "The words that are most relevant are:\n\n- Smart: This is a highly relevant word.\n- Blisteringly: It "
            "conveys a strong sense.",
            "smart , provocative and blisteringly funny .",
            ("Smart", "Blisteringly"),
        ),
    ],
)
def test_real_answers_of_a_small_model(answer: str, text: str, expected: tuple[str, ...]) -> None:
    assert tuple(dict.fromkeys(parse_answer(answer, text)))[: len(expected)] == expected
