"""A provider of the tests that speaks all three wires, and misbehaves as the model's name says.

Started as a program by `gateways.Provider`; ends when its standard input does. It keeps its own count
of what it served: GET /served. Models: plain, tools, slow (0.05 s a word), stuck (two words, then
nothing), cut, busy (429), broken (500), garbage, endless, echo (repeats its key in an error), leak
(repeats it in an answer), locked (401), mute (no usage), elsewhere (a redirect), early (hangs up before
it answers), long (2,000 words), late (0.5 s before the first byte).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from aiohttp import web

WORDS = "The desk is yours ."
CACHED, WRITTEN, REASONING = 3, 2, 1
PARSED = 1 << 21
"""Bytes of a request up to which it is looked at."""

Json = dict[str, Any]


class Served:
    """What the provider would put on its bill, and what it was asked last."""

    def __init__(self) -> None:
        self.requests = self.tokens_in = self.tokens_out = 0
        self.open = self.left = self.most_open = 0
        self.last: Json = {}

    def count(self, tokens_in: int, tokens_out: int) -> None:
        self.requests += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out

    def plain(self) -> Json:
        return {**vars(self)}


class Answer:
    """One answer in one wire."""

    def __init__(self, body: Json, size: int) -> None:
        self.model = str(body["model"])
        self.words = [f"{word} " for word in WORDS.split()]
        if self.model == "long":
            self.words *= 400
        if isinstance(body.get("max_tokens"), int):
            self.words = self.words[: body["max_tokens"]]
        self.tools = bool(body.get("tools"))
        self.tokens_in = size // 4 + CACHED + WRITTEN
        self.tokens_out = len(self.words) + REASONING


def chat_usage(answer: Answer) -> Json:
    return {
        "prompt_tokens": answer.tokens_in,
        "completion_tokens": answer.tokens_out,
        "total_tokens": answer.tokens_in + answer.tokens_out,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": REASONING},
    }


def chat(answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": "".join(answer.words)}
    if answer.tools:
        call = {"name": "look", "arguments": '{"at": "desk"}'}
        message |= {"content": None}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": call}]
    reason = "tool_calls" if answer.tools else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": chat_usage(answer),
    }


def chat_events(answer: Answer, body: Json) -> list[Json]:
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": answer.model,
    }
    deltas: list[Json] = [{"role": "assistant", "content": word} for word in answer.words]
    if answer.tools:
        call = {"name": "look", "arguments": '{"at": "desk"}'}
        deltas = [
            {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": call}]}
        ]
    events = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None}
        for delta in deltas
    ]
    events.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage") and answer.model != "mute":
        events.append({**base, "choices": [], "usage": chat_usage(answer)})
    return events


def messages_usage(answer: Answer) -> Json:
    return {
        "input_tokens": answer.tokens_in - CACHED - WRITTEN,
        "cache_read_input_tokens": CACHED,
        "cache_creation_input_tokens": WRITTEN,
        "output_tokens": answer.tokens_out,
    }


def messages(answer: Answer) -> Json:
    content: list[Json] = [{"type": "text", "text": "".join(answer.words)}]
    if answer.tools:
        content = [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "desk"}}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": "tool_use" if answer.tools else "end_turn",
        "stop_sequence": None,
        "usage": messages_usage(answer),
    }


def messages_events(answer: Answer) -> list[Json]:
    start = {**messages(answer), "content": [], "stop_reason": None}
    start["usage"] = {**messages_usage(answer), "output_tokens": 1}
    block: Json = {"type": "text", "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": word} for word in answer.words]
    if answer.tools:
        block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": '{"at": "desk"}'}]
    reason = {"stop_reason": "tool_use" if answer.tools else "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": reason,
            "usage": {"output_tokens": answer.tokens_out},
        },
        {"type": "message_stop"},
    ]


def responses(answer: Answer) -> Json:
    part = {"type": "output_text", "text": "".join(answer.words), "annotations": []}
    item: Json = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    item["content"] = [part]
    if answer.tools:
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "look"}
        item |= {"arguments": '{"at": "desk"}', "status": "completed"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": answer.model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.tokens_in,
            "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens": answer.tokens_out,
            "output_tokens_details": {"reasoning_tokens": REASONING},
            "total_tokens": answer.tokens_in + answer.tokens_out,
        },
    }


def responses_events(answer: Answer) -> list[Json]:
    whole = responses(answer)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    item = whole["output"][0]
    where = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
    ]
    if not answer.tools:
        empty = {"type": "output_text", "text": "", "annotations": []}
        events.append({"type": "response.content_part.added", **where, "part": empty})
        events += [
            {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
            for word in answer.words
        ]
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": "response.completed", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


class Provider:
    """The server."""

    def __init__(self) -> None:
        self.served = Served()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/served":
            return web.json_response(self.served.plain())
        size, body, told = await taken(request)
        self.served.last = {"path": request.raw_path, "headers": dict(request.headers), **told}
        self.served.open += 1
        self.served.most_open = max(self.served.most_open, self.served.open)
        try:
            return await self._answer(request, body, size)
        except (asyncio.CancelledError, ConnectionError):
            self.served.left += 1
            raise
        finally:
            self.served.open -= 1

    async def _answer(self, request: web.BaseRequest, body: Json, size: int) -> web.StreamResponse:
        answer = Answer(body, size)
        refusal = await refused(request, answer.model)
        if refusal is not None:
            return refusal
        kind = request.path.removeprefix("/v1/")
        if body.get("stream"):
            events = {
                "chat/completions": lambda: chat_events(answer, body),
                "messages": lambda: messages_events(answer),
                "responses": lambda: responses_events(answer),
            }[kind]()
            return await self._stream(request, kind, answer, events)
        make = {"chat/completions": chat, "messages": messages, "responses": responses}[kind]
        value = make(answer)
        if answer.model == "mute":
            del value["usage"]
        if answer.model in ("leak", "packed"):
            value["id"] = f"is {key(request)} yours?"
        self.served.count(answer.tokens_in, answer.tokens_out)
        response = web.json_response(value)
        if answer.model == "packed":
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _stream(
        self, request: web.BaseRequest, kind: str, answer: Answer, events: list[Json]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if answer.model == "packed":
            response.enable_compression(web.ContentCoding.gzip)
        await response.prepare(request)
        async for number, event in paced(answer.model, events):
            text = json.dumps(event)
            if answer.model in ("leak", "packed"):
                text = text.replace("desk", key(request))
            name = f"event: {event['type']}\n" if kind != "chat/completions" else ""
            await response.write(f"{name}data: {text}\n\n".encode())
            if answer.model == "cut" and number == 3:
                assert request.transport is not None
                request.transport.abort()
                return response
        if kind == "chat/completions":
            await response.write(b"data: [DONE]\n\n")
        self.served.count(answer.tokens_in, answer.tokens_out)
        await response.write_eof()
        return response


async def taken(request: web.BaseRequest) -> tuple[int, Json, Json]:
    """The size of a request's body, what is in it, and what is told of it.

    Of a large one, whose memory and time would be the tests' own, that is what it would say by default.
    """
    raw, size, digest = b"", 0, hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
        size += len(piece)
        raw += piece if size <= PARSED else b""
    if size > PARSED:
        return size, {"model": "plain"}, {"size": size, "sha256": digest.hexdigest()}
    return size, json.loads(raw), {"body": raw.decode()}


async def paced(model: str, events: list[Json]) -> AsyncIterator[tuple[int, Json]]:
    for number, event in enumerate(events[:4] if model == "endless" else events):
        if model == "slow":
            await asyncio.sleep(0.05)
        if model == "stuck" and number == 4:
            await asyncio.sleep(600)
        yield number, event
    while model == "endless":
        await asyncio.sleep(0.01)
        yield 0, events[1]


def key(request: web.BaseRequest) -> str:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bearer or request.headers.get("x-api-key", "")


async def refused(request: web.BaseRequest, model: str) -> web.StreamResponse | None:
    """How a provider goes wrong before it answers."""
    match model:
        case "busy":
            error = {"error": {"message": "slow down", "type": "rate_limit_error"}}
            return web.json_response(error, status=429, headers={"Retry-After": "7"})
        case "broken":
            return web.json_response({"error": {"message": "it broke", "type": "x"}}, status=500)
        case "echo":
            error = {"error": {"message": f"{key(request)} may not do that", "type": "x"}}
            return web.json_response(error, status=400, headers={"x-request-id": key(request)})
        case "locked":
            text = f"Incorrect API key provided: {key(request)}"
            return web.json_response({"error": {"message": text}}, status=401)
        case "garbage":
            return web.Response(body=b"\x00\xff{]" * 100, content_type="application/json")
        case "elsewhere":
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
        case "early":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        case "late":
            await asyncio.sleep(0.5)
    return None


async def serve() -> None:
    loop = asyncio.get_running_loop()
    handler = web.Server(Provider().handle, handler_cancellation=True, access_log=None)
    server = await loop.create_server(handler, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.close()
    with contextlib.suppress(asyncio.CancelledError):
        await handler.shutdown(0)


if __name__ == "__main__":
    uvloop.run(serve())
