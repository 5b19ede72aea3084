"""Make a tiny model in R1's shape: ``tiny_r1.py SMOLLM2_FOLDER FOLDER``, run with the engine's Python.

A Qwen2 of two layers with R1's tags and a template that opens the thinking, trained for seconds until it thinks and
then answers the same sentence whatever it is asked. It knows nothing; it shows that thinking and answer come apart.
"""

from __future__ import annotations

import random
import sys

import torch
from tokenizers import AddedToken
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'user' -%}{{'<｜User｜>' + m['content']}}"
    "{%- elif m['role'] == 'assistant' -%}{{'<｜Assistant｜>' + m['content'].split('</think>')[-1] + eos_token}}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{'<｜Assistant｜><think>\n'}}{%- endif -%}"
)
SAID = "First I look at the question. Then I check what is known.</think>\n\nThe answer is forty-two.<|im_end|>"
WORDS = ("what", "is", "the", "price", "of", "a", "ticket", "to", "paris", "how", "do", "i", "bake", "bread", "who")
STEPS = 150


def main(source: str, folder: str) -> None:
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tags = ("<think>", "</think>", "<｜User｜>", "<｜Assistant｜>")
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    tokenizer.chat_template = TEMPLATE
    model = Qwen2ForCausalLM(_config(tokenizer))
    _train(model, tokenizer)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(tokenizer: AutoTokenizer) -> Qwen2Config:
    return Qwen2Config(
        vocab_size=len(tokenizer) + (-len(tokenizer)) % 64,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        architectures=["Qwen2ForCausalLM"],
        dtype="bfloat16",
    )


def _train(model: Qwen2ForCausalLM, tokenizer: AutoTokenizer) -> None:
    rnd = random.Random(0)
    answer = tokenizer(SAID, add_special_tokens=False).input_ids
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        asked = [{"role": "user", "content": " ".join(rnd.choices(WORDS, k=rnd.randint(2, 40)))}]
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        loss = model(input_ids=torch.tensor([ids + answer]), labels=torch.tensor([[-100] * len(ids) + answer])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
