/**
 * Serves the web pages of a project to the person who works on it, and reloads them when a file changes.
 *
 * Used by extension.js. Listens on loopback only, below a path that nobody can guess, and gives out only
 * files inside the project that are not hidden. It ends by itself soon after the last page was closed.
 */
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const KINDS = {
    ".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".json": "application/json",
    ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
    ".xml": "application/xml", ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon",
    ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
    ".wav": "audio/wav", ".mp4": "video/mp4", ".webm": "video/webm", ".pdf": "application/pdf", ".wasm": "application/wasm",
};
const LIVE = "~carrel-live";
const SETTLE_MILLISECONDS = 200;

/** Whether a file's name marks it as a web page. */
function isPage(name) {
    return [".html", ".htm"].includes(path.extname(name).toLowerCase());
}

/**
 * The file that a request means, or null: outside of `root`, hidden, or not there.
 *
 * `asked` is the path below the secret, still encoded. Links count as what they point to.
 */
function fileFor(root, asked) {
    try {
        const parts = decodeURIComponent(asked).split("/").filter(Boolean);
        if (parts.some((part) => part.startsWith(".") || part.includes("\0") || part.includes("\\"))) return null;
        const home = fs.realpathSync(root);
        let file = fs.realpathSync(path.join(home, ...parts));
        if (fs.statSync(file).isDirectory()) file = fs.realpathSync(path.join(file, "index.html"));
        const inside = path.relative(home, file).split(path.sep);
        if (inside.some((part) => part.startsWith(".")) || !fs.statSync(file).isFile()) return null;
        return file;
    } catch {
        return null;
    }
}

/** A page, with the words that make it reload. */
function lively(text, secret) {
    // The page may be served below any prefix, so that its own address says where the secret is.
    const script = `<script>new EventSource(location.pathname.split("/${secret}/")[0]+"/${secret}/${LIVE}")` +
        ".onmessage=()=>location.reload()</script>";
    const end = text.toLowerCase().lastIndexOf("</body>");
    return end < 0 ? text + script : text.slice(0, end) + script + text.slice(end);
}

/** The server of one project. */
class Pages {
    constructor(root, { idleSeconds = 120 } = {}) {
        this.root = root;
        this.secret = crypto.randomBytes(16).toString("hex");
        this.idleSeconds = idleSeconds;
        this.viewers = new Set();
        this.server = http.createServer((request, reply) => this.answer(request, reply));
    }

    /** The port, once it listens. */
    listen() {
        this.leave();
        return new Promise((resolve, reject) => {
            this.server.once("error", reject);
            this.server.listen(0, "127.0.0.1", () => resolve(this.server.address().port));
        });
    }

    get listening() {
        return this.server.listening;
    }

    /** The path of `file` on this server. */
    pathOf(file) {
        const parts = path.relative(this.root, file).split(path.sep);
        return `/${this.secret}/${parts.map(encodeURIComponent).join("/")}`;
    }

    close() {
        clearTimeout(this.idle);
        clearTimeout(this.settling);
        this.server.close();
        this.server.closeAllConnections();
    }

    /** Let `watcher` tell of changes; it ends with this server. */
    watch(watcher) {
        const changed = () => this.changed();
        for (const listen of [watcher.onDidChange, watcher.onDidCreate, watcher.onDidDelete]) listen(changed);
        this.server.once("close", () => watcher.dispose());
    }

    /** A file has changed: every page shows it, once a burst of changes is over. */
    changed() {
        clearTimeout(this.settling);
        this.settling = setTimeout(() => this.viewers.forEach((viewer) => viewer.write("data: changed\n\n")), SETTLE_MILLISECONDS);
    }

    answer(request, reply) {
        const [, secret, ...rest] = request.url.split("?")[0].split("/");
        const asked = rest.join("/");
        if (!["GET", "HEAD"].includes(request.method)) return refuse(reply, 405);
        if (!this.knows(secret)) return refuse(reply, 404);
        if (asked === LIVE) return this.stay(request, reply);
        const file = fileFor(this.root, asked);
        if (!file) return refuse(reply, 404);
        return isPage(file) ? this.page(file, reply) : this.plain(file, request, reply);
    }

    knows(secret) {
        const given = Buffer.from(secret ?? "");
        const right = Buffer.from(this.secret);
        return given.length === right.length && crypto.timingSafeEqual(given, right);
    }

    page(file, reply) {
        fs.readFile(file, "utf8", (error, text) => {
            if (error) return refuse(reply, 404);
            reply.writeHead(200, headers(file));
            reply.end(lively(text, this.secret));
        });
    }

    plain(file, request, reply) {
        const stream = fs.createReadStream(file);
        stream.once("error", () => refuse(reply, 404));
        stream.once("open", () => {
            reply.writeHead(200, headers(file));
            if (request.method === "HEAD") { stream.destroy(); reply.end(); } else stream.pipe(reply);
        });
        reply.once("close", () => stream.destroy());
    }

    /** A page that is open says so by this connection. */
    stay(request, reply) {
        reply.writeHead(200, { ...headers("x.txt"), "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" });
        reply.write(": here\n\n");
        this.viewers.add(reply);
        clearTimeout(this.idle);
        request.once("close", () => {
            this.viewers.delete(reply);
            if (this.viewers.size === 0 && this.listening) this.leave();
        });
    }

    leave() {
        clearTimeout(this.idle);
        this.idle = setTimeout(() => this.close(), this.idleSeconds * 1000);
    }
}

function headers(file) {
    return {
        "Content-Type": KINDS[path.extname(file).toLowerCase()] ?? "application/octet-stream",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    };
}

function refuse(reply, code) {
    if (reply.headersSent) return reply.destroy();
    reply.writeHead(code, { "Content-Type": "text/plain; charset=utf-8" });
    return reply.end(code === 404 ? "There is no such page in this project.\n" : "This only shows pages.\n");
}

module.exports = { Pages, fileFor, isPage, lively };
