// How a running opencode is recognised, and when its screen counts as attached.
"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const test = require("node:test");
const { place, attached, ask, freePort, promptIn } = require("../../../images/workspace/extension/opencode.js");

const SECRET = "OPENCODE_SERVER_PASSWORD=s=cret";

test("an opencode is recognised by its program, port and password", () => {
    const environment = `HOME=/home/coder\0${SECRET}\0`;
    assert.deepEqual(place("/opt/carrel/opencode\0--port\x004999\0", environment), { port: 4999, password: "s=cret" });
    assert.deepEqual(place("/bin/sh\0/opt/carrel/bin/opencode\0--port\x004999\0", environment).port, 4999);
});

test("another program, one without a port and one without a password are none", () => {
    assert.equal(place("/bin/bash\0-c\0/opt/carrel/bin/opencode --port 1\0", `${SECRET}\0`), null);
    assert.equal(place("/tmp/opencode\0--port\x004999\0", `${SECRET}\0`), null);
    assert.equal(place("/opt/carrel/opencode\0", `${SECRET}\0`), null);
    assert.equal(place("/opt/carrel/opencode\0--port\x004999\0", "HOME=/home/coder\0"), null);
});

test("a screen is attached when somebody is connected to the port, not when it only listens", () => {
    const head = "  sl  local_address rem_address   st tx_queue";
    const row = (local, state) => `   0: 0100007F:${local} 0100007F:D431 ${state} 00000000:00000000`;
    assert.equal(attached([head, row("1387", "0A")].join("\n"), 4999), false);
    assert.equal(attached([head, row("1387", "0A"), row("1387", "01")].join("\n"), 4999), true);
    assert.equal(attached([head, row("1388", "01")].join("\n"), 4999), false);
    assert.equal(attached([head, row("0387", "01")].join("\n"), 0x387), true);
});

test("the prompt is seen through colors and movements, and not before it is drawn", () => {
    assert.equal(promptIn("\x1b[2J\x1b[1;1H\x1b]0;OpenCode\x07"), false);
    assert.equal(promptIn("\x1b[30;5H\x1b[38;2;20;20;20mctrl+p\x1b[0m \x1b[38;2;9;9;9mcom\x1b[0mmands"), true);
});

test("a question carries the password in its header, and a refusal is an error", async () => {
    const seen = [];
    const server = http.createServer((request, reply) => {
        seen.push([request.method, request.url, request.headers.authorization, request.headers.connection]);
        reply.writeHead(request.url === "/no" ? 401 : 200).end("true");
    });
    const port = await freePort();
    await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
    try {
        assert.equal(await ask({ port, password: "pw" }, "POST", "/yes", { text: "x" }), true);
        await assert.rejects(ask({ port, password: "pw" }, "GET", "/no"), /401/);
        const basic = `Basic ${Buffer.from("opencode:pw").toString("base64")}`;
        assert.deepEqual(seen, [["POST", "/yes", basic, "close"], ["GET", "/no", basic, "close"]]);
    } finally {
        server.close();
    }
});
