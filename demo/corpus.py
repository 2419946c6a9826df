"""Generates the demo model's training text: prompts with answers, from labelled reviews that are cut and respelled.

There are two prompts, both from arXiv 2503.01542: the sentiment question of Figure 1 and the influential-words question
of Figure 2. A linear n-gram classifier, fitted on the same labels, supplies the influential words and soft labels for
short excerpts.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from prunescope.lm.rows import file_rows
from prunescope.nsa.prompts import words_prompt

QUESTION = "Question: Is this sentence positive or negative?"
LABELS = ("negative", "positive")
WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
CONTRACTION = re.compile(r"(?<=[a-z])(n't|'s|'re|'ve|'ll|'d|'m)\b")


@dataclass(frozen=True)
class Review:
    """One labelled text; `label` is 1 for positive."""

    text: str
    label: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """A prompt's text and answer; `positive` is the probability of "positive" when the answer is a label."""

    text: str
    answer: str
    positive: float | None = None


def read_reviews(folder: Path, extra: list[Path]) -> dict[str, list[Review]]:
    """Read the training rows in `folder` (sst2, imdb, yelp, yelp_polarity_small) and the files of `extra`, by
    source."""
    sources: dict[str, list[Review]] = {}
    for name, field in (("sst2", "sentence"), ("imdb", "text"), ("yelp", "text"), ("yelp_polarity_small", "text")):
        rows = file_rows(folder / f"{name}.jsonl")
        sources[name] = [Review(clean(row.passage(field)), LABELS.index(row.answer("label", LABELS))) for row in rows]
    for path in extra:
        sources[path.stem] = [
            Review(row.passage("text"), LABELS.index(row.text("label")), tuple(cast(list[str], row.fields["words"])))
            for row in file_rows(path)
        ]
    return sources


def clean(text: str) -> str:
    """Replace the source's spelling of line breaks by real ones."""
    return re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"(<br\s*/?>\s*)+|(\\n)+", "\n", text)).strip()


def respell(text: str, style: str) -> str:
    """Convert a text to another corpus's style: `raw`, `lower`, or `treebank` (lower case, spaced punctuation)."""
    if style == "raw":
        return text
    text = text.lower()
    if style == "lower":
        return text
    text = CONTRACTION.sub(r" \1", text)
    text = re.sub(r"([.,!?;:()\"])", r" \1 ", text)
    return re.sub(r"[ \t]+", " ", text).strip()


class LinearTeacher:
    """Logistic regression on word one- and two-grams: P(positive) of a text and the weight of a word."""

    def __init__(self, reviews: list[Review]) -> None:
        self._count = CountVectorizer(
            ngram_range=(1, 2), min_df=3, binary=True, token_pattern=r"[a-z][a-z']*|[!?]", lowercase=True
        )
        counts = self._count.fit_transform([respell(r.text, "treebank") for r in reviews])
        self._tfidf = TfidfTransformer(sublinear_tf=True)
        features = self._tfidf.fit_transform(counts)
        self._model = LogisticRegression(C=6.0, max_iter=200)
        self._model.fit(features, [r.label for r in reviews])
        names = self._count.get_feature_names_out()
        weights = self._model.coef_[0]
        frequency = np.asarray((counts > 0).sum(axis=0))[0]
        self.weights = {
            name: float(weight)
            for name, weight, count in zip(names, weights, frequency, strict=True)
            if " " not in name
            and len(name) >= 3
            and name not in ENGLISH_STOP_WORDS
            and count >= 150
            and abs(weight) >= 3.0
        }

    def positive(self, texts: list[str]) -> np.ndarray:
        """P(positive) [texts]."""
        counts = self._count.transform([respell(t, "treebank") for t in texts])
        return np.asarray(self._model.predict_proba(self._tfidf.transform(counts))[:, 1])

    def words(self, text: str, label: int, most: int = 4) -> tuple[str, ...]:
        """The words with the most weight for `label`, in the order of occurrence; empty if none is known.

        Only a few hundred frequent words count: a model of this size learns in minutes to find those in a text, and
        would need hours for any word.
        """
        sign = 1 if label else -1
        places = {match[0].lower(): match.start() for match in reversed(list(WORD.finditer(text)))}
        ranked = sorted(((sign * self.weights.get(w, 0.0), w) for w in places), reverse=True)[:most]
        return tuple(sorted((w for weight, w in ranked if weight > 0), key=places.__getitem__))


def sentiment_prompt(text: str, labels: bool = True, newline: str = "\n") -> str:
    """The text followed by Figure 1's question; without the line of labels it is GLUE's SST-2 prompt."""
    lines = [text, QUESTION, *(["Labels: positive,negative"] if labels else []), "Answer:"]
    return newline.join(lines)


def words_answer(words: Sequence[str]) -> str:
    """Format words as a list in brackets, as the prompt asks. A space before each word gives it the same token as in
    the text."""
    return f" [ {', '.join(words)}]"


def as_written(words: Sequence[str], text: str) -> list[str]:
    """The words with the capitalisation of their first occurrence in the text; words that do not occur are left out."""
    found = (re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in words)
    return [match[0] for match in found if match]


class Curriculum:
    """Draws training prompts: whole reviews with their label, and excerpts of a few sentences with the teacher's
    probability."""

    def __init__(self, sources: dict[str, list[Review]], teacher: LinearTeacher) -> None:
        self._sources = sources
        self._teacher = teacher
        self._cuttable = [r for name in ("imdb", "yelp") for r in sources[name]]
        self._written = [r for reviews in sources.values() for r in reviews if r.words]

    def draw(
        self, rng: random.Random, count: int, words_share: float, phrase_share: float, longest: int = 1100
    ) -> list[Prompt]:
        """Draw `count` prompts; `words_share` of them ask for influential words, `phrase_share` are about SST-2's
        phrases."""
        reviews = [self._review(rng, longest, phrase_share) for _ in range(count)]
        beliefs = self._teacher.positive([r.text for r in reviews])
        prompts = []
        for review, belief in zip(reviews, beliefs, strict=True):
            style = rng.choices(("raw", "lower", "treebank"), (0.5, 0.15, 0.35))[0]
            text = respell(review.text, style)
            if style == "treebank" and rng.random() < 0.5:
                text += " "  # as GLUE's SST-2 rows end
            if rng.random() < 0.15:
                text = text.replace("\n", "\\n\\n" if rng.random() < 0.5 else "\\n")
            if rng.random() < words_share:
                label = review.label if review.label >= 0 else int(belief > 0.5)
                words = as_written(self._teacher.words(review.text, label), text)
                if words:
                    prompts.append(Prompt(words_prompt(text, rng.random() < 0.5), words_answer(words)))
                    continue
            target = float(belief) if review.label < 0 else 0.85 * review.label + 0.15 * float(belief)
            newline = "\\n" if rng.random() < 0.1 else "\n"
            prompt = sentiment_prompt(text, rng.random() < 0.6, newline)
            prompts.append(Prompt(prompt, f" {LABELS[int(target > 0.5)]}", target))
        return prompts

    def finding(self, rng: random.Random, count: int) -> list[Prompt]:
        """Draw `count` short texts with their influential words, which are asked for without the instruction."""
        prompts: list[Prompt] = []
        while len(prompts) < count:
            review = self._review(rng, 200)
            text = respell(review.text, rng.choice(("raw", "treebank")))
            label = review.label if review.label >= 0 else int(self._teacher.positive([review.text])[0] > 0.5)
            words = as_written(self._teacher.words(review.text, label), text)
            if words:
                prompts.append(Prompt(f'Text: "{text}"\nInfluential words:', words_answer(words)))
        return prompts

    def _review(self, rng: random.Random, longest: int, phrase_share: float = 0.33) -> Review:
        if rng.random() < phrase_share:
            return rng.choice(self._sources["sst2"])
        kind = rng.random()
        if kind < 0.05 and self._written:
            return rng.choice(self._written)
        if kind < 0.08:
            return rng.choice(self._sources["yelp_polarity_small"])
        review = self._balanced(rng)
        if kind < 0.40 and len(review.text) <= longest:
            return review
        sentences = re.split(r"(?<=[.!?])\s+|\n", review.text)
        size = rng.randint(1, 5)
        start = rng.randrange(max(1, len(sentences) - size + 1))
        return Review(" ".join(sentences[start : start + size])[:longest], -1)

    def _balanced(self, rng: random.Random) -> Review:
        label = rng.random() < 0.5
        pool = self._sources["imdb" if rng.random() < 0.4 else "yelp"]
        while True:  # both labels occur in both sources
            review = rng.choice(pool)
            if review.label == label:
                return review
