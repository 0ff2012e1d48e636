"""One person's way in: who it is, what is asked for, and whether it may be.

Used by the daemon, one for each socket. What passes goes to `upstream`; all else is answered here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import time

from aiohttp import web

from carrel.core.gateway import (
    STAND_IN,
    STAND_IN_MODEL,
    Chosen,
    Person,
    Unknown,
    Upstream,
    choose,
    offered,
)
from carrel.core.site import EVERYONE, Price, Unpriced, Wire
from carrel.gateway import request as requests
from carrel.gateway import standin, upstream, wire
from carrel.gateway.body import Bodies
from carrel.gateway.budget import Refusal
from carrel.gateway.context import Context
from carrel.gateway.denied import Denied
from carrel.gateway.exchange import CLIENT_LEFT, Exchange
from carrel.gateway.request import Asked, Replacement, Unreadable
from carrel.gateway.settings import Known
from carrel.gateway.usage import Kind, Usage

log = logging.getLogger("carrel.gateway")

FREE = Price(0, 0, 0, 0)
_SESSION = re.compile(r"[!-~]{1,128}")
_QUERIES = {"", "beta=true"}
"""Anthropic's clients add this one; what it means is also in a header."""


class Admission:
    """The handler of one person's socket."""

    def __init__(self, context: Context, user: str) -> None:
        self._context = context
        self._user = user
        self._bodies = Bodies(context.room)
        self._turn = asyncio.Lock()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        # The wire that a path looks like decides in which shape a refusal comes.
        target = request.raw_path
        shape = Wire.ANTHROPIC if "/messages" in target[:64] else Wire.OPENAI
        try:
            return await self._admit(request, target)
        except Denied as denied:
            return self._denied(shape, denied)
        except ConnectionError:
            # The client is gone; there is nobody to tell.
            raise
        except Exception:
            log.exception("a fault of the gateway itself")
            sentence = "The AI gateway has a fault of its own; it is in the log of this server."
            return self._denied(shape, Denied(500, "fault", sentence))

    def _denied(self, shape: Wire, denied: Denied) -> web.Response:
        self._context.metrics.add("refused_total", reason=denied.why)
        headers = {"Retry-After": str(denied.retry_after)} if denied.retry_after else None
        return web.Response(
            status=denied.status,
            body=wire.error(shape, denied.status, denied.sentence, denied.why),
            content_type=standin.JSON,
            headers=headers,
        )

    async def _admit(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        known = self._context.known
        person = self._person(request, known)
        path, _, query = target.partition("?")
        if path == wire.USAGE_PATH and request.method == "GET":
            return web.json_response(self._context.usage(person))
        route = known.routes.get((request.method, path))
        if route is None or query not in _QUERIES:
            raise Denied(404, "path", "There is nothing at this address.")
        at = known.providers.get(route.provider)
        if route.kind is None:
            kind = at.wire if at else Wire.OPENAI
            return _json(wire.models(kind, _names(known, at)))
        self._enter(person, known)
        try:
            return await self._serve(request, route.kind, at, person)
        finally:
            self._context.ledger.leave(self._user)

    def _person(self, request: web.BaseRequest, known: Known) -> Person:
        """Whose socket this is, if the token agrees."""
        person = known.people.get(self._user)
        given = request.headers.get("Authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            token = request.headers.get("x-api-key", "")
        expected = known.secrets.get(person.token_variable, "") if person else ""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        # Compared also when there is nothing to compare with, so that time tells nothing.
        agrees = hmac.compare_digest(digest, expected)
        if person is None or not agrees or not token:
            raise Denied(
                401,
                "token",
                "This token does not belong to this workspace. "
                "Open the workspace anew; if that does not help, ask whoever runs this server.",
            )
        return person

    def _enter(self, person: Person, known: Known) -> None:
        context = self._context
        if context.closing:
            raise Denied(503, "closing", "The AI gateway restarts. Try again in a moment.", 2)
        if context.stopped:
            raise Denied(
                503,
                "books",
                "The AI gateway cannot write its books, so it has stopped. Whoever runs this server has "
                "to look: the disk may be full. It goes on by itself when that is mended.",
                30,
            )
        total = known.settings.total
        refusal = context.ledger.enter(self._user, time.time(), person.limits, total)
        if refusal is not None:
            raise Denied(429, refusal.why, refusal.sentence, refusal.retry_after)

    async def _serve(
        self, request: web.BaseRequest, kind: Kind, at: Upstream | None, person: Person
    ) -> web.StreamResponse:
        body = await self._bodies.read(request, _most(person, self._context.known))
        try:
            try:
                asked = await self._context.scanner.asked(kind, body, self._turn)
            except Unreadable as error:
                raise Denied(400, "body", str(error)) from None
            found = self._prepare(request, kind, at, person, asked)
            if isinstance(found, web.Response):
                return found
            changes, errand, exchange = found
            outgoing = upstream.Outgoing(body, changes)
            return await self._forward(request, outgoing, errand, exchange)
        finally:
            body.release()

    async def _forward(
        self,
        request: web.BaseRequest,
        outgoing: upstream.Outgoing,
        errand: upstream.Errand,
        exchange: Exchange,
    ) -> web.StreamResponse:
        self._context.begin(exchange)
        try:
            return await upstream.forward(request, outgoing, errand, exchange, self._context.client)
        except BaseException:
            exchange.finish(CLIENT_LEFT)
            raise
        finally:
            self._context.end(exchange)

    def _prepare(
        self,
        request: web.BaseRequest,
        kind: Kind,
        at: Upstream | None,
        person: Person,
        asked: Asked,
    ) -> web.Response | tuple[tuple[Replacement, ...], upstream.Errand, Exchange]:
        """What goes to which provider, with its reservation; or the answer, if nothing goes."""
        # Settings may have changed while the body came.
        known = self._context.known
        if not known.settings.providers:
            return _instead(kind, asked, "", known)
        chosen = choose(known.settings, asked.model, at)
        if isinstance(chosen, Unknown) and asked.model == STAND_IN_MODEL:
            # A session that was begun before there was a provider.
            return _instead(kind, asked, "", known)
        if isinstance(chosen, Unknown):
            raise Denied(404, "model", chosen.sentence)
        provider = chosen.provider
        if wire.wire_of(kind) is not provider.wire:
            right = "messages" if provider.wire is Wire.ANTHROPIC else "chat/completions"
            raise Denied(
                404,
                "wire",
                f"The provider {provider.name} is asked at /v1/{right}, not /v1/{kind}.",
            )
        if not known.usable(provider):
            return _instead(kind, asked, provider.name, known)
        exchange = self._reserve(request, asked, chosen, person)
        errand = upstream.Errand(
            known.urls[provider.name, kind],
            provider,
            known.key(provider),
            kind,
            asked.stream,
            proxy=known.proxies[provider.name],
            withhold=kind is Kind.CHAT and not (asked.asks_for_usage or provider.tells_unasked),
        )
        changes = requests.outgoing(asked, kind, chosen.model, tells_unasked=provider.tells_unasked)
        return changes, errand, exchange

    def _reserve(
        self, request: web.BaseRequest, asked: Asked, chosen: Chosen, person: Person
    ) -> Exchange:
        """Keep what the request may cost at most, or refuse it."""
        settings, now = self._context.known.settings, time.time()
        price = _price(chosen, settings.unpriced)
        size = asked.input_estimate(price.context)
        usage = Usage(input=size, output=asked.output_estimate(price.max_output))
        kept = self._context.ledger.reserve(
            self._user,
            now,
            # What goes into a cache may cost more than input.
            max(usage.cost(price), Usage(size, usage.output, cache_write=size).cost(price)),
            usage.total,
            limits=person.limits,
            total=settings.total,
        )
        if isinstance(kept, Refusal):
            raise Denied(403, kept.why, kept.sentence)
        session = request.headers.get("X-Session-Id", "")
        return Exchange(
            id=self._context.books.next_id(),
            user=self._user,
            session=session if _SESSION.fullmatch(session) else "",
            provider=chosen.provider.name,
            model=chosen.model,
            price=price,
            kept=kept,
            reserved=usage,
            input=-(-size * requests.BYTES_PER_TOKEN // 4),
            time=now,
        )


def _price(chosen: Chosen, unpriced: Unpriced) -> Price:
    price = chosen.provider.price(chosen.model)
    if price is not None:
        return price
    if unpriced is Unpriced.FREE:
        return FREE
    name = f"{chosen.provider.name}/{chosen.model}"
    raise Denied(
        403,
        "price",
        f"Nobody has said yet what {name} costs, so it is not offered. Whoever runs this server sets "
        f'ai.providers.{chosen.provider.name}.prices, or ai.unpriced = "free".',
    )


def _most(person: Person, known: Known) -> int:
    sizes = (person.limits.request_size, known.settings.total.request_size)
    return min((size for size in sizes if size is not None), default=EVERYONE.request_size or 0)


def _names(known: Known, at: Upstream | None) -> list[str]:
    if not known.settings.providers:
        return [known.settings.model.removeprefix(f"{STAND_IN}/")]
    return offered(known.settings, at)


def _instead(kind: Kind, asked: Asked, provider: str, known: Known) -> web.Response:
    if provider or not known.settings.providers:
        text = standin.words(provider, own_keys=known.settings.allow_own_keys)
    else:
        text = standin.CONNECTED
    content, body = standin.answer(
        kind, asked.model, text, stream=asked.stream, now=int(time.time())
    )
    return web.Response(body=body, headers={"Content-Type": content})


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type=standin.JSON)
