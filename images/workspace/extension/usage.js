/**
 * Asks Carrel's gateway what the AI costs, and shows it in the status bar.
 *
 * Used by extension.js, and only where the gateway serves this workspace. Asks while somebody looks,
 * and is silent when nobody answers: the editor works without.
 */
"use strict";

const http = require("node:http");
const https = require("node:https");
const vscode = require("vscode");
const words = require("./words");

const ANNOUNCED = "carrel.announced";
const ANSWER_BYTES = 64 * 1024;

/** The gateway's answer, or null if there is none that makes sense. */
function ask(address, token) {
    const url = new URL("/carrel/usage", address);
    const { get } = url.protocol === "https:" ? https : http;
    return new Promise((resolve) => {
        const nothing = () => resolve(null);
        const request = get(url, { timeout: 5000, agent: false, headers: { Authorization: `Bearer ${token}` } }, (reply) => {
            let said = "";
            reply.setEncoding("utf8").on("error", nothing).on("data", (part) => {
                said += part;
                if (said.length > ANSWER_BYTES) request.destroy();
            }).on("end", () => {
                try { resolve(reply.statusCode === 200 ? JSON.parse(said) : null); } catch { nothing(); }
            });
        });
        request.on("timeout", () => request.destroy());
        request.on("error", nothing).on("close", nothing);
    });
}

/** Shows the cost until it is disposed of. */
class Usage {
    constructor(context, isWorking) {
        const { CARREL_AI_URL, CARREL_AI_TOKEN } = process.env;
        this.address = CARREL_AI_URL || "http://127.0.0.1:4141";
        this.token = CARREL_AI_TOKEN;
        this.memory = context.globalState;
        this.isWorking = isWorking;
        this.last = null;
        this.timer = null;
        this.asking = false;
        if (!this.token) return;
        this.item = vscode.window.createStatusBarItem("carrel.cost", vscode.StatusBarAlignment.Right, 1000);
        this.item.name = "What the AI costs";
        this.item.command = "carrel.explainCost";
        context.subscriptions.push(this.item, this, vscode.window.onDidChangeWindowState(() => this.soon()));
        this.soon();
    }

    dispose() {
        this.token = null;
        clearTimeout(this.timer);
    }

    /** Ask now, for something may have changed. */
    soon() {
        clearTimeout(this.timer);
        if (this.token) this.timer = setTimeout(() => this.refresh(), 0);
    }

    async refresh() {
        if (this.asking) return;
        this.asking = true;
        try {
            await this.shown(await ask(this.address, this.token));
        } finally {
            this.asking = false;
        }
        const seconds = words.pause({ focused: vscode.window.state.focused, working: await this.isWorking() });
        clearTimeout(this.timer);
        if (this.token && seconds !== null) this.timer = setTimeout(() => this.refresh(), seconds * 1000);
    }

    async shown(usage) {
        if (!this.token) return;
        this.last = usage;
        const status = words.status(usage);
        if (!status.text) return this.item.hide();
        this.item.text = status.text;
        this.item.tooltip = status.tooltip;
        this.item.backgroundColor = status.loud ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
        this.item.show();
        if (status.announce) await this.announce(status.announce);
    }

    /** Say a warning once a day, and once more when nothing is left. */
    async announce({ kind, text }) {
        const key = `${new Date().toISOString().slice(0, 10)} ${kind}`;
        if (this.memory.get(ANNOUNCED) === key) return;
        await this.memory.update(ANNOUNCED, key);
        // Not awaited: the promise lasts as long as the message is on the screen.
        vscode.window.showWarningMessage(text);
    }

    explain() {
        vscode.window.showInformationMessage(words.explanation(this.last));
    }
}

module.exports = { Usage };
