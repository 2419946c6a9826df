"""The steps of an explanation and what they have found so far; `explain.py` calls them in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from prunescope.lm.errors import BadInput
from prunescope.lm.loading import LanguageModel
from prunescope.lm.passages import longest_branched, windows
from prunescope.lm.positions import length_switches
from prunescope.nsa.errors import NoInfluentialWords, TextsTooLong
from prunescope.nsa.explain import accounting, rankings, shares, words
from prunescope.nsa.explain.curves import HeldOut, Restored, band
from prunescope.nsa.explain.layout import Layout
from prunescope.nsa.explain.outcome import Labels, NeuronWord, Options, Outcome, Whole
from prunescope.nsa.explain.rows import Row, halves, is_right, margins
from prunescope.nsa.explain.running import Chosen, Subject
from prunescope.nsa.explain.sites import HEADS, NEURONS, Sites, sites_of
from prunescope.nsa.explain.spools import Open, Recorded
from prunescope.nsa.preparation import Options as AttributionOptions
from prunescope.nsa.preparation import Report, prepare
from prunescope.nsa.texts import Text

TextsOf = Callable[[Sequence[int]], list[Text]]
"""The texts of rows by their index in the task's file or split."""

BEHIND = 50
"""Neurons behind the loss whose words are found."""

MIN_ROWS = 2
"""Rows that rank and rows that are measured, at least."""

REVERSED = 3
"""Number of counts, the greatest, at which pruned activations are put into the dense model."""

Curve = list[tuple[int, Restored]]


@dataclass
class Work:
    """An explanation in progress. `recorded`, `scores` and `margins` are by model, "dense" and "pruned"."""

    rows: Sequence[Row]
    layout: Layout
    sites: Sites
    options: Options
    open_spool: Open
    report: Report
    notes: list[str] = field(default_factory=list)
    recorded: dict[str, Recorded] = field(default_factory=dict)
    scores: dict[str, list[list[float]]] = field(default_factory=dict)
    margins: dict[str, Float[np.ndarray, " rows"]] = field(default_factory=dict)
    orders: dict[str, rankings.Order] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    reversed: dict[str, Curve] = field(default_factory=dict)
    words: dict[tuple[int, int], list[NeuronWord]] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, lm: LanguageModel, rows: Sequence[Row], options: Options, open_spool: Open, report: Report
    ) -> "Work":
        """Lay out the rows for the dense model."""
        special = set() if lm.tokenizer is None else set(lm.tokenizer.all_special_ids)
        layout = Layout(
            rows,
            longest=longest_branched(lm.model),
            switches=length_switches(lm.model),
            window=min(windows(lm.model), default=None),
            special=special,
            sinks=options.sinks,
        )
        sites = sites_of(lm.model, options.heads)
        work = cls(rows, layout, sites, options, open_spool, report)
        if sites.without_heads:
            work.notes.append(f"Attention heads are left out: {sites.without_heads}.")
        return work

    @property
    def shape(self) -> tuple[int, int]:
        """(layers, neurons of a layer)."""
        return self.sites.layers, self.sites.widths[NEURONS]

    @property
    def fixed_labels(self) -> int:
        """The number of labels of a task whose choices are the same in every row, else 0."""
        return len(self.rows[0].choices) if self.rows[0].label is not None else 0

    def subject(self, lm: LanguageModel) -> Subject:
        """The model as the subject of passes over the rows."""
        kinds = sites_of(lm.model, HEADS in self.sites.kinds)
        return Subject(lm.model, kinds, self.layout, lm.reference)

    def record(self, name: str, lm: LanguageModel) -> None:
        """Record the activations and scores of all rows."""
        self.recorded[name] = Recorded(self.open_spool, name, self.sites, self.layout.tokens, lm.model.dtype)
        every = range(len(self.rows))
        found = self.subject(lm).record(self.recorded[name], every, self._step(f"record {name}"))
        self.scores[name] = [found[number] for number in every]
        self.margins[name] = margins(self.rows, self.scores[name])

    def split(self) -> None:
        """Deal the rows to halves. Raises BadInput if too few rows rank the neurons or are measured."""
        dense, pruned = (is_right(self.rows, self.scores[name]) for name in ("dense", "pruned"))
        has_answers = len(self.rows[0].choices) > 1
        self.broken, self.mended = dense & ~pruned, pruned & ~dense
        self.fell = self.margins["pruned"] < self.margins["dense"]
        self.halves = halves(self.rows, self.broken, self.fell, self.options.seed)
        of = {"broken": self.broken, "fell": self.fell, "all": np.ones(len(self.rows), dtype=bool)}
        training, held_out = self.halves.training, self.halves.held_out
        self.measured = held_out[of[self.options.rows][held_out]]
        self.ranked = training if self.options.rows == "all" else training[self.fell[training]]
        self._check_enough(has_answers)
        self.held = HeldOut(
            self.margins["dense"][held_out],
            self.margins["pruned"][held_out],
            dense[held_out],
            pruned[held_out],
            np.isin(held_out, self.measured),
            has_answers,
            self.options.seed,
        )

    def _check_enough(self, has_answers: bool) -> None:
        lost = self.margins["dense"] - self.margins["pruned"]
        kind, count = self.options.rows, len(self.rows)
        found = {"broken": int(self.broken.sum()), "fell": int(self.fell.sum()), "all": count}
        unit = "rows" if has_answers else "windows"
        what = {"broken": f"pruning broke {found['broken']} of {count} rows", "all": f"there are {count} {unit}"}
        said = what.get(kind, f"the margin fell in {found['fell']} of {count} {unit}")
        if len(self.measured) < MIN_ROWS or len(self.ranked) < MIN_ROWS:
            wider = "; or measure every row whose margin fell (rows: fell)" if kind == "broken" else ""
            raise BadInput(
                f"{said}, and the margin fell in {found['fell']}; each half needs {MIN_ROWS} such rows: take more "
                f"{unit} (limit){wider}"
            )
        for name, some in (("ranking", self.ranked), ("held-out", self.measured)):
            if lost[some].sum() <= 0:
                raise BadInput(
                    f"pruning did not lower the margin of the {len(some)} {name} {unit} (mean {lost[some].mean():+.3f} "
                    f"nats lost), so there is no loss to explain: take more {unit} (limit), or rows: fell"
                )

    def rank(self, lm: LanguageModel) -> None:
        """Effects of the training rows in the pruned model, and the orders by them."""
        lost = (self.margins["dense"] - self.margins["pruned"])[self.ranked]
        weights = np.zeros((1 + self.fixed_labels, len(self.rows)))
        weights[0, self.ranked] = 1 / lost.sum()
        for label in range(self.fixed_labels):
            own = [number for number in self.halves.training if self.rows[number].label == label]
            weights[1 + label, own] = 1 / (max(1, len(own)) * lost.mean())
        found = shares.effects(
            self.subject(lm), self.recorded["dense"], self.recorded["pruned"], weights, self._step("margin shares")
        )
        by_kind = found.by_kind
        self.share, self.change = by_kind[NEURONS][0], found.change
        self.head_share = self.sites.by_head(by_kind[HEADS][0]) if HEADS in by_kind else np.zeros((self.shape[0], 0))
        self.labels, self.prior_and_content = self._label_shares(by_kind[NEURONS][1:], weights[1:])
        if self.options.content and self.prior_and_content is None:
            why = "a label has no training row" if self.fixed_labels else "its choices differ from row to row"
            raise BadInput(f"content: the shift towards one label cannot be removed, because {why}; leave content out")
        by = self.prior_and_content.content if self.options.content and self.prior_and_content else self.share
        self.orders = {
            rankings.MARGIN: rankings.ranked(by),
            rankings.CHANGE: rankings.ranked(found.change),
            rankings.ACTIVATION: rankings.ranked(found.activation),
        }

    def _label_shares(
        self, by_label: Float[np.ndarray, "labels layers neurons"], weights: Float[np.ndarray, "labels rows"]
    ) -> tuple[Labels | None, shares.Parts | None]:
        if not self.fixed_labels:
            return None, None
        said = [
            np.bincount([int(np.argmax(own)) for own in self.scores[name]], minlength=self.fixed_labels)
            for name in ("dense", "pruned")
        ]
        fallen = int(np.argmax(said[0] - said[1]))
        if not (weights > 0).any(1).all():
            self.notes.append("A label has no training row: prior and content are left out.")
            return Labels(fallen, None, None), None
        parts = shares.prior_and_content(by_label, fallen)
        return Labels(fallen, float(parts.prior.sum()), float(parts.content.sum())), parts

    def measure(self, lm: LanguageModel) -> None:
        """Integrated shares, what all neurons and heads restore, and the curves of the orders so far."""
        subject = self.subject(lm)
        sets = {NEURONS: [NEURONS]}
        if HEADS in self.sites.kinds:
            sets |= {HEADS: [HEADS], "both": [NEURONS, HEADS]}
        lost = self.held.lost
        integrated: dict[str, float] = {}
        for name, kinds in sets.items():
            found = accounting.integrated(
                subject,
                self.recorded["dense"],
                self.recorded["pruned"],
                kinds,
                self.measured.tolist(),
                self.options.steps,
                self._step(f"integrated gradients, {name}"),
            )
            integrated[name] = float(sum(total.sum() for total in found.values()) / lost)
            if name == NEURONS:
                self.integrated = found[NEURONS] / lost
            if name == HEADS:
                self.head_integrated = self.sites.by_head(found[HEADS]) / lost
        if HEADS not in sets:
            self.head_integrated = np.zeros((self.shape[0], 0))
        restored: dict[str, Restored] = {}
        for name, kinds in sets.items():
            every: Chosen = {place: None for place in self.sites.modules if place[0] in kinds}
            scores = self._patched(subject, "dense", every, f"restore all {name}")
            restored[name] = self._restored(scores)
            if name == NEURONS:
                self.patched = scores
        self.whole = Whole(restored, integrated)
        for name, order in self.orders.items():
            self.curves[name] = self._curve(subject, name, order)
        self.curves[rankings.RANDOM] = [
            (count, band([self._restored(self._patched(subject, "dense", some, said)) for some, said in draws]))
            for count, draws in self._draws(self._counts())
        ] + [(self._neurons, restored[NEURONS])]

    def measure_words(self, lm: LanguageModel) -> None:
        """The curves of the rankings by words."""
        subject = self.subject(lm)
        for name in (rankings.SCORE, rankings.DROP):
            self.curves[name] = self._curve(subject, name, self.orders[name])

    def _curve(self, subject: Subject, name: str, order: rankings.Order) -> Curve:
        found = []
        for count in self._counts():
            some = rankings.chosen(order[:count], self.shape[1])
            found.append((count, self._restored(self._patched(subject, "dense", some, f"restore {count} by {name}"))))
        return [*found, (self._neurons, self.whole.restored[NEURONS])]

    def reverse(self, lm: LanguageModel) -> None:
        """Put pruned activations into the dense model."""
        subject = self.subject(lm)

        def lost(some: Chosen, said: str) -> Restored:
            scores = self._patched(subject, "pruned", some, said)
            return self.held.lost_under(margins(self._held_rows, scores))

        every: Chosen = {(NEURONS, layer): None for layer in range(self.shape[0])}
        counts = self._counts()[-REVERSED:]
        order = self.orders[rankings.MARGIN]
        self.reversed = {
            "all": [(self._neurons, lost(every, "damage all neurons"))],
            rankings.MARGIN: [
                (count, lost(rankings.chosen(order[:count], self.shape[1]), f"damage {count} by margin"))
                for count in counts
            ],
            rankings.RANDOM: [
                (count, band([lost(some, said.replace("restore", "damage")) for some, said in draws]))
                for count, draws in self._draws(counts)
            ],
        }

    def find_words(self, lm: LanguageModel, texts_of: TextsOf, labelled: bool) -> None:
        """The words of the neurons behind the loss and, with `labelled`, the orders by Score and by drop on the own
        word, from the words of the training rows by gradient."""
        assert lm.tokenizer is not None
        training = self.halves.training
        texts = dict(zip(training.tolist(), texts_of([self.rows[number].index for number in training]), strict=True))
        dense, pruned = self.recorded["dense"], self.recorded["pruned"]
        behind = self.orders[rankings.MARGIN][:BEHIND]
        named = [(int(place) // self.shape[1], int(place) % self.shape[1]) for place in behind]
        self.words = words.words_of_neurons(lm.tokenizer, self.layout, texts, named, dense, pruned)
        if not labelled:
            self.notes.append(
                "The task has no label after a text: its influential words, and with them the rankings score and drop, "
                "are left out."
            )
            return
        # Without trailing spaces, as the prompt before a choice is tokenised.
        plain = [replace(text, after=text.after.rstrip()) for text in texts.values()]
        try:
            prepared = prepare(lm, plain, AttributionOptions(source="gradient", permutations=0), self.report)
        except (NoInfluentialWords, TextsTooLong) as error:
            self.notes.append(f"The rankings score and drop are left out: {error}.")
            return
        examples, places = [], []
        for example in prepared.examples:
            at = words.stored_places(self.layout, int(training[example.index]), example.token_ids)
            if at is not None and (at >= 0).all():
                examples.append(example)
                places.append(at)
        if not any(any(example.influential) for example in examples):
            self.notes.append("The rankings score and drop are left out: every text with influential words was cut.")
            return
        found = words.scored(examples, places, dense, pruned, self.shape)
        self.orders |= {rankings.SCORE: rankings.ranked(found.score), rankings.DROP: rankings.ranked(found.drop)}

    def outcome(self) -> Outcome:
        """Everything that was found."""
        parts = self.prior_and_content
        return Outcome(
            rows=self.rows,
            halves=self.halves,
            ranked=self.ranked,
            measured=self.measured,
            broken=np.flatnonzero(self.broken),
            mended=int(self.mended.sum()),
            fell=int(self.fell.sum()),
            margins=self.margins,
            scores=self.scores,
            patched=self.patched,
            whole=self.whole,
            curves=self.curves,
            reverse=self.reversed,
            share=self.share,
            integrated=self.integrated,
            prior=parts.prior if parts else None,
            content=parts.content if parts else None,
            change=self.change,
            rank=rankings.ranks(self.orders[rankings.MARGIN], self.shape),
            head_share=self.head_share,
            head_integrated=self.head_integrated,
            labels=self.labels,
            words=self.words,
            notes=self.notes,
        )

    @property
    def _neurons(self) -> int:
        """The number of all neurons."""
        return self.shape[0] * self.shape[1]

    @property
    def _held_rows(self) -> list[Row]:
        return [self.rows[number] for number in self.halves.held_out]

    def _counts(self) -> list[int]:
        return rankings.counts_of(self.options.neurons, self._neurons)

    def _draws(self, counts: Sequence[int]) -> list[tuple[int, list[tuple[Chosen, str]]]]:
        """For each count, random neurons in the layers of the best by margin share, and what the pass is called."""
        order, width = self.orders[rankings.MARGIN], self.shape[1]
        found = []
        for count in counts:
            draws = []
            for draw in range(self.options.draws):
                rng = np.random.default_rng([self.options.seed, count, draw])
                some = rankings.chosen(rankings.drawn(order[:count], width, rng), width)
                draws.append((some, f"restore {count} random neurons, draw {draw + 1} of {self.options.draws}"))
            found.append((count, draws))
        return found

    def _patched(self, subject: Subject, source: str, some: Chosen, said: str) -> list[list[float]]:
        """The scores of the held-out rows with activations of `source` put into the subject."""
        rows = self.halves.held_out.tolist()
        found = subject.patched(self.recorded[source], some, rows, self._step(said))
        return [found[number] for number in rows]

    def _restored(self, scores: Sequence[Sequence[float]]) -> Restored:
        return self.held.restored(margins(self._held_rows, scores), is_right(self._held_rows, scores))

    def _step(self, stage: str) -> Callable[[int, int], None]:
        def step(done: int, total: int) -> None:
            self.report(stage, done, total, "rows")

        return step
