"""Which neurons answer to a word or a token, with the words and tokens there are."""

from prunescope.server import urls
from prunescope.server.attributions.documents import TokenDocument
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.neurons.answering_documents import AnsweringDocument, TextNeuron
from prunescope.server.neurons.queries import answering_neurons
from prunescope.server.site.documents import Link
from prunescope.text.words import fold


def answering_document(
    opened: OpenAttribution,
    *,
    word: str | None = None,
    example: int | None = None,
    token: int | None = None,
    layer: int | None = None,
) -> AnsweringDocument:
    """See `answering_neurons`; a word's example, where none is given, is the first text that holds it."""
    found = answering_neurons(opened, word=word, example=example, token=token, layer=layer)
    known = {fold(each): each for each in opened.tables.words_list}
    spelled = None if word is None else known[fold(word)]
    place = _holding(opened, spelled) if example is None else opened.place_of(example)
    text = opened.examples[place]
    tokens = [
        TokenDocument(position=position, token=token, token_id=id, influential=influential, special=special)
        for position, (token, id, influential, special) in enumerate(
            zip(text.tokens, text.token_ids, text.influential, text.special, strict=True)
        )
    ]
    return AnsweringDocument(
        items=found.items,
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        word=spelled,
        example=text.index,
        token=None if token is None else tokens[token],
        layer=layer,
        layers=opened.layers,
        words=opened.tables.words_list,
        examples=opened.example_summaries,
        tokens=tokens,
        text_neurons=[
            TextNeuron(**opened.row(row).model_dump(), activations=row.activations)
            for row in opened.tables.of_text(place, layer=layer)
        ],
        recorded=opened.store.format >= 2,
        href=urls.answering(opened.id, word=spelled, example=example, token=token, layer=layer),
    )


def first_word(opened: OpenAttribution) -> str:
    """What is shown before anything was asked for: the most damaged word."""
    return opened.tables.words(opened.variant(None))[0].word


def _holding(opened: OpenAttribution, word: str | None) -> int:
    """The place of the first example in which a word stands; of the first one without a word."""
    if word is None:
        return 0
    holding = (
        place
        for place, example in enumerate(opened.examples)
        if any(fold(each.word) == fold(word) for each in example.words)
    )
    return next(holding, 0)
