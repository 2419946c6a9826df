"""Trains the demo model, a small Llama that answers the two prompts of arXiv 2503.01542 about reviews.

    python -m prunescope.demo.train --data DIR --output demo/model

`DIR` holds sst2.jsonl, imdb.jsonl, yelp.jsonl and yelp_polarity_small.jsonl with the hub's field names. A run is seeded
and resumes from its last checkpoint after an interruption; every block of steps has its own random generator, so that
the examples do not depend on interruptions. The schedule is counted in tokens.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from prunescope.demo.corpus import LABELS, Curriculum, LinearTeacher, Prompt, Review, read_reviews, respell

CONTEXT = 512
VOCABULARY = 8192
BATCH_TOKENS = 4096
BLOCK_STEPS = 16
TEXT_LOSS_SHARE = 0.12  # share of text tokens with a language-model loss; the output head is a quarter of the work
EMA_DECAY = 0.997
IGNORED = -100


@dataclass(frozen=True)
class Batch:
    """Token ids [samples, tokens], next-token targets, their weights, and P(positive) where the answer is a label."""

    ids: Tensor
    targets: Tensor
    weights: Tensor
    answer: Tensor
    positive: Tensor


def train_tokenizer(sources: dict[str, list[Review]]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, with `<s>` put in front of every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rng = random.Random(0)
    texts = [respell(r.text, rng.choice(("raw", "raw", "lower", "treebank"))) for v in sources.values() for r in v]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def new_model(seed: int) -> LlamaForCausalLM:
    """5.3 M parameters: 4 layers of width 256, 704 MLP neurons each."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        rms_norm_eps=1e-5,
        initializer_range=0.03,
    )
    return LlamaForCausalLM(config)


def start_embeddings(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, reviews: list[Review]) -> None:
    """Initialise the token embeddings from co-occurrence statistics, with sentiment as the last dimension.

    The other dimensions are the leading singular vectors of the shifted PPMI of token pairs within 4 positions; the
    last is a token's weight in a logistic regression on bags of tokens. Without this, most of the training is spent on
    learning which words are positive.
    """
    rng = random.Random(0)
    texts = [respell(r.text, rng.choice(("raw", "lower", "treebank"))) for r in reviews]
    bags = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    counts = np.zeros((VOCABULARY, VOCABULARY), dtype=np.float32)
    for ids in bags:
        row = np.asarray(ids)
        for distance in range(1, 5):
            np.add.at(counts, (row[:-distance], row[distance:]), 1.0 / distance)
    counts += counts.T.copy()
    smooth = counts.sum(axis=0) ** 0.75
    expected = np.outer(counts.sum(axis=1), smooth / max(smooth.sum(), 1.0)) + 1e-9
    ppmi = np.log(np.maximum(counts / expected, 1.0))
    torch.manual_seed(0)
    left, values, _ = torch.svd_lowrank(torch.from_numpy(ppmi), q=model.config.hidden_size - 1, niter=2)
    vectors = left * values.sqrt()
    vectors = vectors @ torch.linalg.qr(torch.randn(vectors.shape[1], vectors.shape[1]))[0]
    seen = torch.from_numpy(counts.sum(axis=1) > 0)
    sentiment = torch.from_numpy(token_sentiment(bags, [r.label for r in reviews])).float()
    embedding = model.get_parameter("model.embed_tokens.weight").data
    # Half noise, with equal norms: if similar words are too close, attention cannot distinguish them, and copying a
    # word from the text is learned much later.
    embedding[seen, :-1] = 0.35 * functional.normalize(vectors[seen], dim=1) + 0.022 * torch.randn_like(vectors[seen])
    embedding[seen, -1] = 0.1 * sentiment[seen] / sentiment[seen].std()


def start_attention(model: LlamaForCausalLM) -> None:
    """Initialise attention so that tokens attend to equal tokens and copy them: key weights equal query weights, and
    output weights are the transposed value weights.

    This follows mimetic initialisation (Trockman and Kolter, arXiv 2305.09828); the model learns to copy words earlier.
    """
    for layer in model.model.layers:
        attention = layer.self_attn
        attention.k_proj.weight.data.copy_(attention.q_proj.weight.data)
        attention.o_proj.weight.data.copy_(attention.v_proj.weight.data.T)


def token_sentiment(bags: list[list[int]], labels: list[int]) -> np.ndarray:
    """Each token's weight for "positive" [vocabulary], from logistic regression on length-normalised bags of tokens."""
    sets = [sorted(set(ids)) for ids in bags]
    ends = np.cumsum([0, *map(len, sets)])
    values = np.concatenate([np.full(len(ids), len(ids) ** -0.5) for ids in sets if ids])
    features = csr_matrix((values, np.concatenate(sets).astype(np.int64), ends), shape=(len(sets), VOCABULARY))
    return np.asarray(LogisticRegression(C=4.0, max_iter=300).fit(features, labels).coef_[0])


def batches(prompts: list[Prompt], tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> list[Batch]:
    """Batches of at most `BATCH_TOKENS` padded tokens, grouped by length, in random order."""
    encoded = []
    asked = tokenizer([p.text for p in prompts])["input_ids"]
    answered = tokenizer([p.answer for p in prompts], add_special_tokens=False)["input_ids"]
    for prompt, text, answer in zip(prompts, asked, answered, strict=True):
        if len(text) + len(answer) < CONTEXT:
            encoded.append((prompt, text, [*answer, 1]))
    encoded.sort(key=lambda e: len(e[1]) + len(e[2]))
    groups: list[list[tuple[Prompt, list[int], list[int]]]] = [[]]
    for item in encoded:
        if (len(groups[-1]) + 1) * (len(item[1]) + len(item[2])) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(item)
    rng.shuffle(groups)
    return [collate(group, rng) for group in groups]


def collate(group: list[tuple[Prompt, list[int], list[int]]], rng: random.Random) -> Batch:
    """Pad on the right: causal attention then needs no mask."""
    width = max(len(text) + len(answer) for _, text, answer in group)
    ids = torch.full((len(group), width), 2)
    targets = torch.full((len(group), width), IGNORED)
    weights = torch.zeros(len(group), width)
    noise = torch.Generator().manual_seed(rng.randrange(2**31))
    for row, (prompt, text, answer) in enumerate(group):
        whole = torch.tensor(text + answer)
        ids[row, : len(whole)] = whole
        targets[row, : len(whole) - 1] = whole[1:]
        weights[row, : len(text) - 1] = (torch.rand(len(text) - 1, generator=noise) < TEXT_LOSS_SHARE).float()
        weights[row, len(text) - 1 : len(whole) - 1] = 1.0
        if prompt.positive is not None:
            weights[row, len(text) - 1] = 0.0
    return Batch(
        ids,
        targets,
        weights,
        torch.tensor([len(text) - 1 for _, text, _ in group]),
        torch.tensor([-1.0 if p.positive is None else p.positive for p, _, _ in group]),
    )


def copying(tokenizer: PreTrainedTokenizerFast, words: Tensor, rng: random.Random) -> Batch:
    """A batch of random words followed by their repetition, plain or as a list in brackets; only the repetition has a
    loss.

    This is not a task of the demo, but by far the fastest way to form the attention heads that are needed to answer
    with words of the text; with reviews alone they do not form for millions of tokens.
    """
    noise = torch.Generator().manual_seed(rng.randrange(2**31))
    count = rng.randint(4, 20)
    samples = BATCH_TOKENS // (3 * count + 12)
    said = words[torch.randint(len(words), (samples, count), generator=noise)]
    if rng.random() < 0.4:
        ids = torch.cat([torch.zeros(samples, 1, dtype=torch.long), said, said], dim=1)
        repeated = torch.zeros_like(ids, dtype=torch.bool)
        repeated[:, count + 2 :] = True
    else:
        comma, opening, question = (
            tokenizer.encode(text, add_special_tokens=False) for text in (",", 'Text: "', '"\nInfluential words: [')
        )
        before = torch.tensor([0, *opening]).expand(samples, -1)
        between = torch.tensor(question).expand(samples, -1)
        listed = torch.stack([said, torch.full_like(said, comma[0])], dim=-1).flatten(1)
        ids = torch.cat([before, said, between, listed], dim=1)
        repeated = torch.zeros_like(ids, dtype=torch.bool)
        repeated[:, before.shape[1] + count + between.shape[1] :: 2] = True
    targets = torch.full_like(ids, IGNORED)
    targets[:, :-1] = ids[:, 1:]
    weights = torch.zeros(ids.shape)
    weights[:, :-1] = repeated[:, 1:].float()
    return Batch(ids, targets, weights, torch.zeros(samples, dtype=torch.long), torch.full((samples,), -1.0))


def loss_of(
    model: LlamaForCausalLM, batch: Batch, label_ids: Tensor, text_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Answer loss (with soft labels if the label is the teacher's probability) + weighted language-model loss."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=batch.ids).last_hidden_state
        chosen = batch.weights > 0
        logits = model.lm_head(hidden[chosen]).float()
        asked = batch.positive >= 0
        rows = torch.arange(len(batch.ids))
        answers = model.lm_head(hidden[rows, batch.answer][asked]).float()
    token_loss = functional.cross_entropy(logits, batch.targets[chosen], reduction="none")
    position = torch.arange(batch.ids.shape[1]).expand_as(batch.ids)
    in_answer = (position >= batch.answer[:, None])[chosen] & (~asked)[:, None].expand_as(batch.ids)[chosen]
    text = token_loss[~in_answer].mean() if (~in_answer).any() else torch.zeros(())
    words = token_loss[in_answer].mean() if in_answer.any() else torch.zeros(())
    probabilities = functional.log_softmax(answers, dim=-1)[:, label_ids]
    target = batch.positive[asked]
    label = -(target * probabilities[:, 1] + (1 - target) * probabilities[:, 0])
    label = label.mean() if len(label) else torch.zeros(())
    parts = {"text": float(text.detach()), "words": float(words.detach()), "label": float(label.detach())}
    return text_weight * text + words + 1.5 * label, parts


def blocks(first: int, seed: int) -> Iterator[tuple[int, random.Random]]:
    block = first
    while True:
        yield block, random.Random(seed * 1_000_003 + block)
        block += 1


def save(averaged: AveragedModel, config: LlamaConfig, tokenizer: PreTrainedTokenizerFast, output: Path) -> None:
    """Write the averaged model as a float16 Hugging Face folder."""
    copy = LlamaForCausalLM(config)
    copy.load_state_dict(averaged.module.state_dict())
    copy.half()
    copy.save_pretrained(output)
    tokenizer.save_pretrained(output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--extra", type=Path, nargs="*", default=[], help="more JSON Lines of text, label, words")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path, default=Path("demo-checkpoints"))
    parser.add_argument("--tokens", type=int, default=19_000_000, help="length of the schedule")
    parser.add_argument(
        "--copy-tokens", type=int, default=2_500_000, help="of them, the first for copying and finding words"
    )
    parser.add_argument("--peak", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.checkpoints.mkdir(parents=True, exist_ok=True)

    sources = read_reviews(args.data, args.extra)
    teacher = LinearTeacher([r for reviews in sources.values() for r in reviews])
    curriculum = Curriculum(sources, teacher)
    tokenizer = train_tokenizer(sources)
    model = new_model(args.seed)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.97)
    )
    state = args.checkpoints / "state.pt"
    block, tokens, step = 0, 0, 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        block, tokens, step = kept["block"], kept["tokens"], kept["step"]
    else:
        start_embeddings(model, tokenizer, [r for reviews in sources.values() for r in reviews])
        start_attention(model)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
    if state.exists():
        averaged.load_state_dict(kept["averaged"])
    label_ids = torch.tensor([tokenizer.encode(f" {label}", add_special_tokens=False)[0] for label in LABELS])
    pieces = tokenizer([f" {word}" for word in teacher.weights], add_special_tokens=False)["input_ids"]
    words = torch.tensor([ids[0] for ids in pieces if len(ids) == 1])

    model.train()
    started = time.time()
    for number, rng in blocks(block, args.seed):
        if tokens >= args.tokens:
            break
        progress = tokens / args.tokens
        words_share = min(0.45, 0.3 + progress)
        phrase_share = 0.33 + 0.2 * progress
        sums: dict[str, float] = {}
        if tokens < args.copy_tokens:
            group = batches(curriculum.finding(rng, 200), tokenizer, rng)
            group += [copying(tokenizer, words, rng) for _ in range(14)]
            rng.shuffle(group)
        else:
            group = batches(curriculum.draw(rng, BLOCK_STEPS * 48, words_share, phrase_share), tokenizer, rng)
            group += [*batches(curriculum.finding(rng, 60), tokenizer, rng), copying(tokenizer, words, rng)]
        for batch in group:
            progress = min(1.0, tokens / args.tokens)
            rate = args.peak * min(1.0, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
            for setting in optimizer.param_groups:
                setting["lr"] = rate
            loss, parts = loss_of(model, batch, label_ids, text_weight=0.4)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(model)
            tokens += batch.ids.numel()
            step += 1
            sums = {k: sums.get(k, 0.0) + v / len(group) for k, v in parts.items()}
        rounded = {k: round(v, 3) for k, v in sums.items()}
        print(
            json.dumps({"step": step, "tokens": tokens, "seconds": round(time.time() - started), **rounded}), flush=True
        )
        if number % 6 == 5 or tokens >= args.tokens:
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "block": number + 1}
            kept |= {"averaged": averaged.state_dict(), "tokens": tokens, "step": step}
            torch.save(kept, state.with_suffix(".new"))
            state.with_suffix(".new").rename(state)
            save(averaged, model.config, tokenizer, args.checkpoints / "model")
    save(averaged, model.config, tokenizer, args.output)


if __name__ == "__main__":
    main()
