#!/bin/sh
# What an operator does on a new server, from the sources to two people with a desk.
# Runs as root in the test machine; its result is the applied disk.
set -eu

make -C /srv/carrel install

umask 077
mkdir -p /etc/carrel/secrets
for user in dan bob; do
    echo "password-of-$user" >"/etc/carrel/secrets/$user"
done
umask 022
cat >/etc/carrel/carrel.toml <<'END'
domain = "code.example.org"

[tls]
mode = "local"

[users.dan]
password_file = "/etc/carrel/secrets/dan"

[users.bob]
password_file = "/etc/carrel/secrets/bob"
END
chmod 0755 /etc/carrel

carrel apply
