# SPDX-License-Identifier: Apache-2.0
"""A model directory as engines expect one, without weights: a byte-level tokenizer and just enough configuration.

One byte is one token, so that a test knows how many tokens its own text has.
"""

import json
from pathlib import Path

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
            "vocab_size": 257,
            "eos_token_id": 256,
            "hidden_size": 8,
            "intermediate_size": 16,
            "num_attention_heads": 1,
            "num_hidden_layers": 1,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
        },
        "generation_config.json": {"eos_token_id": 256},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    return directory


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
        "model": {"type": "BPE", "vocab": _alphabet(), "merges": []},
    }


def _alphabet() -> dict[str, int]:
    """The characters by which byte-level BPE writes bytes: itself where it is printable, else the next one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(0x100) if byte not in printable)
    return {chr(byte): byte for byte in sorted(printable)} | {
        chr(0x100 + rank): byte for rank, byte in enumerate(others)
    }
