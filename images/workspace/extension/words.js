/**
 * Turns places, money and what the gateway says into the words that people and the agent read.
 *
 * Used by every other file here. Knows neither VS Code nor the network, so that tests need neither.
 */
"use strict";

const path = require("node:path");

/** A kind of status: what to show, how loudly, and what to say once. */
const HIDDEN = Object.freeze({ text: "", tooltip: "", loud: false, announce: null });

/**
 * What the agent calls a place: `@path`, `@path/`, `@path#L7` or `@path#L7-9`.
 *
 * `root` is the project. `selection` has lines and characters from 0, as VS Code counts. A selection
 * that ends before the first character of a line does not touch that line.
 */
function reference(file, root, { selection = null, folder = false } = {}) {
    const inside = path.relative(root, file);
    const outside = inside === ".." || inside.startsWith("../");
    const name = (outside ? file : inside || ".") + (folder ? "/" : "");
    return `@${name}${selection ? lines(selection) : ""}`;
}

function lines({ start, end }) {
    if (start.line === end.line && start.character === end.character) return "";
    const first = start.line + 1;
    const last = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
    return first === last ? `#L${first}` : `#L${first}-${last}`;
}

/** An amount of dollars as people write it. Less than a cent is not nothing. */
function money(amount) {
    if (amount > 0 && amount < 0.01) return "<$0.01";
    return `$${Math.max(0, amount).toFixed(2)}`;
}

/** 1234567 as 1,234,567. */
function count(number) {
    return Math.round(number).toLocaleString("en-US");
}

/** What the status bar shows for the gateway's answer; null is a gateway that did not answer. */
function status(usage) {
    if (!usage) return HIDDEN;
    if (!usage.configured) {
        return { text: "$(sparkle) AI: not set up yet", tooltip: "Click to read why.", loud: false, announce: null };
    }
    const out = usage.left_today !== null && usage.left_today <= 0;
    const left = usage.left_today === null ? "" : ` · ${money(usage.left_today)} left`;
    return {
        text: out ? "$(sparkle) AI: today's budget is used up" : `$(sparkle) AI ${money(usage.spent_today)} today${left}`,
        tooltip: detail(usage),
        loud: out || Boolean(usage.warning),
        announce: usage.warning ? { kind: out ? "out" : "near", text: usage.warning } : null,
    };
}

/** All that is known of the cost, one fact per line. */
function detail(usage) {
    const { money_per_day: day, money_per_month: month, tokens_per_day: tokens } = usage.limits;
    return [
        usage.warning,
        `Today: ${money(usage.spent_today)}${day === null ? "" : ` of ${money(day)}`}`,
        `This month: ${money(usage.spent_month)}${month === null ? "" : ` of ${money(month)}`}`,
        `Tokens today: ${count(usage.tokens_today)}${tokens === null ? "" : ` of ${count(tokens)}`} (about ¾ of a word each)`,
        usage.model ? `Model: ${usage.model}` : null,
    ].filter(Boolean).join("\n\n");
}

/** What a click on the status bar says. */
function explanation(usage) {
    if (!usage) return "The AI of this workspace does not tell what it costs.";
    if (!usage.configured) {
        return "The AI is not set up yet: it has no provider to ask. The person who runs this server adds one. " +
            "Until then, Ask AI opens, and tells what is missing.";
    }
    return detail(usage).replaceAll("\n\n", " · ");
}

/** Seconds until the gateway is asked again, or null while nobody looks. */
function pause({ focused, working }) {
    if (!focused) return null;
    return working ? 5 : 30;
}

module.exports = { reference, money, status, detail, explanation, pause };
