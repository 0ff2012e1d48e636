/**
 * The terminals in which opencode runs: opens one beside the editor, finds it again, puts words into its prompt.
 *
 * Used by extension.js. Keeps no list of its own: a terminal is an agent's if its process is an opencode.
 */
"use strict";

const crypto = require("node:crypto");
const { setTimeout: pause } = require("node:timers/promises");
const vscode = require("vscode");
const opencode = require("./opencode");

const START_SECONDS = 90;
const POLL_MILLISECONDS = 150;
const SCREEN_CHARACTERS = 16384;

/** The terminals that we opened in this window, before their processes are there. */
const opening = new WeakMap();

/** Those of them that have drawn their prompt. */
const drawn = new WeakSet();

/** The agent in `terminal`, or null. */
async function agentIn(terminal) {
    if (terminal.exitStatus !== undefined) return null;
    const begun = opening.get(terminal);
    if (begun) return begun;
    const pid = await terminal.processId;
    return pid === undefined ? null : opencode.found(pid);
}

/** The agent that was used last, as { terminal, agent }, or null. */
async function running() {
    const first = vscode.window.activeTerminal;
    const terminals = [first, ...[...vscode.window.terminals].reverse().filter((one) => one !== first)];
    for (const terminal of terminals.filter(Boolean)) {
        const agent = await agentIn(terminal);
        if (agent) return { terminal, agent };
    }
    return null;
}

/** Open a terminal with a new opencode beside the editor. */
async function open(folder) {
    const port = await opencode.freePort();
    const password = crypto.randomBytes(24).toString("base64url");
    const terminal = vscode.window.createTerminal({
        name: "AI",
        iconPath: new vscode.ThemeIcon("sparkle"),
        location: { viewColumn: vscode.ViewColumn.Beside },
        shellPath: opencode.PROGRAM,
        shellArgs: ["--port", String(port)],
        // The only place of the password: not in arguments, which every process list shows.
        env: { OPENCODE_SERVER_PASSWORD: password },
        cwd: folder,
    });
    const agent = { port, password };
    opening.set(terminal, agent);
    watch(terminal);
    // Before the terminal has its process, the keyboard would stay where it was.
    await terminal.processId;
    terminal.show(false);
    return { terminal, agent };
}

/**
 * Remember when `terminal` has drawn its prompt. opencode's port answers, and takes words, before anybody on its
 * screen listens for them: under load by seconds. Those words would be lost.
 */
function watch(terminal) {
    let screen = "";
    const listeners = [
        vscode.window.onDidWriteTerminalData((event) => {
            if (event.terminal !== terminal) return;
            screen = (screen + event.data).slice(-SCREEN_CHARACTERS);
            if (!opencode.promptIn(screen)) return;
            drawn.add(terminal);
            stop();
        }),
        vscode.window.onDidCloseTerminal((one) => one === terminal && stop()),
    ];
    const stop = () => listeners.forEach((listener) => listener.dispose());
}

/** Show the agent that is there, or open one. */
async function show(folder) {
    const there = await running();
    if (!there) return open(folder);
    there.terminal.show(false);
    return there;
}

/** Wait until opencode shows its prompt. False if its terminal was closed, or it takes too long. */
async function started({ terminal, agent }) {
    const last = Date.now() + START_SECONDS * 1000;
    while (terminal.exitStatus === undefined && Date.now() < last) {
        if (await ready({ terminal, agent })) return true;
        await pause(POLL_MILLISECONDS);
    }
    return false;
}

/** Put `text` into the prompt of the agent. False if it did not come up. */
async function prompt(folder, text) {
    const here = await show(folder);
    if (!(await waited(here))) return false;
    await opencode.ask(here.agent, "POST", "/tui/append-prompt", { text });
    // Starting took a while, in which the keyboard may have gone elsewhere.
    here.terminal.show(false);
    return true;
}

/** Begin a new conversation: in the agent that is there, for a second one would take its memory again. */
async function renew(folder) {
    const there = await running();
    if (!there) {
        await open(folder);
        return true;
    }
    there.terminal.show(false);
    if (!(await waited(there))) return false;
    await opencode.ask(there.agent, "POST", "/tui/execute-command", { command: "session_new" });
    return true;
}

/** Whether its prompt takes words. One that VS Code brought back has drawn its prompt before this window was there. */
async function ready({ terminal, agent }) {
    return (drawn.has(terminal) || !opening.has(terminal)) && opencode.ready(agent);
}

async function waited(here) {
    if (await ready(here)) return true;
    const title = "The AI is starting…";
    return vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title }, () => started(here));
}

module.exports = { agentIn, show, prompt, renew };
