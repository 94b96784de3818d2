"""How natural a small language model finds a text: its negative log-likelihood, in nats per token.

A causal model in one GGUF file, SmolLM2-135M-Instruct by default, with its tokenizer in it; it is read, never asked to
write. Reading takes a minute, so who can do without does not read it.
"""

import contextlib
import io
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.keys import StoredFunction
from tasks.learning.exact import exactly

STORED = StoredFunction(
    "text.nats_per_token",
    "1",
    "tasks.text.language_model",
    ("torch", "transformers", "tokenizers", "gguf"),
)
_REMEDY = "give a causal model with its tokenizer in one GGUF file, of an architecture that transformers reads"

# A chat model's token for the beginning opens a turn, and makes it expect the name of a role: where its vocabulary has
# GPT-2's token between documents, a text begins with that (SmolLM2: 4.0 nats a token of true claims, else 4.9)
_BETWEEN_DOCUMENTS = "<|endoftext|>"

# B batch, of one text; L tokens; V vocabulary


class LanguageModel:
    """A causal language model with its tokenizer, read once; it runs on the CPU."""

    def __init__(self, file: Path, threads: int) -> None:
        """Read the GGUF file. Raises ValueError, naming file and remedy, where that cannot be."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        where: dict[str, Any] = {
            "pretrained_model_name_or_path": str(file.parent),
            "gguf_file": file.name,
            "local_files_only": True,
            "trust_remote_code": False,
        }
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # bars that no setting turns off
                self._tokenizer = AutoTokenizer.from_pretrained(**where)
                self._network = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
        except ImportError as error:
            raise ValueError(f"{file}: {error}: install gguf and accelerate, by which GGUF files are read") from None
        except (OSError, ValueError, KeyError, NotImplementedError) as error:
            raise ValueError(f"{file}: {error}: {_REMEDY}") from error
        found = self._tokenizer.get_vocab().get(_BETWEEN_DOCUMENTS)
        is_there = found is not None and found < self._network.config.vocab_size  # else transformers has added it
        self._begin: int | None = found if is_there else self._tokenizer.bos_token_id
        if self._begin is None:
            raise ValueError(f"{file}: its tokenizer names no token for the beginning of a text: {_REMEDY}")
        self._threads = threads

    def nats_per_token(self, text: str) -> float:
        """Return the mean negative log-likelihood of a text's tokens, each given those before it.

        The first is given the token that stands between documents. Each text is read alone: a batch rounds otherwise.
        Raises ValueError for a text without tokens, or with more than the model can read.
        """
        ids_L = self.tokens(text)
        most = self._network.config.max_position_embeddings
        if not 1 < len(ids_L) <= most:
            raise ValueError(f"{text[:60]!r} has {len(ids_L) - 1} tokens, the model reads 1 to {most - 1}")
        ids_BL = torch.tensor([ids_L])
        with exactly(self._threads, torch.device("cpu")), torch.inference_mode():
            logits_BLV: Tensor = self._network(input_ids=ids_BL, use_cache=False).logits
            lost = torch.nn.functional.cross_entropy(logits_BLV[0, :-1].float(), ids_BL[0, 1:])
        nats = float(lost)
        assert math.isfinite(nats), text
        return nats

    def tokens(self, text: str) -> list[int]:
        """Return the token that a text begins with, and its own."""
        assert self._begin is not None
        told: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return [self._begin, *told]
