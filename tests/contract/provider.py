"""A small OpenAI-compatible provider that streams. Runs on loopback, in a workspace or outside it.

    provider.py PORT [PROJECT]

It answers every prompt; when the prompt says "write it", it first calls the agent's tool for writing
files, and when it says "delete it", the one for running commands. The file is in the directory that a
second argument names, or where the provider runs; there, too, requests.jsonl tells what it was asked.
Standard library only: the container has nothing else. Ends by itself after ten minutes.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "The desk is yours."
FILE, CONTENT = "made-by-agent.txt", "Hello from the agent.\n"


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("requests.jsonl", "a") as log:
            log.write(json.dumps({"path": self.path, "key": self.headers["Authorization"]}) + "\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks(body):
            self.event({"id": "1", "object": "chat.completion.chunk", "created": 1, **chunk})
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, value):
        text = value if isinstance(value, str) else json.dumps(value)
        data = f"data: {text}\n\n".encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


def chunks(body):
    call = called(body)
    if call:
        yield delta({"role": "assistant", "tool_calls": [call]})
        yield delta({}, "tool_calls")
    else:
        for word in ANSWER.split(" "):
            yield delta({"role": "assistant", "content": word + " "})
        yield delta({}, "stop")
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    yield {"choices": [], "usage": usage}


def called(body):
    messages = body["messages"]
    asked = json.dumps([m for m in messages if m["role"] == "user"][-1:])
    path = os.path.join(sys.argv[2] if len(sys.argv) > 2 else os.getcwd(), FILE)
    wishes = {
        "write it": ("write", {"filePath": path, "content": CONTENT}),
        "delete it": ("bash", {"command": f"rm -f {path}", "description": "Delete a file"}),
    }
    tools = {tool["function"]["name"] for tool in body.get("tools", [])}
    if messages[-1]["role"] == "tool":
        return None
    for wish, (name, arguments) in wishes.items():
        if wish in asked and name in tools:
            function = {"name": name, "arguments": json.dumps(arguments)}
            return {"index": 0, "id": "call_1", "type": "function", "function": function}
    return None


def delta(content, finish=None):
    return {"choices": [{"index": 0, "delta": content, "finish_reason": finish}]}


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider)
    threading.Timer(600, server.shutdown).start()
    with open("provider.ready", "w") as ready:
        ready.write("yes")
    server.serve_forever()
