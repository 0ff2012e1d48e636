/**
 * Carrel's part of the editor: the AI by one click, what it costs, and the first steps. VS Code calls `activate`.
 *
 * Does nothing at start but say which commands there are; what a command needs is loaded when it is used.
 */
"use strict";

const os = require("node:os");
const path = require("node:path");
const { setTimeout: pause } = require("node:timers/promises");
const vscode = require("vscode");
const agent = require("./agent");
const { Start } = require("./start");
const steps = require("./steps");
const words = require("./words");

const WALKTHROUGH = "carrel.companion#getStarted";
const WELCOMED = path.join(os.homedir(), ".local/state/carrel/welcomed");
const KNOWN_SECONDS = 10;
const WISH = "Make a small web page about my garden in the file index.html, with a picture that is drawn in the page itself.";
const CHANGE = "Change the page in index.html: make the background light green and ";

/** The folder that people work in. */
function project() {
    return vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? os.homedir();
}

/** The selected lines of the open file as a reference, or null. */
function selected() {
    const editor = vscode.window.activeTextEditor;
    if (!editor || editor.selection.isEmpty || editor.document.uri.scheme !== "file") return null;
    return words.reference(editor.document.uri.fsPath, project(), { selection: editor.selection });
}

/** What "Add to AI" means here: the files that were right-clicked in the list, or the open file with its selected lines. */
async function chosen(clicked, all) {
    const editor = vscode.window.activeTextEditor;
    const open = editor?.document.uri.scheme === "file" ? editor : null;
    // Only the list of files gives a list.
    if (Array.isArray(all) && all.length > 0) return Promise.all(all.filter((uri) => uri.scheme === "file").map(named));
    if (clicked instanceof vscode.Uri && clicked.toString() !== open?.document.uri.toString()) return [await named(clicked)];
    return open ? [words.reference(open.document.uri.fsPath, project(), { selection: open.selection })] : [];
}

async function named(uri) {
    const { type } = await vscode.workspace.fs.stat(uri);
    return words.reference(uri.fsPath, project(), { folder: Boolean(type & vscode.FileType.Directory) });
}

/** What was shared last by "Ask AI": asking twice about the same lines must not write them twice. */
let shared = null;

async function askAi() {
    const lines = selected();
    if (!lines || lines === shared) {
        await agent.show(project());
        return;
    }
    shared = lines;
    await say(`${lines} `);
}

async function addToAi(clicked, all) {
    const references = await chosen(clicked, all);
    if (references.length === 0) {
        vscode.window.showInformationMessage("Open a file first, or right-click one in the list of files.");
        return;
    }
    await say(`${references.join(" ")} `);
}

/** Put words into the AI's prompt; people press Enter themselves. */
async function say(text) {
    if (!(await agent.prompt(project(), text))) await failed(() => say(text));
}

async function failed(again) {
    const retry = "Try again";
    const answer = await vscode.window.showWarningMessage("The AI did not start, or was closed meanwhile.", retry);
    if (answer === retry) await again();
}

async function newSession() {
    shared = null;
    if (!(await agent.renew(project()))) await failed(newSession);
}

let pages = null;

/** Show a page of the project beside the editor, as its visitors would see it. */
async function seePage(clicked) {
    const page = await choosePage(clicked);
    if (!page) return;
    const { Pages } = require("./pages");
    if (!pages?.listening) {
        pages = new Pages(project());
        pages.port = await pages.listen();
        pages.watch(vscode.workspace.createFileSystemWatcher("**/*"));
    }
    const local = vscode.Uri.parse(`http://127.0.0.1:${pages.port}${pages.pathOf(page.fsPath)}`);
    const address = await vscode.env.asExternalUri(local);
    await vscode.commands.executeCommand("simpleBrowser.api.open", address, { viewColumn: besideAi(), preserveFocus: true });
}

/** Where a page goes: beside the AI where there is one, so that both can be seen, or else beside the file. */
function besideAi() {
    const groups = vscode.window.tabGroups.all;
    const others = groups.filter((group) => !group.tabs.some((tab) => tab.input instanceof vscode.TabInputTerminal));
    return others.length === groups.length ? vscode.ViewColumn.Beside : others[0]?.viewColumn ?? vscode.ViewColumn.Beside;
}

async function choosePage(clicked) {
    const { isPage } = require("./pages");
    const open = clicked instanceof vscode.Uri ? clicked : vscode.window.activeTextEditor?.document.uri;
    if (open?.scheme === "file" && isPage(open.fsPath) && vscode.workspace.getWorkspaceFolder(open)) return open;
    const found = await vscode.workspace.findFiles("**/*.{html,htm}", "**/node_modules/**", 200);
    if (found.length === 0) {
        const ask = "Ask for a web page";
        const answer = await vscode.window.showInformationMessage("There is no web page in your project yet.", ask);
        if (answer === ask) await say(WISH);
        return null;
    }
    const index = found.find((uri) => path.relative(project(), uri.fsPath) === "index.html");
    return found.length === 1 ? found[0] : index ?? pickPage(found);
}

async function pickPage(found) {
    const items = found.map((uri) => ({ label: path.relative(project(), uri.fsPath), uri })).sort((a, b) => a.label.localeCompare(b.label));
    return (await vscode.window.showQuickPick(items, { placeHolder: "Which page do you want to see?" }))?.uri;
}

/**
 * Show the walkthrough. VS Code reads the walkthroughs of extensions when the first is asked for, takes a moment,
 * and meanwhile would show its own. It refuses to mark a step that it does not know yet: that tells when it has.
 */
async function getStarted() {
    const last = Date.now() + KNOWN_SECONDS * 1000;
    while (!(await known(`${WALKTHROUGH}#look`)) && Date.now() < last) await pause(50);
    // What was done on another device is done.
    for (const step of (await steps.load(WELCOMED)).taken) {
        await vscode.commands.executeCommand("welcome.markStepComplete", `${WALKTHROUGH}#${step}`);
    }
    await vscode.commands.executeCommand("workbench.action.openWalkthrough", WALKTHROUGH, false);
}

async function known(step) {
    try {
        await vscode.commands.executeCommand("welcome.markStepIncomplete", step);
        return true;
    } catch {
        return false;
    }
}

/** What stands in a window that came up empty: the first steps until they are done, and then the start page. */
async function welcome(start) {
    if (start.busy) return;
    if (steps.finished(await steps.load(WELCOMED))) {
        start.show();
        return;
    }
    await getStarted();
    // Only now: a page that was left before it showed anything does not count. And from the file again: a step may have
    // been taken meanwhile, in this window or in another.
    await steps.save(WELCOMED, steps.afterShown(await steps.load(WELCOMED)));
}

/** Run a command, and remember it if it is one of the first steps. */
async function taking(command, run, ...given) {
    await run(...given);
    const state = steps.afterCommand(await steps.load(WELCOMED), command);
    if (state) await steps.save(WELCOMED, state);
}

/** A place at the bottom that is always there, also when no file is open. */
function button() {
    const item = vscode.window.createStatusBarItem("carrel.ask", vscode.StatusBarAlignment.Left, 10000);
    item.name = "Ask AI";
    item.text = "$(sparkle) Ask AI";
    item.tooltip = "Open the AI beside your file (Ctrl+Esc or Alt+A)";
    item.command = "carrel.askAi";
    item.show();
    return item;
}

async function isWorking() {
    const terminal = vscode.window.activeTerminal;
    return Boolean(terminal && (await agent.agentIn(terminal)));
}

function activate(context) {
    const { Usage } = require("./usage");
    const usage = new Usage(context, isWorking);
    const start = new Start(vscode, context.extension.packageJSON.contributes.viewsWelcome.map((part) => part.contents));
    const commands = {
        "carrel.askAi": askAi,
        "carrel.askAiByName": askAi,
        "carrel.newSession": newSession,
        "carrel.addToAi": addToAi,
        "carrel.askForPage": () => say(WISH),
        "carrel.askForChange": () => say(CHANGE),
        "carrel.seePage": seePage,
        "carrel.getStarted": getStarted,
        "carrel.showFiles": () => vscode.commands.executeCommand("workbench.view.explorer"),
        "carrel.explainCost": () => usage.explain(),
        "carrel.showStart": () => start.show(),
    };
    context.subscriptions.push(
        button(),
        ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, (...given) => taking(name, run, ...given))),
        vscode.window.onDidChangeActiveTerminal(() => usage.soon()),
        vscode.window.registerTreeDataProvider("carrel.ai", { getChildren: () => [], getTreeItem: (item) => item }),
        { dispose: () => pages?.close() },
        start,
    );
    welcome(start).catch((error) => console.warn(`Carrel: no welcome: ${error.message}`));
}

module.exports = { activate };
