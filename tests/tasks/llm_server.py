"""An OpenAI-compatible endpoint for tests: http.server on a free port of loopback, which counts what it is sent.

It plays a model that lists the sentences of the passage in the user message, and obeys a line "SAY: ..." in it. What
it is told to do instead (`plan`) happens to the next requests, one each. It shares no code with the client.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler", dict[str, Any]], None]
MARKED = re.compile(r"<(?P<name>\w+) (?P<tag>\w+)>\n(?P<text>.*?)\n</(?P=name) (?P=tag)>", re.DOTALL)


@dataclass
class Server:
    """What the endpoint was sent, and what it is to do. `default` answers where `plan` is empty."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # time.monotonic of each request
    paths: set[str] = field(default_factory=set)
    connections: int = 0
    plan: list[Act] = field(default_factory=list)
    default: Act = field(default=lambda handler, body: answer()(handler, body))
    delay_s: float = 0.0
    busy: int = 0
    most_busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> int:
        return len(self.bodies)

    def counts(self) -> Counter[str]:
        """How often each body came."""
        return Counter(json.dumps(body, sort_keys=True) for body in self.bodies)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Server

    def setup(self) -> None:
        with self.told.lock:
            self.told.connections += 1
        super().setup()

    def do_POST(self) -> None:
        told = self.told
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path.partition("?")[0].endswith("/chat/completions")
        with told.lock:
            told.paths.add(self.path)
            told.bodies.append(body)
            told.headers.append(dict(self.headers))
            told.times.append(time.monotonic())
            told.busy += 1
            told.most_busy = max(told.most_busy, told.busy)
            act = told.plan.pop(0) if told.plan else told.default
        try:
            time.sleep(told.delay_s)
            act(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with told.lock:
                told.busy -= 1

    def send(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


# --- what it can do ---


def sentences_of(body: dict[str, Any]) -> str:
    """Return the model's honest answer: the sentences of the passage as claims."""
    text = passage_of(body)
    if said := re.search(r"^SAY: (.*)$", text, re.MULTILINE):
        return said[1]
    return json.dumps({"claims": [part.strip() for part in re.split(r"(?<=\.)\s+", text) if part.strip()]})


def passage_of(body: dict[str, Any]) -> str:
    found = MARKED.search(body["messages"][1]["content"])
    assert found is not None, body["messages"]
    return found["text"]


def passage_texts(body: dict[str, Any]) -> dict[str, str]:
    """Return the texts that a request marks as data, by their names."""
    return {found["name"]: found["text"] for found in MARKED.finditer(body["messages"][1]["content"])}


def answer(content: Any = None, finish_reason: str = "stop", usage: Any = "counted", **more: Any) -> Act:
    """Answer with `content` (default: the honest answer), and `more` fields of the response."""

    def act(handler: Handler, body: dict[str, Any]) -> None:
        text = sentences_of(body) if content is None else content
        told: dict[str, Any] = {
            "id": f"chatcmpl-{time.monotonic_ns()}",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
            ],
        }
        if usage == "counted":
            sent = sum(len(message["content"].split()) for message in body["messages"])
            told["usage"] = {"prompt_tokens": sent, "completion_tokens": len(str(text).split())}
        elif usage is not None:
            told["usage"] = usage
        handler.send(200, json.dumps(told | more).encode())

    return act


def status(code: int, message: str = "sorry", **headers: str) -> Act:
    return lambda handler, body: handler.send(code, json.dumps({"error": {"message": message}}).encode(), **headers)


def raw(code: int, data: bytes) -> Act:
    return lambda handler, body: handler.send(code, data)


def half(handler: Handler, body: dict[str, Any]) -> None:
    """Promise an answer and send half of it."""
    data = json.dumps({"choices": [{"message": {"content": sentences_of(body)}}]}).encode()
    handler.send(200, data[: len(data) // 2], length=len(data))
    handler.close_connection = True


def half_chunks(handler: Handler, body: dict[str, Any]) -> None:
    """Send one chunk of a chunked answer, and never the last."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b'b\r\n{"choices":\r\n')
    handler.close_connection = True


def slow_header(handler: Handler, body: dict[str, Any]) -> None:
    """Send a header without end, a byte now and then."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(100):
        handler.wfile.write(b"a")
        handler.wfile.flush()
        time.sleep(0.05)
    handler.close_connection = True


def hang_up(handler: Handler, body: dict[str, Any]) -> None:
    handler.close_connection = True


def sleep(seconds: float) -> Act:
    def act(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def drip(handler: Handler, body: dict[str, Any]) -> None:
    """Send a byte now and then, for ever."""
    handler.send(200, b"", length=10_000)
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Yield the address, up to /v1, of a server on a free port of loopback that ends with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}/v1"
        finally:
            http.shutdown()
            thread.join()


@contextmanager
def running() -> Iterator[Server]:
    """Yield a server that ends with the block."""
    told = Server()
    with serving(type("Told", (Handler,), {"told": told})) as told.url:
        yield told
