"""Requests to an endpoint: each has its time from the connection to the last byte, whatever comes how slowly.

An event loop in a thread of its own carries them, which can end a request at any point; a blocking client can only
limit each read.
"""

import asyncio
import contextlib
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2

from tasks.credentials import cut_logged_addresses
from tasks.llm_settings import Endpoint

_BODY_BYTES = 32 << 20  # of an answer; more is no answer
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class TooLongError(Exception):
    """A response that has more bytes than any answer."""


@dataclass(frozen=True)
class Response:
    """A whole response."""

    status: int
    headers: httpx2.Headers
    body: bytes


class Connections:
    """Connections to one endpoint, for any number of threads."""

    def __init__(self, endpoint: Endpoint, client: httpx2.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint, self._client, self._loop = endpoint, client, loop

    def post(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send `body` and return the response.

        Raises what httpx2 raises, TimeoutError after `answer_timeout_s`, TooLongError.
        """
        return asyncio.run_coroutine_threadsafe(self._post(body, headers), self._loop).result()

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> Response:
        data = bytearray()
        async with (
            asyncio.timeout(self._endpoint.answer_timeout_s),
            self._client.stream("POST", self._endpoint.chat_url, content=body, headers=headers) as response,
        ):
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > _BODY_BYTES:
                    raise TooLongError(f"answer of more than {_BODY_BYTES} bytes")
        return Response(response.status_code, response.headers, bytes(data))


@contextlib.contextmanager
def open_connections(endpoint: Endpoint) -> Iterator[Connections]:
    """Yield the connections to an endpoint. Proxies of the environment are used, but not for this machine itself.

    Requests that are under way at the end of the block are broken off.
    """
    cut_logged_addresses()
    local = urllib.parse.urlsplit(endpoint.base_url).hostname in _LOOPBACK
    client = httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=endpoint.connect_timeout_s),
        limits=httpx2.Limits(max_connections=endpoint.concurrency, max_keepalive_connections=endpoint.concurrency),
        trust_env=not local,
        follow_redirects=False,  # the key goes to the endpoint and to nobody else
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Connections(endpoint, client, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_end(client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(client: httpx2.AsyncClient) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.aclose()
