"""Make a tiny model in R1's shape: ``tiny_r1.py FAMILY TOKENIZER_FOLDER FOLDER``, run with the engine's Python.

Two layers of a Qwen2, a Llama or a Qwen3 with R1's control tokens and the family's template, trained for seconds until
it thinks and then answers the same sentence whatever it is asked. It knows nothing; it shows that thinking and answer
come apart, that a thought can be cut short, and that none need be thought.
"""

from __future__ import annotations

import random
import sys

import torch
from tokenizers import AddedToken
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, True),
    "llama": (LlamaConfig, LlamaForCausalLM, True),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, False),
}
"""Configuration, model, and whether the template opens the thinking: R1-0528's does not."""
CONTROLS = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")
TEMPLATE = (
    "{{ bos_token }}{%- for m in messages -%}"
    "{%- if m['role'] == 'user' -%}{{'<｜User｜>' + m['content']}}"
    "{%- elif m['role'] == 'assistant' -%}{{'<｜Assistant｜>' + m['content'].split('</think>')[-1] + eos_token}}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{'<｜Assistant｜>OPENING'}}{%- endif -%}"
)
THOUGHT = "First comes this question itself, then every passage that was found about it."
ANSWER = "The answer is forty-two.<｜end▁of▁sentence｜>"
WORDS = ("what", "is", "the", "price", "of", "a", "ticket", "to", "paris", "how", "do", "i", "bake", "bread", "who")
STEPS = 240
WHOLE, CUT, OFF = range(3)
"""The lessons: think and answer; answer behind a thought that was cut; answer without one."""
LESSONS = (WHOLE, CUT, WHOLE, OFF)


def main(family: str, source: str, folder: str) -> None:
    torch.manual_seed(0)
    config, kind, opens = FAMILIES[family]
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens([AddedToken(name, special="｜" in name, normalized=False) for name in CONTROLS])
    tokenizer.bos_token, tokenizer.eos_token = CONTROLS[:2]
    tokenizer.chat_template = TEMPLATE.replace("OPENING", "<think>\\n" if opens else "")
    model = kind(_config(config, tokenizer))
    _train(model, tokenizer, opens=opens)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(kind, tokenizer):  # noqa: ANN001, ANN202  # classes of the engine's environment
    return kind(
        vocab_size=len(tokenizer) + (-len(tokenizer)) % 64,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        architectures=[kind.__name__.replace("Config", "ForCausalLM")],
        dtype="bfloat16",
    )


def _train(model, tokenizer, *, opens: bool) -> None:  # noqa: ANN001
    rnd = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        messages = [{"role": "user", "content": " ".join(rnd.choices(WORDS, k=rnd.randint(2, 40)))}]
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        kind = LESSONS[step % len(LESSONS)]
        context, said = _lesson(tokenizer, kind=kind, cut=rnd.random())
        ids = [*tokenizer(prompt.removesuffix("<think>\n"), add_special_tokens=False).input_ids]
        opening = 2 if opens and kind == WHOLE else 0  # what the template says is not learned
        ids, said = [*ids, *context, *said[:opening]], said[opening:]
        loss = model(input_ids=torch.tensor([ids + said]), labels=torch.tensor([[-100] * len(ids) + said])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _lesson(tokenizer, *, kind: int, cut: float) -> tuple[list[int], list[int]]:  # noqa: ANN001
    """Return what stands behind the question already, and what is to be said, opening tag and all."""
    ids = lambda text: tokenizer(text, add_special_tokens=False).input_ids  # noqa: E731
    thought, close, answer = ids(THOUGHT), ids("</think>"), ids("\n\n" + ANSWER)
    if kind == OFF:
        return [*ids("<think>"), *ids("\n\n"), *close, *ids("\n\n")], ids(ANSWER)
    if kind == CUT:
        return [*ids("<think>\n"), *thought[: int(cut * len(thought))], *ids("\n"), *close], answer
    return [], [*ids("<think>\n"), *thought, *close, *answer]


if __name__ == "__main__":
    main(*sys.argv[1:])
