/**
 * A running opencode: finds it in /proc, asks it over its port, waits until its screen is there.
 *
 * Used by agent.js. Nothing here is guessed from time: a terminal that VS Code brought back is asked
 * for by its process, and the password is read where it is kept, in that process's environment.
 */
"use strict";

const fs = require("node:fs/promises");
const http = require("node:http");
const net = require("node:net");

const PROGRAM = "/opt/carrel/bin/opencode";
const ESTABLISHED = "01";
const LOOPBACK = "127.0.0.1";

/** A port on loopback that nobody uses. */
function freePort() {
    return new Promise((resolve, reject) => {
        const probe = net.createServer();
        probe.once("error", reject);
        probe.listen(0, LOOPBACK, () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

/** Where the opencode of process `pid` listens and its password, or null if that is no opencode of ours. */
async function found(pid) {
    try {
        const [command, environment] = await Promise.all([
            fs.readFile(`/proc/${pid}/cmdline`, "utf8"),
            fs.readFile(`/proc/${pid}/environ`, "utf8"),
        ]);
        return place(command, environment);
    } catch {
        return null;
    }
}

/** The same, from the text of the two files in /proc. */
function place(command, environment) {
    const words = command.split("\0");
    const at = words.indexOf("--port");
    const ours = words.slice(0, 2).some((word) => /^\/opt\/carrel\/(bin\/)?opencode$/.test(word));
    const password = environment.split("\0").find((entry) => entry.startsWith("OPENCODE_SERVER_PASSWORD="));
    if (!ours || at < 0 || !password) return null;
    return { port: Number(words[at + 1]), password: password.slice(password.indexOf("=") + 1) };
}

/** The answer to one request, as a value. Fails on anything but 200. */
function ask({ port, password }, method, path, body) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
        const request = http.request({
            host: LOOPBACK, port, method, path, timeout: 5000,
            // No connection may outlive its question: attached() counts those of the screen.
            agent: false,
            auth: `opencode:${password}`,
            headers: text === undefined ? {} : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) },
        }, (reply) => {
            let said = "";
            reply.setEncoding("utf8").on("data", (part) => { said += part; }).on("error", reject).on("end", () => {
                if (reply.statusCode !== 200) reject(new Error(`opencode answers ${reply.statusCode} to ${path}`));
                else try { resolve(JSON.parse(said)); } catch (error) { reject(error); }
            });
        });
        request.on("timeout", () => request.destroy(new Error(`opencode does not answer ${path}`)));
        request.on("error", reject);
        request.end(text);
    });
}

/** Whether somebody is connected to `port`: opencode's own screen, once it listens for our words. */
function attached(table, port) {
    const wanted = port.toString(16).toUpperCase().padStart(4, "0");
    return table.split("\n").slice(1).some((row) => {
        const [, local, , state] = row.trim().split(/\s+/);
        return state === ESTABLISHED && local.endsWith(`:${wanted}`);
    });
}

/** Whether opencode's prompt is in what it has drawn: the line below it says "ctrl+p commands". */
function promptIn(screen) {
    return screen.replaceAll(/\x1b\[[0-9;:?]*[A-Za-z]/g, "").includes("commands");
}

/** Whether opencode answers and its screen is attached. */
async function ready(agent) {
    try {
        const { healthy } = await ask(agent, "GET", "/global/health");
        return healthy === true && attached(await fs.readFile("/proc/net/tcp", "utf8"), agent.port);
    } catch {
        return false;
    }
}

module.exports = { PROGRAM, freePort, found, place, ask, attached, promptIn, ready };
