"""docs/reference/nixos.md, made from the module's options; `make docs` writes it."""

from __future__ import annotations

import json
from typing import Any

from nix.desks import EVALUATE, HERE, ROOT, run

PAGE = ROOT / "docs/reference/nixos.md"


def page() -> str:
    """The text of the page."""
    result = run(*EVALUATE, str(HERE / "declared.nix"))
    assert result.status == 0, result.errors
    return """\
<!-- Made by `make docs`; edit the source, not this page. -->

# Options of the NixOS module

All below `services.code-server-multi`. [On NixOS](../how-to/nixos.md) says how to begin.
""" + "".join(map(_option, json.loads(result.output)))


def _option(option: dict[str, Any]) -> str:
    lines = [f"\n## {option['name']}\n", " ".join(option["description"].split()), ""]
    lines.append(f"- Type: {option['type']}")
    default = option["default"]
    lines.append("- Required" if default is None else f"- Default: `{default}`")
    if option["example"] is not None:
        lines.append(f"- Example: `{option['example']}`")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
