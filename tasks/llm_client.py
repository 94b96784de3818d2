"""One request to an OpenAI-compatible endpoint: sent, waited for, tried again as the endpoint asks.

The key is read from the environment for each request and goes into its header, nowhere else.
"""

import json
import logging
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from tasks.credentials import without_queries
from tasks.llm_budget import MOST_PER_PICTURE, Ledger, LlmError, Usage
from tasks.llm_http import Connections, Response, TooLongError
from tasks.llm_messages import Message, Picture, sent
from tasks.llm_response import NoAnswer, Said, error_text, is_out_of_quota, retry_after_s, said_in, scrubbed
from tasks.llm_settings import Endpoint
from tasks.tables import Reject

log = logging.getLogger(__name__)

_AGAIN = {408, 409, 425, 429}  # what passes, as all from 500 on
_LOST = {504, 524}  # a gateway stopped waiting: the answer may have been made and be charged
_FOR_ALL = {401, 402, 404, 405}  # what the next request would meet too; 403 only where nothing was answered
_TOLD_WAIT_S = 5.0  # a shorter wait is not worth a line
# Of stored answers: a row of requests that fail in run after run, with nothing else left to ask, is not longer.
_FAILING_SHARE = 0.1
_LONGEST_ROW = 4  # such rows, in failures_in_a_row


class EndpointError(LlmError):
    """An endpoint that gives no answers."""


class Stopped(Exception):
    """Another thread has met what ends the run; this request was not sent."""


class _Failed(Exception):
    """One try that brought no answer. `wait_s`: how long the endpoint asks to wait. `lost`: it may be charged."""

    def __init__(
        self,
        why: str,
        *,
        wait_s: float | None = None,
        is_busy: bool = False,
        is_reached: bool = True,
        lost: bool = False,
    ) -> None:
        super().__init__(why)
        self.why, self.wait_s, self.is_busy, self.is_reached, self.lost = why, wait_s, is_busy, is_reached, lost


class Sender:
    """Sends requests to one endpoint, from any number of threads, until `stop` is set."""

    def __init__(self, endpoint: Endpoint, connections: Connections, ledger: Ledger, stop: threading.Event) -> None:
        self._endpoint, self._connections, self._ledger, self._stop = endpoint, connections, ledger, stop
        self._address = without_queries(endpoint.base_url)
        self._answered = 0
        self._failed_in_a_row = 0
        self._open_at = 0.0  # time.monotonic before which the endpoint wants no request
        self._lock = threading.Lock()

    def ask(
        self, messages: Sequence[Message], settings: Mapping[str, Any], name: str, pictures: Sequence[Picture] = ()
    ) -> Said:
        """Return the answer to `messages`; `settings` are the other fields of the request, `name` seeds the waits.

        `pictures` are those that the messages show.
        Raises Reject "refused" where the endpoint refuses this request, and "no_answer" where no try brought one;
        EndpointError where others would fare alike; BudgetError before a call that may pass a limit; Stopped.
        """
        fields = dict(settings)
        if "max_tokens" in fields:
            fields[self._endpoint.max_tokens_field] = fields.pop("max_tokens")
        text, body = (_encoded({**fields, "messages": told}) for told in (list(messages), sent(messages, pictures)))
        prompt = len(text) + len(pictures) * MOST_PER_PICTURE  # a token has a byte at least
        most = Usage(prompt, int(settings.get("max_tokens", 0)))
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
                    raise self._given_up(failed, tries) from None
                log.debug("%s: %s; another try follows in %.1f s", self._address, failed.why, wait_s)
                self._pause(wait_s)
            else:
                with self._lock:
                    self._answered += 1
                    self._failed_in_a_row = 0
                return said

    # --- one try ---

    def _try(self, body: bytes, messages: Sequence[Message], most: Usage) -> Said:
        """Send once. What it may have cost is in the ledger whatever happens."""
        key = _key(self._endpoint.key_variable)
        self._ledger.take(most)
        if self._stop.is_set():  # while it waited for its share of the budget
            self._ledger.give_back(most)
            raise Stopped
        used, not_told = Usage(), replace(most, estimated=1)
        try:
            said = self._read(self._post(body, key), key, messages)
            used = not_told if said.usage.estimated else said.usage
            return said
        except _Failed as failed:
            used = not_told if failed.lost else used
            raise
        finally:
            self._ledger.settle(most, used)

    def _post(self, body: bytes, key: str) -> Response:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        try:
            return self._connections.post(body, headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            why = f"no connection ({type(error).__name__}: {without_queries(scrubbed(str(error), key))[:200]})"
            raise _Failed(why, is_reached=False) from None
        except TimeoutError:
            raise _Failed(f"no whole answer in {self._endpoint.answer_timeout_s:g} s", lost=True) from None
        except TooLongError as error:
            raise _Failed(str(error), lost=True) from None
        except httpx2.HTTPError as error:  # not its text: it may repeat what was sent
            raise _Failed(f"the connection broke ({type(error).__name__})", lost=True) from None
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise EndpointError(
                f"{self._address}: no address ({type(error).__name__}): correct run.llm.endpoint.base_url"
            ) from None

    def _read(self, response: Response, key: str, messages: Sequence[Message]) -> Said:
        if response.status != 200:
            self._raise_for(response, key)
        try:
            return said_in(response.body, key, messages)
        except NoAnswer as error:
            raise _Failed(str(error), lost=True) from None

    def _raise_for(self, response: Response, key: str) -> None:
        status = response.status
        why = f"HTTP {status}: {error_text(response.body, key)}"
        passes = status in _AGAIN or status >= 500
        if passes and not is_out_of_quota(response.body):
            wait_s = retry_after_s(response.headers)
            raise _Failed(why, wait_s=wait_s, is_busy=status == 429, lost=status in _LOST)
        remedy = {
            401: f"set {self._endpoint.key_variable} to a key that the endpoint takes",
            403: f"set {self._endpoint.key_variable} to a key that may use this model",
            404: "check run.llm.endpoint.base_url, and that the endpoint has the model of that name",
            405: "check run.llm.endpoint.base_url: it ends before /chat/completions",
        }.get(status, "check the account" if status >= 400 else "set run.llm.endpoint.base_url to where it leads")
        # where it takes the key for others, 403 is its word on this request: moderation, most often
        of_the_key = status == 403 and not self._answered + self._ledger.stored
        if status in _FOR_ALL or status < 400 or passes or of_the_key:
            raise EndpointError(f"{self._address}: {why}: {remedy}, and run again: what is answered is stored")
        if status == 403:
            raise self._counted(Reject("refused", why), why, self._failing(), remedy)
        raise self._counted(Reject("refused", why), why, self._answered + self._ledger.stored)

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
        return max(wait_s, failed.wait_s)  # "0" or "1" of a server that is down would use up all tries at once

    def _wait_until_open(self) -> None:
        while (left := self._open_at - time.monotonic()) > 0:
            self._pause(left)
        self._pause(0)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise Stopped

    def _given_up(self, failed: _Failed, tries: int) -> Exception:
        told = f"{failed.why}, at the last of {tries} tries" if tries > 1 else failed.why
        reject = Reject("no_answer", f"{told}; not stored: the next run of the stage asks again")
        return self._counted(reject, failed.why, self._failing() if failed.is_reached else 0)

    def _failing(self) -> int:
        """Return how many requests in a row may fail since answers to the others of this run are stored."""
        return min(int(self._ledger.stored * _FAILING_SHARE), _LONGEST_ROW * self._endpoint.failures_in_a_row)

    def _counted(self, reject: Reject, why: str, allowed: int, remedy: str = "") -> Exception:
        """Return `reject`, or what ends the run where it is one too many.

        `allowed` in a row are the fault of the requests: a run that goes on from stored answers asks little else.
        """
        with self._lock:
            self._failed_in_a_row += 1
            count = self._failed_in_a_row
        if count < self._endpoint.failures_in_a_row or count <= allowed:
            return reject
        remedy = remedy or (
            "see that the endpoint runs and takes such requests (run.llm.endpoint in params.yaml; failures_in_a_row "
            "where these alone fail)"
        )
        return EndpointError(
            f"{self._address}: {count} requests failed in a row, the last with: {why}: {remedy}, and run again: what "
            f"is answered is stored"
        )


def _encoded(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, ensure_ascii=False, allow_nan=False).encode()


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not all("!" <= character <= "~" and character not in '"\\' for character in key):
        raise EndpointError(f"{variable} holds characters that no key has (blanks, quotes, beyond ASCII): set it anew")
    return key
