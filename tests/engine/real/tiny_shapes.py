"""Run in the engine's environment: ``tiny_shapes.py SHAPE TOKENIZER OUT`` writes a small model with random weights.

The shapes keep as much context a token as a model of some billion parameters, so that what is left for it is counted in
ten thousands of tokens, as on a card.
"""

from __future__ import annotations

import sys

import torch
from transformers import (
    AutoTokenizer,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

shape, source, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(source)
common = {
    "vocab_size": len(tokenizer),
    "hidden_size": 512,
    "intermediate_size": 256,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "bos_token_id": tokenizer.bos_token_id,
    "eos_token_id": tokenizer.eos_token_id,
    "dtype": "bfloat16",
}
torch.manual_seed(0)
if shape == "qwen2":
    config = Qwen2Config(**common, num_hidden_layers=16, num_attention_heads=8, num_key_value_heads=8)
    model = Qwen2ForCausalLM(config)
elif shape == "llama":
    config = LlamaConfig(**common, num_hidden_layers=24, num_attention_heads=8, num_key_value_heads=4)
    model = LlamaForCausalLM(config)
else:
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 1024, "rope_theta": 10000.0}
    config = DeepseekV3Config(
        **common,
        rope_scaling={**yarn, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
        num_hidden_layers=28,
        num_attention_heads=8,
        num_key_value_heads=8,
        q_lora_rank=96,
        kv_lora_rank=512,
        qk_rope_head_dim=64,
        qk_nope_head_dim=32,
        v_head_dim=32,
        first_k_dense_replace=27,
        moe_layer_freq=1,
        topk_method="noaux_tc",
        scoring_func="sigmoid",
        moe_intermediate_size=32,
        n_routed_experts=8,
        n_shared_experts=1,
        num_experts_per_tok=2,
        n_group=1,
        topk_group=1,
    )
    model = DeepseekV3ForCausalLM(config)
model.to(torch.bfloat16).save_pretrained(out)
tokenizer.save_pretrained(out)
