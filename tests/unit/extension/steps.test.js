// How far somebody is with the first steps, and what they find in a window that comes up empty.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs/promises");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const steps = require("../../../images/workspace/extension/steps.js");

const took = (...commands) => commands.reduce((state, one) => steps.afterCommand(state, one) ?? state, steps.parse(null));

test("somebody new is shown the steps, also on another device after the first visit", () => {
    const first = steps.parse(null);
    assert.equal(steps.finished(first), false);
    assert.equal(steps.finished(steps.afterShown(first)), false);
});

test("who has asked for a page, seen it and changed it is done, in whichever order", () => {
    assert.equal(steps.finished(took("carrel.seePage", "carrel.askForChange")), false);
    assert.equal(steps.finished(took("carrel.seePage", "carrel.askForChange", "carrel.askForPage")), true);
});

test("who takes no step at all has seen enough after three times", () => {
    let state = steps.parse(null);
    for (const expected of [false, false, true]) {
        state = steps.afterShown(state);
        assert.equal(steps.finished(state), expected);
    }
});

test("a step that is taken late brings the rest back", () => {
    const late = steps.afterShown(steps.afterShown(steps.afterShown(steps.parse(null))));
    assert.equal(steps.finished(steps.afterCommand(late, "carrel.askForPage")), false);
});

test("a command that is no step, or was one already, changes nothing", () => {
    assert.equal(steps.afterCommand(took(), "carrel.askAi"), null);
    assert.equal(steps.afterCommand(took("carrel.seePage"), "carrel.seePage"), null);
});

test("whatever is in the file, somebody finds something", () => {
    const before = { shown: 1, taken: [] };
    for (const text of ["", "{", "null", "[]", "7", '{"shown":"x","taken":[]}', '{"shown":1}']) {
        assert.deepEqual(steps.parse(text), before, text);
    }
    assert.deepEqual(steps.parse('{"shown":2,"taken":["ask",5]}'), { shown: 2, taken: ["ask"] });
});

test("what is saved is what is loaded, below directories that are not there yet", async (context) => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), "steps-"));
    context.after(() => fs.rm(folder, { recursive: true }));
    const file = path.join(folder, "state/carrel/welcomed");
    assert.deepEqual(await steps.load(file), steps.parse(null));
    const state = took("carrel.askForPage");
    await steps.save(file, state);
    assert.deepEqual(await steps.load(file), state);
    assert.deepEqual(await fs.readdir(path.dirname(file)), ["welcomed"]);
});
