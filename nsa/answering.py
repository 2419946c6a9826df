"""A model's own answer to a question, token by token, always the likeliest one."""

import torch

from lm.architecture import context_length
from lm.loading import LanguageModel
from nsa.prompts import question_ids

MOST_TOKENS = 64


@torch.no_grad()
def answer(lm: LanguageModel, prompt: str, most: int = MOST_TOKENS) -> str | None:
    """The greedy continuation of `prompt` up to a closing bracket, an end token or `most` tokens.

    Without a chat template it also ends with its first line. None when the prompt and `most` tokens exceed the context.
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    ids = question_ids(tokenizer, prompt)
    if len(ids) + most > context_length(model):
        return None
    ends = _end_ids(lm)
    step, past, written, text = torch.tensor([ids], device=model.device), None, [], ""
    for _ in range(most):
        output = model(input_ids=step, past_key_values=past, use_cache=True)
        chosen = int(output.logits[0, -1].argmax())
        if chosen in ends:
            break
        written.append(chosen)
        text = str(tokenizer.decode(written, skip_special_tokens=True))
        if "]" in text or (tokenizer.chat_template is None and "\n" in text.lstrip()):
            break
        step, past = torch.tensor([[chosen]], device=model.device), output.past_key_values
    return text


def _end_ids(lm: LanguageModel) -> set[int]:
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}
