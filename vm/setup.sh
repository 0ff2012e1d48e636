#!/bin/sh
# What an operator does after `make install`, up to two people with a desk and an agent. The agent's
# provider is one of the tests, which start it where the configuration says. Runs as root in the test
# machine; its result is the applied disk.
set -eu

umask 077
mkdir -p /etc/carrel/secrets
for user in dan bob; do
    echo "password-of-$user" >"/etc/carrel/secrets/$user"
done
echo sk-canary-of-the-test-machine >/etc/carrel/secrets/ai-desk
umask 022
cat >/etc/carrel/carrel.toml <<'END'
domain = "code.example.org"

[tls]
mode = "local"

[ai]
mode = "gateway"

[ai.providers.desk]
base_url = "http://127.0.0.1:4010/v1"
api_key_file = "/etc/carrel/secrets/ai-desk"
models = ["reader"]

[ai.providers.desk.prices.reader]
input = 1000.0
output = 2000.0
max_output = 100

[users.dan]
password_file = "/etc/carrel/secrets/dan"

[users.bob]
password_file = "/etc/carrel/secrets/bob"
END
chmod 0755 /etc/carrel

carrel apply
