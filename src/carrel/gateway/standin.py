"""What is said in the assistant's place as long as no provider can be asked, on every wire.

Used by the gateway. It costs nothing and asks nobody.
"""

from __future__ import annotations

import json
from typing import Any

from carrel.core.prices import BASE_URLS
from carrel.gateway.usage import Kind

JSON, EVENTS = "application/json", "text/event-stream"


CONNECTED = (
    "An AI provider is connected to this server now. This session was begun before that: type `/exit`, "
    "open the agent again, and ask me there.\n"
)
"""For sessions that were begun when there was no provider."""


def words(provider: str, *, own_keys: bool) -> str:
    """What is missing, and the one command to type. `provider` empty: none is configured."""
    if provider:
        start = f"I cannot answer yet: this server has no key for **{provider}**."
        command = f"carrel ai key add {provider}"
        more = ""
    else:
        start = "I cannot answer yet: no AI provider is connected to this server."
        command = "carrel ai key add anthropic"
        names = ", ".join(sorted(BASE_URLS))
        more = f"\n\nInstead of `anthropic` it can be another provider: {names}."
    own = (
        "\n\nIf you have a key of your own, type `opencode auth login` in a terminal instead."
        if own_keys
        else ""
    )
    return (
        f"{start} Nothing is broken, and your files are safe.\n\n"
        f"Whoever runs this server types one command there and pastes a key:\n\n"
        f"    {command}\n\n"
        f"After that, type `/exit` here, open me again, and ask. Nothing else has to be restarted."
        f"{more}{own}\n"
    )


def answer(kind: Kind, model: str, text: str, *, stream: bool, now: int) -> tuple[str, bytes]:
    """Content type and body of `text` as an answer of the assistant."""
    match kind:
        case Kind.CHAT:
            return _chat(model, text, stream=stream, now=now)
        case Kind.RESPONSES:
            return _responses(model, text, stream=stream, now=now)
        case Kind.MESSAGES:
            return _messages(model, text, stream=stream)


def _chat(model: str, text: str, *, stream: bool, now: int) -> tuple[str, bytes]:
    base = {"id": "chatcmpl-carrel", "created": now, "model": model}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    message = {"role": "assistant", "content": text}
    if not stream:
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return _json({**base, "object": "chat.completion", "choices": [choice], "usage": usage})
    chunk = {**base, "object": "chat.completion.chunk"}
    said = [{"index": 0, "delta": message, "finish_reason": None}]
    ended = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    events = [{**chunk, "choices": c} for c in (said, ended)]
    kind, body = _events([*events, {**chunk, "choices": [], "usage": usage}], named=False)
    return kind, body + b"data: [DONE]\n\n"


def _messages(model: str, text: str, *, stream: bool) -> tuple[str, bytes]:
    usage = {"input_tokens": 0, "output_tokens": 0}
    message: dict[str, Any] = {
        "id": "msg_carrel",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    if not stream:
        return _json(message)
    empty = {**message, "content": [], "stop_reason": None}
    return _events(
        [
            {"type": "message_start", "message": empty},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            },
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": usage,
            },
            {"type": "message_stop"},
        ]
    )


def _responses(model: str, text: str, *, stream: bool, now: int) -> tuple[str, bytes]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item: dict[str, Any] = {
        "id": "msg_carrel",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    whole: dict[str, Any] = {
        "id": "resp_carrel",
        "object": "response",
        "created_at": now,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
    }
    if not stream:
        return _json(whole)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    where = {"item_id": "msg_carrel", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **where, "delta": text, "logprobs": []},
        {"type": "response.output_text.done", **where, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return _events([{**event, "sequence_number": n} for n, event in enumerate(events)])


def _json(value: object) -> tuple[str, bytes]:
    return JSON, json.dumps(value, ensure_ascii=False).encode()


def _events(values: list[dict[str, Any]], *, named: bool = True) -> tuple[str, bytes]:
    text = "".join(
        (f"event: {value['type']}\n" if named else "")
        + f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
        for value in values
    )
    return EVENTS, text.encode()
