"""What stands between a client and a provider in bench.gateway: nothing, nginx, LiteLLM, our gateway.

All of them in front of the same provider of the tests, all on this machine, ended with the context.
LiteLLM is installed into .cache, from its package, when the bench first runs.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import table
from bench.requests import Address
from carrel.core.prices import nano
from carrel.core.site import AiLimits
from carrel.targets.waiting import until
from gateways import KEY, Program, Provider, RealGateway, token
from sites import free_port

LITELLM = "1.106.0"
CHAT = "/v1/chat/completions"
USER = "ada"
LIMITS = AiLimits(
    money_per_day=nano(100_000),
    money_per_month=nano(900_000),
    tokens_per_day=10**11,
    requests_per_minute=1_000_000,
    concurrent=1000,
)
"""All kinds of limits are looked at; none is ever reached."""

_NGINX = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream provider {{ server 127.0.0.1:{provider}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://provider; proxy_http_version 1.1; proxy_buffering off;
            proxy_set_header Connection ""; proxy_set_header Authorization "Bearer {key}";
        }}
    }}
}}
"""
_LITELLM = """\
model_list:
  - model_name: plain
    litellm_params:
      model: openai/plain
      api_base: http://127.0.0.1:{provider}/v1
      api_key: {key}
general_settings:
  master_key: sk-bench
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to the provider."""

    name: str
    address: Address
    program: Program | None = None

    @property
    def resident(self) -> float:
        """MiB that its process holds."""
        assert self.program is not None
        status = Path(f"/proc/{self.program.process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Sides:
    """All ways to the same provider."""

    direct: Side
    nginx: Side
    litellm: Side
    ours: Side

    def all(self) -> tuple[Side, ...]:
        """In the order in which they are asked."""
        return (self.direct, self.nginx, self.litellm, self.ours)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Sides]:
    """Everything started; `folder` is for their files."""
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(Provider(folder))
        direct = Side("direct", Address(CHAT, KEY, port=provider.port))
        yield Sides(
            direct,
            _nginx(stack, folder, provider.port),
            _litellm(stack, folder, provider.port),
            _ours(stack, folder, provider),
        )


def _nginx(stack: contextlib.ExitStack, folder: Path, provider: int) -> Side:
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, provider=provider, port=port, key=KEY))
    command = ["nginx", "-c", str(file), "-e", f"{folder}/nginx.log"]
    program = stack.enter_context(Program(command, folder / "nginx.out"))
    until(lambda: _answers(port, "/served"), seconds=20, what="nginx")
    return Side("nginx", Address(CHAT, "anything", port=port), program)


def _litellm(stack: contextlib.ExitStack, folder: Path, provider: int) -> Side:
    port = free_port()
    file = folder / "litellm.yaml"
    file.write_text(_LITELLM.format(provider=provider, key=KEY))
    command = [
        "env", "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_MODE=PRODUCTION",
        str(_installed() / "bin/litellm"), "--config", str(file), "--host", "127.0.0.1",
        "--port", str(port), "--telemetry", "False",
    ]  # fmt: skip
    program = stack.enter_context(Program(command, folder / "litellm.log"))
    table.progress("waiting for LiteLLM")
    until(lambda: _answers(port, "/health/liveliness"), seconds=180, what="LiteLLM")
    return Side("LiteLLM", Address(CHAT, "sk-bench", port=port), program)


def _installed() -> Path:
    """LiteLLM's own environment."""
    where = Path(f".cache/litellm-{LITELLM}").resolve()
    if not (where / "bin/litellm").exists():
        table.progress(f"installing LiteLLM {LITELLM} into {where}")
        subprocess.run([sys.executable, "-m", "venv", str(where)], check=True)
        pip = [str(where / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"litellm[proxy]=={LITELLM}"], check=True)
    return where


def _ours(stack: contextlib.ExitStack, folder: Path, provider: Provider) -> Side:
    gateway = RealGateway.of(folder, provider, LIMITS, USER)
    stack.callback(gateway.clean)
    gateway.start()
    address = Address(f"/desk{CHAT}", token(USER), socket=gateway.socket(USER))
    return Side("Carrel", address, gateway.program)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
