"""The configuration that `carrel init` writes: every section, explained where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import ValidationError

from carrel.config.schema import NetworkTable

TEMPLATE = """\
# Carrel: who gets a desk, and what is on it.
# Check this file with `carrel config check`; every key is described by `carrel config schema`.

domain = "{domain}"        # people work at NAME.{domain}

[site]                           # what people see of it
name = "Carrel"
language = "en"                  # of the pages and the sign-in form: en | de
# contact = "desks@example.org"  # whom to ask: words, an e-mail address or a web address

[image]                          # what every workspace runs
base = "auto"                    # auto | debian | any image, e.g. codercom/code-server:4.139.1
languages = []                   # go, rust, java, ruby, php; Python, JavaScript, C and C++ are there
packages = []                    # more Debian packages, e.g. ["postgresql-client"]
extensions = ["sst-dev.opencode"]  # Open VSX ids, or paths of .vsix files

[network]                        # what stands between this machine and the internet
{network}
[limits]                         # for everybody; override one with [users.NAME.limits]
memory = "3G"
memory_soft = "2.5G"
cpus = 1.5
processes = 1024

[storage]
base = "{storage}"            # one directory per user: workspace, config, home

{where}
# The AI agent. With "gateway" keys stay on the host, and what people spend is counted and limited.
# With "shared-keys" the keys are in every workspace's environment, where its user can read them.
[ai]
mode = "gateway"                 # gateway | shared-keys | off
# [ai.limits]                    # for each person, in US dollars; carrel ai usage shows who used what
# money_per_day = 5.0
# [ai.providers.anthropic]       # `carrel ai key add anthropic` writes this
# api_key_file = "secrets/ai-anthropic"
# [ai.providers.mine]            # any OpenAI-compatible server
# base_url = "https://llm.example.org/v1"
# api_key_file = "secrets/mine"
# models = ["some-model"]

# One table per person; `carrel user add NAME` writes it, with a password in secrets/NAME.
# full_name = "…" and email = "…" in it say how git signs what they do.
"""


NETWORK = """\
# ca_file = "/etc/ssl/company.pem"   # a company's authorities, besides those that this machine trusts
# https_proxy = "http://proxy.example.org:3128"
# http_proxy = "http://proxy.example.org:3128"
# no_proxy = [".example.org"]    # what is asked without the proxy
"""


def network(environment: Mapping[str, str]) -> str:
    """The table [network] of a machine whose programs are told these variables of a proxy.

    Of what cannot be used it says so, without repeating it: there may be a password in it.
    """
    lines = []
    for key in ("http_proxy", "https_proxy", "no_proxy"):
        given = environment.get(key) or environment.get(key.upper()) or ""
        value = [host.strip() for host in given.split(",")] if key == "no_proxy" else given
        try:
            NetworkTable.model_validate({key: value})
        except ValidationError as error:
            reason = (error.errors()[0].get("ctx") or {}).get("remedy", "")
            lines.append(f"# {key}: what your environment says cannot be used here; {reason}\n")
        else:
            lines.append(f"{key} = {json.dumps(value)}\n")
        if not given:
            lines.pop()
    return "".join(lines) or NETWORK


LOCAL = """\
[local]
port = {port}                      # carrel up listens on 127.0.0.1 only
"""

SERVER = """\
[tls]                            # the certificate for the domain and all names below it
mode = "local"                   # local: Carrel's own authority, which browsers have to be told to trust
# mode = "acme"                  # acme: from Let's Encrypt, renewed by itself; docs/how-to/server.md
# email = "ops@example.org"
# dns_provider = "vultr"         # any that `lego dnshelp` lists
# credentials_file = "secrets/vultr"   # lines NAME=value, as `lego dnshelp -c vultr` says
# mode = "files"                 # files: a wildcard certificate that you have
# certificate_file = "/etc/ssl/code.example.org/fullchain.pem"
# key_file = "/etc/ssl/code.example.org/privkey.pem"
"""


def example(
    domain: str = "code.localhost",
    storage: str = "data",
    port: int = 8443,
    network: str = NETWORK,
) -> str:
    """The text of a new carrel.toml for local mode."""
    where = LOCAL.format(port=port)
    return TEMPLATE.format(domain=domain, storage=storage, where=where, network=network)


def server_example(
    domain: str = "code.example.org", storage: str = "/var/lib/vscode", network: str = NETWORK
) -> str:
    """The text of a new carrel.toml for a server."""
    return TEMPLATE.format(domain=domain, storage=storage, where=SERVER, network=network)
