"""Makes a tiny Llama chat model without any network: `python make_tiny_model.py FOLDER`.

The tokenizer is a byte-level BPE trained on the language reference that every CPython ships, so any text comes through
unharmed; the weights are random, but the same every time.
"""

import os
import sys
from pathlib import Path
from pydoc_data.topics import topics

# One thread: the tokenizer's training counts in a map shared by its threads, and ties would fall as they come.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import torch  # type: ignore[import-not-found]
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # type: ignore[import-not-found]
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast  # type: ignore[import-not-found]

VOCABULARY = 2048
HIDDEN = 64
LAYERS = 2
CONTEXT = 32768
SEED = 0
PAD, BEGIN, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
TOKEN_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((topics[name] for name in sorted(topics)), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def model() -> LlamaForCausalLM:
    """Draw the weights."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # vLLM's attention on the CPU wants a multiple of 32
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.2,
        **TOKEN_IDS,
    )
    llama = LlamaForCausalLM(config).to(torch.bfloat16)
    llama.generation_config = GenerationConfig(**TOKEN_IDS)
    return llama


def make(folder: Path) -> None:
    """Write tokenizer and weights into `folder`."""
    tokenizer().save_pretrained(folder)
    model().save_pretrained(folder, safe_serialization=True)
    sys.stdout.write(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir())} bytes\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
