"""python -m tests.nsa.corpus.corpus_peak TOKENS: the most anonymous memory, in bytes, of reading a corpus, and its
tokens."""

import sys
from dataclasses import replace

from benchmarks.memory import Peak, resident
from prunescope.nsa.corpus.reading import CorpusOptions, read_corpus
from prunescope.nsa.corpus.stream import ModelStatistics
from prunescope.nsa.corpus.writes import Written
from tests.nsa.attribution_peak import wide

TEXTS = ["the room was small and the food was bad but the staff were kind, " * 20] * 400
OPTIONS = CorpusOptions(examples=3, writes=False)


class Nowhere:
    """An archive that keeps nothing."""

    def window(self, text: int, tokens: object) -> None:
        pass

    def vocabulary(self, texts: object) -> None:
        pass

    def model(self, number: int, statistics: ModelStatistics, written: Written | None) -> None:
        pass


def main(tokens: int) -> None:
    read_corpus([wide], TEXTS, replace(OPTIONS, tokens=1000), Nowhere())  # type: ignore[arg-type]  # everything is warm
    before = resident()[0]
    with Peak() as peak:
        read = read_corpus([wide], TEXTS, replace(OPTIONS, tokens=tokens), Nowhere())  # type: ignore[arg-type]
    sys.stdout.write(f"{peak.anonymous - before} {read.tokens}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
