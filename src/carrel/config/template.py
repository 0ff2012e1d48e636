"""The configuration that `carrel init` writes: every section, explained where it stands."""

from __future__ import annotations

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
packages = []                    # more Debian packages, e.g. ["php-cli"]
extensions = ["sst-dev.opencode"]  # Open VSX ids, or paths of .vsix files

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
"""


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


def example(domain: str = "code.localhost", storage: str = "data", port: int = 8443) -> str:
    """The text of a new carrel.toml for local mode."""
    return TEMPLATE.format(domain=domain, storage=storage, where=LOCAL.format(port=port))


def server_example(domain: str = "code.example.org", storage: str = "/var/lib/vscode") -> str:
    """The text of a new carrel.toml for a server."""
    return TEMPLATE.format(domain=domain, storage=storage, where=SERVER)
