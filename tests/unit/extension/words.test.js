// What people and the agent read: references, money, the status bar.
"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { reference, money, status, explanation, pause } = require("../../../images/workspace/extension/words.js");

const at = (startLine, startCharacter, endLine, endCharacter) => ({
    start: { line: startLine, character: startCharacter }, end: { line: endLine, character: endCharacter },
});
const usage = (more) => ({
    user: "ada", currency: "USD", configured: true, model: "desk/reader", spent_today: 0.42, spent_month: 3.5,
    tokens_today: 12345, limits: { money_per_day: 5, money_per_month: null, tokens_per_day: null },
    left_today: 4.58, warning: null, ...more,
});

test("a reference is a path in the project with the lines as people count them", () => {
    const root = "/home/coder/project";
    const cases = [
        [["/home/coder/project/a.py"], "@a.py"],
        [["/home/coder/project/src/a.py", { selection: at(36, 0, 41, 3) }], "@src/a.py#L37-42"],
        [["/home/coder/project/a.py", { selection: at(6, 2, 6, 9) }], "@a.py#L7"],
        // The end before a line's first character does not touch that line.
        [["/home/coder/project/a.py", { selection: at(0, 0, 2, 0) }], "@a.py#L1-2"],
        [["/home/coder/project/a.py", { selection: at(0, 0, 1, 0) }], "@a.py#L1"],
        [["/home/coder/project/a.py", { selection: at(4, 4, 4, 4) }], "@a.py"],
        [["/home/coder/project/src", { folder: true }], "@src/"],
        [["/home/coder/project", { folder: true }], "@./"],
        [["/home/coder/project-b/x"], "@/home/coder/project-b/x"],
        [["/etc/hosts"], "@/etc/hosts"],
        [["/home/coder/project/..notes"], "@..notes"],
    ];
    for (const [[file, more], wanted] of cases) assert.equal(reference(file, root, more), wanted);
});

test("money is dollars and cents, and less than a cent is not nothing", () => {
    assert.deepEqual([0, 0.004, 0.01, 0.425, 12, -1].map(money), ["$0.00", "<$0.01", "$0.01", "$0.42", "$12.00", "$0.00"]);
});

test("the status says what was spent and what is left", () => {
    const { text, loud, announce, tooltip } = status(usage());
    assert.equal(text, "$(sparkle) AI $0.42 today · $4.58 left");
    assert.deepEqual([loud, announce], [false, null]);
    assert.match(tooltip, /Today: \$0\.42 of \$5\.00/);
    assert.match(tooltip, /This month: \$3\.50\n/);
    assert.match(tooltip, /12,345/);
});

test("without a limit nothing is said to be left", () => {
    assert.equal(status(usage({ left_today: null })).text, "$(sparkle) AI $0.42 today");
});

test("a warning is loud and announced, and differently once nothing is left", () => {
    const near = status(usage({ left_today: 0.2, warning: "Almost used up." }));
    assert.deepEqual([near.loud, near.announce], [true, { kind: "near", text: "Almost used up." }]);
    const out = status(usage({ left_today: 0, warning: "Used up." }));
    assert.equal(out.text, "$(sparkle) AI: today's budget is used up");
    assert.deepEqual([out.loud, out.announce.kind], [true, "out"]);
});

test("an AI that is not set up says so, and a click explains", () => {
    const none = usage({ configured: false });
    assert.equal(status(none).text, "$(sparkle) AI: not set up yet");
    assert.match(explanation(none), /not set up yet/);
});

test("a gateway that does not answer shows nothing", () => {
    assert.equal(status(null).text, "");
});

test("the gateway is asked while somebody looks, and more often while the AI is used", () => {
    assert.equal(pause({ focused: false, working: true }), null);
    assert.equal(pause({ focused: true, working: false }), 30);
    assert.equal(pause({ focused: true, working: true }), 5);
});
