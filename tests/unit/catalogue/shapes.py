"""Parameters and bytes that follow from a config.json, tensor by tensor."""

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
BYTES = {"float8": 1, "int8": 1, "bfloat16": 2, "float16": 2, "float32": 4}
"""Of a parameter."""


def head_size(config: Config) -> int:
    if "kv_lora_rank" in config:
        return int(config["v_head_dim"])
    return int(config.get("head_dim", config["hidden_size"] // config["num_attention_heads"]))


def latent_size(config: Config) -> int | None:
    return config["kv_lora_rank"] + config["qk_rope_head_dim"] if "kv_lora_rank" in config else None


def cache_bytes(config: Config, element: int = 2) -> int:
    """Bytes of KV cache that a token takes: keys and values of every layer, or its one latent vector."""
    width = latent_size(config) or 2 * config["num_key_value_heads"] * head_size(config)
    return int(config["num_hidden_layers"]) * width * element


def parameters(config: Config) -> int:
    """Parameters in all that serving uses; of a model that looks at pictures, its vision tower's among them."""
    counts = _experts(config) if "n_routed_experts" in config else {"bfloat16": _dense(config)}
    vision = _vision(config["vision_config"]) if "vision_config" in config else 0
    return sum(counts.values()) + vision


def files(config: Config) -> dict[str, int]:
    """Parameters in the weights' files, by precision."""
    if "n_routed_experts" not in config:
        return {"bfloat16": parameters(config)}
    served, extra = _experts(config), _second_token(config)
    rows, columns = config["quantization_config"]["weight_block_size"]
    quantized = served["float8"] + extra["float8"]
    return {
        "float8": quantized,
        "bfloat16": served["bfloat16"] + extra["bfloat16"],
        "float32": served["float32"] + extra["float32"] + quantized // (rows * columns),
    }


def _dense(config: Config) -> int:
    hidden, heads = config["hidden_size"], config["num_attention_heads"] * head_size(config)
    shared = config["num_key_value_heads"] * head_size(config)
    attention = 2 * hidden * heads + 2 * hidden * shared
    attention += heads + 2 * shared if config.get("attention_bias") else 0
    attention += 2 * head_size(config) if config.get("qk_norm") else 0
    layer = attention + 3 * hidden * config["intermediate_size"] + 2 * hidden
    embeddings = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return int(embeddings + config["num_hidden_layers"] * layer + hidden)


def _latent_attention(config: Config) -> int:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    query, latent, rope = config["q_lora_rank"], config["kv_lora_rank"], config["qk_rope_head_dim"]
    own, value = config["qk_nope_head_dim"], config["v_head_dim"]
    return int(
        hidden * query
        + query * heads * (own + rope)
        + hidden * (latent + rope)
        + latent * heads * (own + value)
        + heads * value * hidden
    )


def _norms(config: Config) -> int:
    return int(config["q_lora_rank"] + config["kv_lora_rank"] + 2 * config["hidden_size"])


def _mixture(config: Config) -> int:
    """The experts of a layer."""
    experts = config["n_routed_experts"] + config["n_shared_experts"]
    return int(experts * 3 * config["hidden_size"] * config["moe_intermediate_size"])


def _experts(config: Config) -> dict[str, int]:
    hidden, layers, dense = config["hidden_size"], config["num_hidden_layers"], config["first_k_dense_replace"]
    mixed, gate = layers - dense, config["n_routed_experts"] * config["hidden_size"]
    return {
        "float8": layers * _latent_attention(config)
        + dense * 3 * hidden * config["intermediate_size"]
        + mixed * _mixture(config),
        "bfloat16": 2 * config["vocab_size"] * hidden + hidden + layers * _norms(config) + mixed * gate,
        "float32": mixed * config["n_routed_experts"],
    }


def _second_token(config: Config) -> dict[str, int]:
    """The layer that predicts a second token; its file has the embedding and the head once more."""
    hidden, gate = config["hidden_size"], config["n_routed_experts"] * config["hidden_size"]
    return {
        "float8": _latent_attention(config) + _mixture(config),
        "bfloat16": _norms(config) + gate + 3 * hidden + 2 * hidden * hidden + 2 * config["vocab_size"] * hidden,
        "float32": config["n_routed_experts"],
    }


def _vision(config: Config) -> int:
    """Qwen2.5-VL's: pictures in patches of 14 x 14, two frames of three colours; four patches become one token."""
    hidden, inner, out = config["hidden_size"], config["intermediate_size"], config["out_hidden_size"]
    patches = 2 * 3 * 14 * 14 * hidden
    attention = hidden * 3 * hidden + 3 * hidden + hidden * hidden + hidden
    layer = attention + 3 * hidden * inner + 2 * inner + hidden + 2 * hidden
    merged = 4 * hidden
    merger = hidden + merged * merged + merged + merged * out + out
    return int(patches + config["depth"] * layer + merger)
