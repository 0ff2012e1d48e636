// The small web server: what it gives out, to whom, and when it ends.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { once } = require("node:events");
const test = require("node:test");
const { Pages, fileFor, isPage, lively } = require("../../../images/workspace/extension/pages.js");

function project(t) {
    const base = fs.mkdtempSync(path.join(os.tmpdir(), "carrel-pages-"));
    t.after(() => fs.rmSync(base, { recursive: true }));
    const root = path.join(base, "project");
    fs.mkdirSync(path.join(root, "sub", ".git"), { recursive: true });
    fs.writeFileSync(path.join(base, "outside.html"), "outside");
    fs.writeFileSync(path.join(root, "index.html"), "<body>Beans</body>");
    fs.writeFileSync(path.join(root, "a b.css"), "b{}");
    fs.writeFileSync(path.join(root, ".env"), "KEY=1");
    fs.writeFileSync(path.join(root, "sub", ".git", "config"), "secret");
    fs.writeFileSync(path.join(root, "sub", "index.html"), "Sub");
    fs.symlinkSync("../outside.html", path.join(root, "link.html"));
    fs.symlinkSync(".env", path.join(root, "env.txt"));
    fs.symlinkSync("index.html", path.join(root, "home.html"));
    return root;
}

async function served(t, more) {
    const pages = new Pages(project(t), more);
    const port = await pages.listen();
    t.after(() => pages.close());
    return { pages, port };
}

/** The answer to a path that is sent as it is: fetch() would tidy up the dots. */
async function get(port, target, method = "GET") {
    const request = http.request({ host: "127.0.0.1", port, path: target, method, agent: false });
    request.end();
    const [reply] = await once(request, "response");
    let text = "";
    for await (const part of reply.setEncoding("utf8")) text += part;
    return { status: reply.statusCode, kind: reply.headers["content-type"], text };
}

test("files of the project are found, also in directories and behind links that stay inside", (t) => {
    const root = project(t);
    const found = ["index.html", "", "sub", "sub/", "a%20b.css", "home.html"].map((asked) => fileFor(root, asked));
    const wanted = ["index.html", "index.html", "sub/index.html", "sub/index.html", "a b.css", "index.html"];
    assert.deepEqual(found, wanted.map((name) => path.join(fs.realpathSync(root), name)));
});

test("nothing outside, nothing hidden and nothing behind a link to either is found", (t) => {
    const root = project(t);
    const asked = [
        "../outside.html", "..%2foutside.html", "%2e%2e/outside.html", "sub/../../outside.html", "..%5coutside.html",
        "link.html", "env.txt", ".env", "%2eenv", "sub/.git/config", "missing.html", "index.html%00.css", "%E0%A4%A",
        "/etc/passwd", "//etc/passwd",
    ];
    for (const one of asked) assert.equal(fileFor(root, one), null, one);
});

test("only who knows the secret gets a page, and nobody may send anything", async (t) => {
    const { pages, port } = await served(t);
    const right = await get(port, `/${pages.secret}/index.html`);
    assert.deepEqual([right.status, right.kind], [200, "text/html; charset=utf-8"]);
    assert.match(right.text, /Beans<script>/);
    assert.equal((await get(port, `/${pages.secret}/a%20b.css`)).text, "b{}");
    const wrong = ["/", "/index.html", "//index.html", `/${pages.secret.slice(1)}/index.html`, `/${pages.secret}x/index.html`];
    for (const one of wrong) assert.equal((await get(port, one)).status, 404, one);
    for (const one of ["/../outside.html", "/..%2f..%2foutside.html", "/.env"]) {
        assert.equal((await get(port, `/${pages.secret}${one}`)).status, 404, one);
    }
    assert.equal((await get(port, `/${pages.secret}/index.html`, "POST")).status, 405);
});

test("it listens on loopback only", async (t) => {
    const { pages } = await served(t);
    assert.equal(pages.server.address().address, "127.0.0.1");
});

test("an open page is told of a change, once for a burst of them", async (t) => {
    const { pages, port } = await served(t);
    const request = http.get({ host: "127.0.0.1", port, path: `/${pages.secret}/~carrel-live`, agent: false });
    const [reply] = await once(request, "response");
    reply.setEncoding("utf8");
    assert.deepEqual(await once(reply, "data"), [": here\n\n"]);
    for (let i = 0; i < 20; i += 1) pages.changed();
    assert.deepEqual(await once(reply, "data"), ["data: changed\n\n"]);
    request.destroy();
});

test("it ends by itself when no page is open any more, and not before", async (t) => {
    // Long enough for a busy machine to open the page in.
    const { pages, port } = await served(t, { idleSeconds: 0.5 });
    const request = http.get({ host: "127.0.0.1", port, path: `/${pages.secret}/~carrel-live`, agent: false });
    const [reply] = await once(request, "response");
    await once(reply, "data");
    assert.equal(pages.idle._destroyed, true, "the clock runs although a page is open");
    assert.equal(pages.listening, true);
    request.destroy();
    await once(pages.server, "close");
    assert.equal(pages.listening, false);
});

test("the reload goes before the end of the body, or last", () => {
    assert.match(lively("<BODY>x</BODY></html>", "s"), /x<script>.*<\/script><\/BODY>/);
    assert.match(lively("just text", "s"), /^just text<script>/);
});

test("a web page is told by its name", () => {
    assert.deepEqual(["a.html", "A.HTM", "a.htmlx", "html"].map(isPage), [true, true, false, false]);
});
