"""Lines on the terminal about single texts of an attribution."""

from prunescope.cli.text_lines import MAX_LINES, text_lines

NOTHING = {"plain_question": None, "found": [], "left_out": [], "without_words": [], "dropped": []}


def test_nothing_to_say() -> None:
    assert list(text_lines(NOTHING)) == []


def test_texts_are_named_by_number_start_and_reason() -> None:
    summary = {
        "plain_question": "it gives nothing",
        "found": [
            {"text": 0, "source": "cot", "words": [{"word": "so bad", "probability": 0.0123}, {"word": "x"}]},
            {"text": 2, "source": "occlusion", "words": [{"word": "bad", "effect": -0.5}]},
            {"text": 3, "source": "manual", "words": [{"word": "bad"}]},
        ],
        "left_out": [{"text": 1, "reason": "210 tokens, more than 128", "start": "bad \x1bword…"}],
        "without_words": [{"text": 2, "reason": "no influential word", "start": "so"}],
        "dropped": [{"text": 0, "word": "dull"}, {"text": 3, "word": "x"}, {"text": 0, "word": "kind"}],
    }
    assert list(text_lines(summary)) == [
        "asked the plain question: the chat template was not used (it gives nothing)",
        "text 1 (cot): so bad 1.2%, x",
        "text 3 (occlusion): bad -0.50 nats",
        "text 2 “bad  word…” left out: 210 tokens, more than 128",
        "text 3 “so” has no influential word",
        "text 1: named but not in the text: “dull”, “kind”",
        "text 4: named but not in the text: “x”",
    ]


def test_many_texts_are_counted() -> None:
    left_out = [{"text": place, "reason": "long", "start": "a"} for place in range(MAX_LINES + 5)]
    lines = list(text_lines({**NOTHING, "left_out": left_out}))
    assert len(lines) == MAX_LINES + 1 and lines[-1] == "... and 5 more"
