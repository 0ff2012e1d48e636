/**
 * The start page: the big buttons of the AI's panel in the middle of the screen, as long as nothing else is there.
 *
 * Used by extension.js. What it says is what package.json says for the panel, so that both say the same.
 */
"use strict";

const KIND = "carrel.start";
const SETTLE_MILLISECONDS = 300;
const LINK = /^\[(?:\$\([\w-]+\) )?(.+)\]\(command:([\w.]+)\)$/;

/** The parts of the panel: each line is a button or words. */
function parts(contents) {
    return contents.map((text) => text.split("\n").map((line) => {
        const [, label, command] = LINK.exec(line) ?? [];
        return command ? { label, command } : { words: line };
    }));
}

/** The commands that a page may call. */
function commands(contents) {
    return parts(contents).flat().flatMap((line) => line.command ?? []);
}

function escaped(text) {
    return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/** The page. Without a script: the buttons are links to commands, and VS Code allows those of `commands` and no others. */
function page(contents) {
    const line = ({ label, command, words }) => command ?
        `<a class="button" href="command:${command}">${escaped(label)}</a>` : `<p>${escaped(words)}</p>`;
    const sections = parts(contents).map((lines) => `<section>${lines.map(line).join("\n")}</section>`).join("\n");
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Start</title>
<style>
body { display: flex; flex-direction: column; align-items: center; padding: 8vh 1em 2em; font-size: 15px; }
section { width: 26em; max-width: 100%; margin-bottom: 1.5em; text-align: center; }
p { margin: .7em 0; line-height: 1.5; }
.button { display: block; margin: .7em 0; padding: .8em 1em; border-radius: 4px; font-size: 17px; text-decoration: none;
    color: var(--vscode-button-foreground); background: var(--vscode-button-background); }
.button:hover { background: var(--vscode-button-hoverBackground); color: var(--vscode-button-foreground); }
.button:focus { outline: 2px solid var(--vscode-focusBorder); outline-offset: 2px; }
section ~ section .button { color: var(--vscode-button-secondaryForeground); background: var(--vscode-button-secondaryBackground); }
</style>
</head>
<body>
<h1>What do you want to do?</h1>
${sections}
</body>
</html>
`;
}

/** The page in a window: it comes when the last tab is closed, and goes when another is opened. */
class Start {
    constructor(vscode, contents) {
        this.vscode = vscode;
        this.contents = contents;
        this.panel = null;
        this.unwanted = false;
        this.listener = vscode.window.tabGroups.onDidChangeTabs(() => this.changed());
    }

    dispose() {
        clearTimeout(this.settling);
        this.listener.dispose();
        this.panel?.dispose();
    }

    /** Whether anything else has a tab. */
    get busy() {
        const tabs = this.vscode.window.tabGroups.all.flatMap((group) => group.tabs);
        return tabs.some(({ input }) => !(input instanceof this.vscode.TabInputWebview && input.viewType.endsWith(KIND)));
    }

    changed() {
        clearTimeout(this.settling);
        if (this.busy) {
            this.unwanted = false;
            this.hide();
        } else if (!this.panel && !this.unwanted) {
            // Between one tab that closes and the next there is nothing for a moment, too.
            this.settling = setTimeout(() => this.busy || this.show(), SETTLE_MILLISECONDS);
        }
    }

    show() {
        if (this.panel) return this.panel.reveal();
        const options = { enableCommandUris: commands(this.contents), localResourceRoots: [] };
        const place = { viewColumn: this.vscode.ViewColumn.Active, preserveFocus: true };
        this.panel = this.vscode.window.createWebviewPanel(KIND, "Start", place, options);
        this.panel.webview.html = page(this.contents);
        this.panel.onDidDispose(() => {
            // Closed by hand it stays closed, until something else was there.
            this.unwanted = this.panel !== null;
            this.panel = null;
        });
    }

    hide() {
        const panel = this.panel;
        this.panel = null;
        panel?.dispose();
    }
}

module.exports = { Start, commands, page };
