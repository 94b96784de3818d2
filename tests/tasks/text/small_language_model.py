"""A Llama of two layers with random weights, whose tokens are bytes, as one GGUF file: no download in fast tests."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ("<|endoftext|>", "<begin>", "<end>")  # as SmolLM2 has them: unknown and between documents, of a turn
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGE = "th"  # the one token of two letters
HEADS, LAYERS, CONTEXT = 2, 2, 64
_NAMES = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def tokens_of(text: str, begin: int = 0) -> list[int]:
    """Return the number of the token that texts begin with, then of each letter (ASCII); "th" is one token."""
    vocabulary = [*SPECIAL, *LETTERS, MERGE]
    spelt, found, at = text.replace(" ", "\u0120"), [begin], 0
    while at < len(spelt):
        token = MERGE if spelt.startswith(MERGE, at) else spelt[at]
        found.append(vocabulary.index(token))
        at += len(token)
    return found


def network(seed: int = 0) -> LlamaForCausalLM:
    """Return the network; its weights are large enough for it to have opinions."""
    config = LlamaConfig(
        vocab_size=len(SPECIAL) + len(LETTERS) + 1,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        initializer_range=0.5,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).eval()


def write_gguf(file: Path, made: LlamaForCausalLM, special: tuple[str, str, str] = SPECIAL) -> dict[str, Any]:
    """Write a network with its tokenizer; return what params.yaml says of the file."""
    import gguf

    config = made.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*special, *LETTERS, MERGE])
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([*[control] * len(special), *[normal] * (len(LETTERS) + 1)])
    writer.add_token_merges([" ".join(MERGE)])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, values in _tensors(made).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return {
        "kind": "url",
        "name": "small_language_model",
        "location": file.as_uri(),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "licence": "CC0-1.0",
        "credit": "test",
        "url": "https://example.org",
    }


def _tensors(made: LlamaForCausalLM) -> dict[str, np.ndarray]:
    state = {name: values.detach().numpy() for name, values in made.state_dict().items()}
    found = {
        "token_embd.weight": state["model.embed_tokens.weight"],
        "output_norm.weight": state["model.norm.weight"],
        "output.weight": state["lm_head.weight"],
    }
    for layer in range(LAYERS):
        for ours, theirs in _NAMES.items():
            values = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):  # GGUF has the two halves that are turned together side by side
                values = values.reshape(HEADS, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
            found[f"blk.{layer}.{theirs}.weight"] = np.ascontiguousarray(values)
    return found
