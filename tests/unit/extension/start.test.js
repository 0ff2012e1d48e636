// The start page: what it says, and when it is there.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { Start, commands, page } = require("../../../images/workspace/extension/start.js");
const described = require("../../../images/workspace/extension/package.json");

const CONTENTS = described.contributes.viewsWelcome.map((part) => part.contents);

/** As much of VS Code as has tabs. */
class Window {
    constructor() {
        this.tabs = [];
        this.panels = [];
        const window = this;
        class TabInputWebview { constructor(viewType) { this.viewType = viewType; } }
        this.vscode = {
            TabInputWebview,
            ViewColumn: { Active: -1 },
            window: {
                tabGroups: {
                    get all() { return [{ tabs: window.tabs }]; },
                    onDidChangeTabs: (listen) => { window.listen = listen; return { dispose: () => { window.listen = () => {}; } }; },
                },
                createWebviewPanel: (kind, title, place, options) => window.panel(kind, options),
            },
        };
    }

    panel(kind, options) {
        const tab = { input: new this.vscode.TabInputWebview(`mainThreadWebview-${kind}`) };
        const panel = { webview: {}, options, listeners: [], onDidDispose: (listen) => panel.listeners.push(listen) };
        panel.dispose = () => { this.close(tab); panel.listeners.forEach((listen) => listen()); };
        panel.reveal = () => {};
        this.panels.push(panel);
        this.open(tab);
        return panel;
    }

    open(tab) {
        this.tabs.push(tab);
        this.listen();
    }

    close(tab) {
        this.tabs = this.tabs.filter((one) => one !== tab);
        this.listen();
    }
}

function opened(context) {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const window = new Window();
    return { window, start: new Start(window.vscode, CONTENTS), settle: () => context.mock.timers.tick(1000) };
}

test("it has every button of the AI's panel, and may call nothing else", () => {
    const text = page(CONTENTS);
    for (const command of commands(CONTENTS)) assert.ok(text.includes(`href="command:${command}"`), command);
    assert.deepEqual(commands(CONTENTS), ["carrel.askAi", "carrel.newSession", "carrel.seePage", "carrel.getStarted"]);
    assert.equal(/<script|\$\(|\]\(/.test(text), false);
});

test("words that look like a page stay words", () => {
    assert.ok(page(["<b>&\"</b>"]).includes("<p>&#60;b&#62;&#38;&#34;&#60;/b&#62;</p>"));
});

test("it comes when the last tab is closed and goes when another is opened", (context) => {
    const { window, settle } = opened(context);
    const file = { input: { uri: "a" } };
    window.open(file);
    settle();
    assert.equal(window.panels.length, 0);
    window.close(file);
    settle();
    assert.equal(window.tabs.length, 1);
    window.open(file);
    assert.deepEqual(window.tabs, [file]);
    window.close(file);
    settle();
    assert.equal(window.panels.length, 2);
});

test("between one tab and the next it does not flash up", (context) => {
    const { window, settle } = opened(context);
    const [one, other] = [{ input: { uri: "a" } }, { input: { uri: "b" } }];
    window.open(one);
    window.close(one);
    window.open(other);
    settle();
    assert.equal(window.panels.length, 0);
});

test("closed by hand it stays closed until something else was there", (context) => {
    const { window, start, settle } = opened(context);
    start.show();
    window.panels[0].dispose();
    settle();
    assert.equal(window.panels.length, 1);
    const file = { input: { uri: "a" } };
    window.open(file);
    window.close(file);
    settle();
    assert.equal(window.panels.length, 2);
});

test("another webview counts as something", (context) => {
    const { window, start, settle } = opened(context);
    start.show();
    window.open({ input: new window.vscode.TabInputWebview("mainThreadWebview-simpleBrowser.view") });
    settle();
    assert.equal(window.tabs.length, 1);
});
