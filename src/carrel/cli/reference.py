"""The reference pages of docs/reference, made from the schema, the commands and the errors.

`make docs` writes them; a test keeps them current.
"""

from __future__ import annotations

from typing import Any

import click

from carrel import errors
from carrel.cli import main
from carrel.config import load

MADE = "<!-- Made by `make docs`; edit the source, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """Each page's text by its file name."""
    return {
        "configuration.md": _configuration(),
        "commands.md": _commands(),
        "exit-codes.md": _exit_codes(),
    }


def _configuration() -> str:
    schema = load.json_schema()
    tables: Any = schema["$defs"]
    text = MADE + "# carrel.toml\n\n"
    text += "Relative paths start from the directory of the file. Unknown keys are faults.\n"
    text += _table("Top level", schema, tables)
    for where, name in (
        ("[site]", "SiteTable"),
        ("[tls]", "TlsTable"),
        ("[image]", "ImageTable"),
        ("[network]", "NetworkTable"),
        ("[limits] and [users.NAME.limits]", "LimitsTable"),
        ("[storage]", "StorageTable"),
        ("[local]", "LocalTable"),
        ("[ai]", "AiTable"),
        ("[ai.limits], [ai.total] and [users.NAME.ai]", "AiLimitsTable"),
        ("[ai.providers.NAME]", "ProviderTable"),
        ("[ai.providers.NAME.prices.MODEL]", "PriceTable"),
        ("[users.NAME]", "UserTable"),
    ):
        text += _table(where, tables[name], tables)
    return text


def _table(title: str, table: Any, tables: Any) -> str:
    lines = [f"\n## {title}\n", "| Key | Default | Meaning |", "|---|---|---|"]
    for key, value in table["properties"].items():
        known = {**tables.get(value.get("$ref", "").rpartition("/")[2], {}), **value}
        required = key in table.get("required", ())
        default = "required" if required else _default(known.get("default"))
        meaning = " ".join(str(known.get("description", "")).split()).replace("|", "\\|")
        if "enum" in known:
            default += f" ({', '.join(known['enum'])})"
        lines.append(f"| `{key}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    match value:
        case None | "" | {}:
            return ""
        case list() | tuple():
            return f"`{list(value)}`".replace("'", '"')
        case _:
            return f"`{value}`"


def _commands() -> str:
    text = MADE + "# Commands\n\nResults go to standard output, the story to standard error.\n"
    return text + _describe(main.carrel, ("carrel",))


def _describe(command: click.Command, path: tuple[str, ...]) -> str:
    context = click.Context(command, info_name=" ".join(path))
    if isinstance(command, click.Group):
        return "".join(_describe(inner, (*path, name)) for name, inner in main.members(command))
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"\n## {' '.join(path)}\n", f"`{' '.join(path)} {usage}`\n", f"{command.help}\n"]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record:
            lines.append(f"- `{record[0]}`: {record[1]}")
    return "\n".join(lines) + "\n"


def _exit_codes() -> str:
    rows = [(0, "done"), *((e.exit_code, e.meaning) for e in errors.ALL)]
    rows.append((errors.INTERRUPTED, "interrupted (Ctrl-C)"))
    lines = [f"| {code} | {meaning} |" for code, meaning in rows]
    note = "\n`carrel shell NAME -- COMMAND` passes the exit status of COMMAND on.\n"
    return MADE + "# Exit codes\n\n| Code | Meaning |\n|---|---|\n" + "\n".join(lines) + "\n" + note
