# SPDX-License-Identifier: Apache-2.0
"""A model directory as engines expect one, without weights: a byte-level tokenizer and just enough configuration.

One byte is one token, so that a test knows how many tokens its own text has. An engine that does run the model makes
its weights up (vLLM: `--load-format dummy`).
"""

import json
import struct
from pathlib import Path

_HIDDEN = 64
_LAYERS = 2
_VOCABULARY = 2_048  # the tokens that Dynamo's mocker makes up are between 1000 and 2000
_RANK = 8  # of the adapter
_BF16 = 2  # bytes

_END = "<|end|>"
_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def write_model(directory: Path) -> Path:
    """Write tokenizer and configuration files into `directory`, created if need be, and give it back."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": {
            "eos_token": _END,
            "chat_template": _TEMPLATE,
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": _VOCABULARY,
            "eos_token_id": 256,
            "hidden_size": _HIDDEN,
            "intermediate_size": 2 * _HIDDEN,
            "num_attention_heads": 2,  # of 32: the smallest head that vLLM runs on a CPU
            "num_hidden_layers": _LAYERS,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "torch_dtype": "bfloat16",
        },
        "generation_config.json": {"eos_token_id": 256},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    return directory


def write_adapter(directory: Path) -> Path:
    """Write a LoRA adapter of that model, which changes nothing: its weights are zero. Give its directory back."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": _RANK,
        "lora_alpha": _RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
    }
    (directory / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    shapes = {
        f"base_model.model.model.layers.{layer}.self_attn.{part}.lora_{side}.weight": shape
        for layer in range(_LAYERS)
        for part in ("q_proj", "v_proj")
        for side, shape in (("A", (_RANK, _HIDDEN)), ("B", (_HIDDEN, _RANK)))
    }
    (directory / "adapter_model.safetensors").write_bytes(_zeros(shapes))
    return directory


def _zeros(shapes: dict[str, tuple[int, int]]) -> bytes:
    """Write tensors of zeros in the safetensors format: the length of a JSON header, the header, the data."""
    header: dict[str, object] = {}
    at = 0
    for name, (rows, columns) in shapes.items():
        size = rows * columns * _BF16
        header[name] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


def _tokenizer() -> dict[str, object]:
    """A tokenizers file (huggingface/tokenizers, byte-level BPE without merges): ids 0 to 255 are the bytes."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    end = {
        "id": 256,
        "content": _END,
        "special": True,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }
    return {
        "version": "1.0",
        "added_tokens": [end],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": _alphabet() | _words(), "merges": []},
    }


def _words() -> dict[str, int]:
    """Words for the rest of the vocabulary. Without merges no prompt has any, so that one byte still is one token."""
    return {f"w{number:04}": number for number in range(257, _VOCABULARY)}


def _alphabet() -> dict[str, int]:
    """The characters by which byte-level BPE writes bytes: itself where it is printable, else the next one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(0x100) if byte not in printable)
    return {chr(byte): byte for byte in sorted(printable)} | {
        chr(0x100 + rank): byte for rank, byte in enumerate(others)
    }
