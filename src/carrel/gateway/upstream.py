"""Asks a provider and passes its answer on as it comes, without the key ever coming back.

Used by `admission`. Never holds back a part of a stream, never repeats a request, never waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from carrel.core.gateway import Upstream
from carrel.core.site import Wire
from carrel.gateway import wire
from carrel.gateway.body import Body
from carrel.gateway.decoding import Decoder, Undecodable
from carrel.gateway.exchange import Exchange
from carrel.gateway.request import Replacement, size_after
from carrel.gateway.scrub import REPLACEMENT, Scrubber
from carrel.gateway.unasked import Unasked
from carrel.gateway.usage import Kind, Meter

CONNECT_SECONDS = 10
FIRST_BYTE_SECONDS = 300
"""A large model may think for minutes before its first word."""
SILENCE_SECONDS = 120
"""Between two pieces of an answer; also how long a client may take to read one."""
LAST_WORDS_SECONDS = 5
"""How long a client may take to read that its answer was cut."""
WHOLE = 1 << 18
"""Bytes up to which an answer that is no stream is read at once and sent at once."""
ERROR_SIZE = 1 << 20

ANTHROPIC_VERSION = "2023-06-01"
_SENT = ("Accept", "User-Agent", "anthropic-version", "anthropic-beta", "OpenAI-Beta")
"""Of the client's headers, those that a provider gets; all others stay here."""
_RETURNED = (
    "Content-Type",
    "Cache-Control",
    "Retry-After",
    "retry-after-ms",
    "x-request-id",
    "request-id",
    "openai-processing-ms",
    "openai-version",
)
"""Of the provider's headers, those that a client gets; who pays, and how much is left, is not theirs."""

log = logging.getLogger("carrel.gateway")


@dataclass(frozen=True, slots=True)
class Errand:
    """Where a request goes, with which key."""

    url: URL
    provider: Upstream
    key: str = field(repr=False)
    kind: Kind
    stream: bool
    proxy: str = ""
    """What to ask through; empty: nothing."""
    withhold: bool = False
    """Whether the client must not see the event that tells a chat's usage: it did not ask for it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A body, and what is different about it for the provider."""

    body: Body
    changes: tuple[Replacement, ...]


def client(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    """The one client of a gateway: no cookies, no proxy of the environment, no decompressing.

    `trust` may learn of more authorities later.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust, ttl_dns_cache=60),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )


async def forward(
    request: web.BaseRequest,
    outgoing: Outgoing,
    errand: Errand,
    exchange: Exchange,
    session: aiohttp.ClientSession,
) -> web.StreamResponse:
    """Ask, and pass on the answer. A client that leaves cancels this, and with it the asking."""
    answer: aiohttp.ClientResponse | None = None
    try:
        exchange.sent = True
        headers = _headers(request, errand)
        headers["Content-Length"] = str(size_after(outgoing.body.size, outgoing.changes))
        async with asyncio.timeout(FIRST_BYTE_SECONDS):
            answer = await session.post(
                errand.url,
                # From here on, nothing keeps it: its answer may take minutes.
                data=await outgoing.body.outgoing(outgoing.changes),
                headers=headers,
                proxy=errand.proxy or None,
                allow_redirects=False,
            )
        if answer.status >= 300:  # noqa: PLR2004
            return await _refused(answer, errand, exchange)
        return await _Passing(request, answer, errand, exchange).run()
    except aiohttp.ClientConnectorError as error:
        exchange.sent = False
        log.warning("%s cannot be reached: %s", errand.provider.name, type(error).__name__)
        return _trouble(errand, exchange, 502, "cannot be reached at the moment")
    except TimeoutError as error:
        exchange.sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
        log.warning("%s did not answer in time", errand.provider.name)
        return _trouble(errand, exchange, 504, "did not answer in time")
    except (aiohttp.ClientError, ConnectionError, ValueError) as error:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the client left") from error
        log.warning("%s broke off: %s", errand.provider.name, type(error).__name__)
        return _trouble(errand, exchange, 502, "broke off without an answer that makes sense")
    finally:
        if answer is not None:
            # Read to its end, it has given its connection back already; otherwise this ends it.
            answer.close()


def _headers(request: web.BaseRequest, errand: Errand) -> dict[str, str]:
    given = request.headers
    headers = {name: given[name] for name in _SENT if name in given}
    headers["Content-Type"] = "application/json"
    headers["Accept-Encoding"] = "identity"
    if errand.provider.wire is Wire.ANTHROPIC:
        headers.setdefault("anthropic-version", ANTHROPIC_VERSION)
        if errand.key:
            headers["x-api-key"] = errand.key
    elif errand.key:
        headers["Authorization"] = f"Bearer {errand.key}"
    return headers


def _trouble(errand: Errand, exchange: Exchange, status: int, what: str) -> web.Response:
    exchange.finish(status)
    sentence = f"The AI provider {errand.provider.name} {what}. Try again in a moment."
    return _error(errand, status, sentence)


def _error(errand: Errand, status: int, sentence: str) -> web.Response:
    body = wire.error(errand.provider.wire, status, sentence)
    return web.Response(status=status, body=body, content_type="application/json")


async def _refused(
    answer: aiohttp.ClientResponse, errand: Errand, exchange: Exchange
) -> web.Response:
    """Pass on the provider's error, without the key; one about the key itself is for the operator."""
    exchange.sent = False
    exchange.first_byte()
    status, name = answer.status, errand.provider.name
    if status in (401, 403):
        log.error("%s refuses this server's key (status %d)", name, status)
        exchange.finish(status)
        return _error(
            errand,
            403,
            f"The AI provider {name} refuses the key of this server. Whoever runs this server has to "
            f"set another one: carrel ai key add {name}",
        )
    if status < 400:  # noqa: PLR2004
        return _trouble(errand, exchange, 502, "sent us elsewhere, where keys do not go")
    async with asyncio.timeout(SILENCE_SECONDS):
        body = await _error_body(answer)
    exchange.finish(status)
    return web.Response(
        status=status, body=_clean(body, errand.key), headers=_returned(answer, errand)
    )


async def _error_body(answer: aiohttp.ClientResponse) -> bytes:
    """The body of a refusal, up to `ERROR_SIZE`."""
    decoder, body = _decoder(answer), bytearray()
    async for piece in answer.content.iter_any():
        for opened in decoder.feed(piece):
            body += opened
            if len(body) >= ERROR_SIZE:
                return bytes(body[:ERROR_SIZE])
    return bytes(body)


def _decoder(answer: aiohttp.ClientResponse) -> Decoder:
    return Decoder(answer.headers.get("Content-Encoding", ""))


def _clean(text: bytes, key: str) -> bytes:
    return text.replace(key.encode(), REPLACEMENT) if key else text


def _returned(answer: aiohttp.ClientResponse, errand: Errand) -> dict[str, str]:
    given = answer.headers
    headers = {name: given[name] for name in _RETURNED if name in given}
    if errand.key:
        headers = {n: v.replace(errand.key, REPLACEMENT.decode()) for n, v in headers.items()}
    return headers


class _Passing:
    """An answer on its way to the client, counted and cleaned as it passes."""

    def __init__(
        self,
        request: web.BaseRequest,
        answer: aiohttp.ClientResponse,
        errand: Errand,
        exchange: Exchange,
    ) -> None:
        self._request = request
        self._answer = answer
        self._errand = errand
        self._exchange = exchange
        kind = answer.headers.get("Content-Type", "")
        self._events = "event-stream" in kind if kind else errand.stream
        self._meter = exchange.meter = Meter(errand.kind, stream=self._events)
        self._scrubber = Scrubber(errand.key.encode())
        self._decoder = _decoder(answer)
        self._unasked = Unasked() if self._events and errand.withhold else None

    async def run(self) -> web.StreamResponse:
        """Pass it on to its end."""
        length = self._answer.content_length
        small = length is not None and length <= WHOLE and not self._decoder.packed
        if not self._events and small:
            async with asyncio.timeout(SILENCE_SECONDS):
                body = await self._answer.read()
            self._exchange.first_byte()
            self._meter.feed(body)
            self._meter.end()
            self._exchange.finish(self._answer.status)
            headers = _returned(self._answer, self._errand)
            return web.Response(
                status=self._answer.status, body=_clean(body, self._errand.key), headers=headers
            )
        return await self._stream()

    async def _stream(self) -> web.StreamResponse:
        headers = _returned(self._answer, self._errand)
        response = web.StreamResponse(status=self._answer.status, headers=headers)
        await response.prepare(self._request)
        try:
            await self._pieces(response)
        except (aiohttp.ClientError, ConnectionError, TimeoutError, Undecodable) as error:
            await self._cut(response, error)
            return response
        self._meter.end()
        self._exchange.finish(self._answer.status)
        held = self._unasked.end() if self._unasked else b""
        if rest := self._scrubber.feed(held) + self._scrubber.end():
            await response.write(rest)
        await response.write_eof()
        return response

    async def _pieces(self, response: web.StreamResponse) -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(SILENCE_SECONDS) as clock:
            async for piece in self._answer.content.iter_any():
                clock.reschedule(now() + SILENCE_SECONDS)
                self._exchange.first_byte()
                for opened in self._decoder.feed(piece):
                    self._meter.feed(opened)
                    wanted = self._unasked.feed(opened) if self._unasked else opened
                    if passed := self._scrubber.feed(wanted):
                        await response.write(passed)

    async def _cut(self, response: web.StreamResponse, error: Exception) -> None:
        """The provider stopped in the middle. A stream can say so; anything else has to break."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left") from error
        name = self._errand.provider.name
        log.warning("%s broke off in the middle: %s", name, type(error).__name__)
        self._exchange.finish(502)
        if not self._events:
            transport.abort()
            return
        sentence = f"The AI provider {name} broke off in the middle of its answer. Ask again."
        data = wire.error(self._errand.provider.wire, 502, sentence)
        event = b"event: error\n" if self._errand.kind is not Kind.CHAT else b""
        try:
            # Who has not read for so long may never read this either.
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                rest = self._scrubber.end()
                await response.write(rest + b"\n\n" + event + b"data: " + data + b"\n\n")
                await response.write_eof()
        except TimeoutError:
            transport.abort()
