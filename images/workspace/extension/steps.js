/**
 * Knows how far somebody is with the first steps, on whichever device they took them.
 *
 * Used by extension.js. VS Code keeps its own marks in one browser; these are in the person's home. Knows no VS Code, so
 * that tests need none.
 */
"use strict";

const fs = require("node:fs/promises");
const path = require("node:path");

/** What each command of ours is a step of. */
const STEPS = Object.freeze({
    "carrel.showFiles": "look", "carrel.askForPage": "ask", "carrel.seePage": "see", "carrel.askForChange": "change",
});
const NEEDED = ["ask", "see", "change"];
/** How often the steps are shown to somebody who takes none of them: a programmer has seen them by then. */
const PATIENCE = 3;

const NOBODY = Object.freeze({ shown: 0, taken: [] });

/** What a file's text says; an empty one is what an earlier version left when it had shown the steps once. */
function parse(text) {
    if (text === null) return NOBODY;
    try {
        const { shown, taken } = JSON.parse(text);
        if (Number.isInteger(shown) && Array.isArray(taken)) return { shown, taken: taken.filter((step) => typeof step === "string") };
    } catch { /* empty, or written half */ }
    return { shown: 1, taken: [] };
}

/** Whether there is no need to show the steps once more. */
function finished({ shown, taken }) {
    return shown >= PATIENCE || NEEDED.every((step) => taken.includes(step));
}

/** After they were shown. */
function afterShown(state) {
    return { ...state, shown: state.shown + 1 };
}

/** After a command; null if it is no step, or one that was taken before. Who takes a step has more patience again. */
function afterCommand(state, command) {
    const step = STEPS[command];
    return step && !state.taken.includes(step) ? { shown: Math.min(state.shown, 1), taken: [...state.taken, step] } : null;
}

async function load(file) {
    return parse(await fs.readFile(file, "utf8").catch(() => null));
}

async function save(file, state) {
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.writeFile(`${file}.new`, JSON.stringify(state));
    await fs.rename(`${file}.new`, file);
}

module.exports = { parse, finished, afterShown, afterCommand, load, save };
