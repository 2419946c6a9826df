"""The prompts of Neuron Semantic Attribution (arXiv 2503.01542, Figures 1 and 2), as the project writes them.

Departure from Figure 2: its worked example answers without brackets, ours answers in the brackets that the
instruction asks for.
"""

from transformers import PreTrainedTokenizerBase

WORDS_INSTRUCTION = (
    "Below is a text. Identify the words that are most relevant to determining its sentiment "
    "and organize them like: [word1,word2,...]."
)
WORDS_EXAMPLE = (
    "There are a couple of kinks they are working out, but otherwise, it was a good dinner.",
    ("kinks", "but", "good"),
)
SENTIMENT_QUESTION = "\nQuestion: Is this sentence positive or negative?\nLabels: positive,negative\nAnswer:"


def words_prompt(text: str, example: bool = True) -> str:
    """Figure 2's question for the words that decide a text's sentiment, with or without its worked example."""
    sentence, words = WORDS_EXAMPLE
    shown = f'{WORDS_INSTRUCTION}\nText: "{sentence}"\nInfluential words: [{",".join(words)}]\n\n'
    return f'{shown if example else ""}{WORDS_INSTRUCTION}\nText: "{text}"\nInfluential words:'


def question_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a question: as one turn of a chat where the tokenizer has a chat template, else as plain text."""
    if tokenizer.chat_template is None:
        return list(tokenizer(prompt, verbose=False)["input_ids"])
    turn = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
