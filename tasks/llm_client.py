"""One request to an OpenAI-compatible endpoint: sent, waited for, tried again as the endpoint asks.

The key is read from the environment for each request and goes into its header, nowhere else.
"""

import contextlib
import email.utils
import json
import logging
import os
import random
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tasks.llm_budget import Ledger, LlmError, Usage, estimated_prompt, estimated_tokens
from tasks.llm_messages import Message
from tasks.llm_settings import Endpoint
from tasks.tables import Reject

log = logging.getLogger(__name__)

_BODY_BYTES = 32 << 20  # of an answer; more is no answer
_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # what passes
_FOR_ALL = {401, 402, 403, 404, 405}  # what the next request would meet too
_SECRET_CHARACTERS = 8  # shorter "keys" (none, EMPTY) are no secrets, but words that answers have
_TOLD_WAIT_S = 5.0  # a shorter wait is not worth a line
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class EndpointError(LlmError):
    """An endpoint that gives no answers."""


@dataclass(frozen=True)
class Said:
    """An answer as it came. It holds no time and no id, which would differ where the answer does not."""

    content: str
    finish_reason: str
    model: str  # as the endpoint names it
    fingerprint: str
    usage: Usage


class Stopped(Exception):
    """Another thread has met what ends the run; this request was not sent."""


class _Failed(Exception):
    """One try that brought no answer. `wait_s`: how long the endpoint asks to wait. `lost`: it may be charged."""

    def __init__(self, why: str, *, wait_s: float | None = None, is_busy: bool = False, lost: bool = False) -> None:
        super().__init__(why)
        self.why, self.wait_s, self.is_busy, self.lost = why, wait_s, is_busy, lost


class Sender:
    """Sends requests to one endpoint, from any number of threads, until `stop` is set."""

    def __init__(self, endpoint: Endpoint, client: httpx2.Client, ledger: Ledger, stop: threading.Event) -> None:
        self._endpoint, self._client, self._ledger, self._stop = endpoint, client, ledger, stop
        self._answered = 0
        self._failed_in_a_row = 0
        self._open_at = 0.0  # time.monotonic before which the endpoint wants no request
        self._lock = threading.Lock()

    def ask(self, messages: Sequence[Message], settings: Mapping[str, Any], name: str) -> Said:
        """Return the answer to `messages`; `settings` are the other fields of the request, `name` seeds the waits.

        Raises Reject "refused" where the endpoint refuses this request, and "no_answer" where no try brought one;
        EndpointError where others would fare alike; BudgetError before a call that may pass a limit; Stopped.
        """
        sent = {**settings, "messages": list(messages)}
        if "max_tokens" in sent:
            sent[self._endpoint.max_tokens_field] = sent.pop("max_tokens")
        body = json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()
        most = Usage(len(body), int(settings.get("max_tokens", 0)))  # a token has a byte at least
        jitter = random.Random(name)
        tries, answered = 0, self._answered
        while True:
            self._wait_until_open()
            try:
                said = self._try(body, messages, most)
            except _Failed as failed:
                if not (failed.is_busy and self._answered > answered):  # an endpoint that answers others will answer
                    tries += 1
                answered = self._answered
                wait_s = self._wait_after(failed, tries, jitter)
                if wait_s is None:
                    raise self._given_up(failed.why, tries) from None
                log.debug("%s: %s; another try follows in %.1f s", self._address, failed.why, wait_s)
                self._pause(wait_s)
            else:
                with self._lock:
                    self._answered += 1
                    self._failed_in_a_row = 0
                return said

    # --- one try ---

    @property
    def _address(self) -> str:
        return self._endpoint.base_url

    def _try(self, body: bytes, messages: Sequence[Message], most: Usage) -> Said:
        """Send once. What it may have cost is in the ledger whatever happens."""
        self._ledger.take(most)
        used = Usage()
        try:
            said = self._read(*self._post(body), messages)
            used = said.usage
            return said
        except _Failed as failed:
            used = Usage(most.prompt_tokens, most.completion_tokens, 1) if failed.lost else used
            raise
        finally:
            self._ledger.settle(most, used)

    def _post(self, body: bytes) -> tuple[int, httpx2.Headers, bytes, str]:
        """Return status, headers and body of the response, and the key that was sent ("" for none)."""
        key = _key(self._endpoint.key_variable)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        deadline = time.monotonic() + self._endpoint.answer_timeout_s
        data = bytearray()
        try:
            with self._client.stream("POST", self._endpoint.chat_url, content=body, headers=headers) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if time.monotonic() > deadline:
                        raise httpx2.ReadTimeout("the answer came too slowly")
                    if len(data) > _BODY_BYTES:
                        raise _Failed(f"answer of more than {_BODY_BYTES} bytes", lost=True)
                return response.status_code, response.headers, bytes(data), key
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise _Failed(f"no connection ({type(error).__name__}: {_scrubbed(str(error), key)[:200]})") from None
        except httpx2.TimeoutException:
            raise _Failed(f"no whole answer in {self._endpoint.answer_timeout_s:g} s", lost=True) from None
        except httpx2.HTTPError as error:  # not its text: it may repeat what was sent
            raise _Failed(f"the connection broke ({type(error).__name__})", lost=True) from None

    def _read(self, status: int, headers: httpx2.Headers, body: bytes, key: str, messages: Sequence[Message]) -> Said:
        if status != 200:
            self._raise_for(status, headers, body, key)
        try:
            answer = json.loads(body)
            choice = answer["choices"][0]
            content = _text(choice["message"].get("content"))
            usage = answer.get("usage")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            raise _Failed("HTTP 200 whose body is no chat completion, or half of one", lost=True) from None
        content = _scrubbed(content, key)
        return Said(
            content,
            _scrubbed(_text(choice.get("finish_reason")), key),
            _scrubbed(_text(answer.get("model")), key),
            _scrubbed(_text(answer.get("system_fingerprint")), key),
            _usage(usage, messages, content),
        )

    def _raise_for(self, status: int, headers: httpx2.Headers, body: bytes, key: str) -> None:
        why = f"HTTP {status}: {_error_text(body, key)}"
        if status in _AGAIN and not _out_of_quota(body):
            raise _Failed(why, wait_s=_retry_after_s(headers), is_busy=status == 429)
        if status in _FOR_ALL or status < 400 or status in _AGAIN:
            remedy = {
                401: f"set {self._endpoint.key_variable} to a key that the endpoint takes",
                403: f"set {self._endpoint.key_variable} to a key that may use this model",
                404: "check run.llm.endpoint.base_url, and that the endpoint has the model of that name",
                405: "check run.llm.endpoint.base_url: it ends before /chat/completions",
            }.get(status, "check the account" if status >= 400 else "set run.llm.endpoint.base_url to where it leads")
            raise EndpointError(f"{self._address}: {why}: {remedy}, and run again: what is answered is stored")
        raise self._counted(Reject("refused", why), why)

    # --- waiting and giving up ---

    def _wait_after(self, failed: _Failed, tries: int, jitter: random.Random) -> float | None:
        """Return how long to wait after so many tries, seconds; None where no other follows."""
        grown = self._endpoint.first_wait_s * 2.0 ** min(max(tries - 1, 0), 30)
        wait_s = min(grown, self._endpoint.longest_wait_s) * jitter.uniform(0.5, 1.0)
        if tries >= self._endpoint.tries:
            return None
        if failed.wait_s is None:
            return wait_s
        if failed.wait_s > self._endpoint.longest_wait_s:
            failed.why += f" (asks to wait {failed.wait_s:.0f} s, longer than longest_wait_s)"
            return None
        until = time.monotonic() + failed.wait_s
        with self._lock:  # the others wait too
            is_longer = until > self._open_at + 1.0
            self._open_at = max(self._open_at, until)
        if is_longer and failed.wait_s >= _TOLD_WAIT_S:
            log.warning("%s: %s; it asks to wait %.0f s", self._address, failed.why, failed.wait_s)
        return failed.wait_s

    def _wait_until_open(self) -> None:
        while (left := self._open_at - time.monotonic()) > 0:
            self._pause(left)
        self._pause(0)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise Stopped

    def _given_up(self, why: str, tries: int) -> Exception:
        told = f"{why}, at the last of {tries} tries" if tries > 1 else why
        return self._counted(Reject("no_answer", f"{told}; not stored: the next run of the stage asks again"), why)

    def _counted(self, reject: Reject, why: str) -> Exception:
        """Return `reject`, or what ends the run where it is one too many."""
        with self._lock:
            self._failed_in_a_row += 1
            count = self._failed_in_a_row
        if count < self._endpoint.failures_in_a_row:
            return reject
        return EndpointError(
            f"{self._address}: {count} requests failed in a row, the last with: {why}: see that the endpoint runs and "
            f"takes such requests (run.llm.endpoint in params.yaml), and run again: what is answered is stored"
        )


@contextlib.contextmanager
def open_client(endpoint: Endpoint) -> Iterator[httpx2.Client]:
    """Yield the connections to an endpoint. Proxies of the environment are used, but not for this machine itself."""
    local = urllib.parse.urlsplit(endpoint.base_url).hostname in _LOOPBACK
    with httpx2.Client(
        timeout=httpx2.Timeout(endpoint.answer_timeout_s, connect=endpoint.connect_timeout_s, pool=None),
        limits=httpx2.Limits(max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency),
        trust_env=not local,
        follow_redirects=False,  # the key goes to the endpoint and to nobody else
    ) as client:
        yield client


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" and character not in '"\\' for character in key):
        raise EndpointError(f"{variable} holds characters that no key has (blanks, quotes, beyond ASCII): set it anew")
    return key


def _scrubbed(text: str, key: str) -> str:
    """Return text from the endpoint without the key, which some repeat."""
    return text.replace(key, "***") if len(key) >= _SECRET_CHARACTERS else text


def _text(value: Any) -> str:
    """Return a text field of a response as Unicode; "" for null. Some endpoints give the content in parts."""
    if isinstance(value, list):
        value = "".join(part.get("text") or "" for part in value if isinstance(part, dict))
    if not isinstance(value, str):
        return ""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON may hold halves of characters


def _usage(told: Any, messages: Sequence[Message], content: str) -> Usage:
    if isinstance(told, dict):
        sent, got = told.get("prompt_tokens"), told.get("completion_tokens")
        if type(sent) is int and type(got) is int and 0 <= sent < 1 << 40 and 0 <= got < 1 << 40:
            return Usage(sent, got)
    return Usage(estimated_prompt(messages), estimated_tokens(content), 1)


def _error_of(body: bytes) -> dict[str, Any]:
    """Return the error object of a response, whatever its shape; {} where it has none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = told.get("error", told) if isinstance(told, dict) else told
    return error if isinstance(error, dict) else {"message": json.dumps(error, ensure_ascii=False)}


def _error_text(body: bytes, key: str) -> str:
    """Return what an error response says, on one short line. The key is taken out before anything is cut."""
    error = _error_of(body)
    told = error.get("message") or (json.dumps(error, ensure_ascii=False) if error else body.decode("utf-8", "replace"))
    text = told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)
    return " ".join(_text(_scrubbed(text, key)).split())[:300] or "no message"


def _out_of_quota(body: bytes) -> bool:
    return "insufficient_quota" in (_error_of(body).get("code"), _error_of(body).get("type"))


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """Return what Retry-After asks for, seconds: it gives them, or a date, which is taken by the endpoint's clock."""
    told = headers.get("retry-after", "").strip()
    with contextlib.suppress(ValueError):
        return max(float(told), 0.0) if float(told) < float("inf") else None
    with contextlib.suppress(ValueError, TypeError):
        until = email.utils.parsedate_to_datetime(told).timestamp()
        now = time.time()
        with contextlib.suppress(ValueError, TypeError):
            now = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
        return max(until - now, 0.0)
    return None
