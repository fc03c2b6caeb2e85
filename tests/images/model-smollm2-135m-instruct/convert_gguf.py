"""Turns a quantised GGUF file into a folder of safetensors: `python convert_gguf.py FOLDER_WITH_GGUF FOLDER`."""

import sys
from pathlib import Path

import torch  # type: ignore[import-not-found]
from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found]


def convert(source: Path, folder: Path) -> None:
    """Write the model of the one GGUF file under `source` into `folder`, in bfloat16."""
    (gguf,) = source.rglob("*.gguf")
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if not tokenizer.chat_template:
        sys.exit(f"{gguf} has no chat template")
    loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).to(torch.bfloat16)
    # What was loaded is dequantised, but still calls itself quantised, and would refuse to be saved.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    clean = type(loaded)(config).to(torch.bfloat16)
    clean.load_state_dict(loaded.state_dict(), strict=False)
    clean.tie_weights()
    clean.generation_config = loaded.generation_config
    clean.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
