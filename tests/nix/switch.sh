#!/bin/sh
# Makes a generation of tests/nix/system.py the machine's own: `switch.sh ARCHIVE DIRECTORY`, the directory being where the
# generation is kept, beside the one before it. The rules and their order are those of nixpkgs'
# nixos/doc/manual/development/unit-handling.section.md. Says what it does with which unit.
set -eu
archive=$1
new=$2
old=$2.old
units=files/etc/systemd/system

rm -rf "$old"
mkdir -p "$new"
mv "$new" "$old"
mkdir -p "$old/$units" "$new"
touch "$old/accounts" "$old/links"
tar --extract --no-same-owner --file="$archive" --directory="$new"

flag() { grep --quiet "^X-$1=$2$" "$new/$units/$3"; }
without_options() { grep --invert-match '^Options=' "$1"; }

# -- what changes ------------------------------------------------------------------------------

stop='' reload='' restart='' start=''
for unit in $(cd "$old/$units" && find . -maxdepth 1 -type f -name '*.*' -printf '%P\n'); do
    systemctl is-active --quiet "$unit" || continue
    if [ ! -e "$new/$units/$unit" ]; then
        stop="$stop $unit"
    elif ! cmp --quiet "$old/$units/$unit" "$new/$units/$unit"; then
        case $unit in
        *.slice) ;;
        *.mount)
            without_options "$old/$units/$unit" >/tmp/before
            if without_options "$new/$units/$unit" | cmp --quiet - /tmp/before; then
                reload="$reload $unit"
            else
                restart="$restart $unit"
            fi
            ;;
        *)
            if flag ReloadIfChanged true "$unit"; then
                reload="$reload $unit"
            elif flag RestartIfChanged false "$unit"; then
                :
            elif flag StopIfChanged false "$unit"; then
                restart="$restart $unit"
            else
                stop="$stop $unit"
                start="$start $unit"
            fi
            ;;
        esac
    fi
done

# -- and how -----------------------------------------------------------------------------------

does() {
    verb=$1
    shift
    if [ $# -gt 0 ]; then
        echo "$verb $*"
        systemctl "$verb" -- "$@"
    fi
}

# shellcheck disable=SC2086 # lists of words
does stop $stop

# What the activation script does: /etc, accounts.
(cd "$old/files" && find . -type f) | while read -r file; do
    [ -e "$new/files/$file" ] || rm -f "/$file"
done
while read -r link _; do rm -f "$link"; done <"$old/links"
cp --recursive "$new/files/." /
while read -r link to; do
    mkdir -p "$(dirname "$link")"
    ln -sfn "$to" "$link"
done <"$new/links"
(cd "$new/build" && find . -type f) | while read -r script; do
    [ -e "/$script" ] || out="/${script#./}" sh -e "$new/build/$script"
done
while read -r file source; do
    mkdir -p "$(dirname "$file")"
    cp "$source" "$file"
done <"$new/copies"
while read -r name _; do
    if ! grep --quiet "^$name " "$new/accounts"; then
        userdel "$name"
        sed -i "/^$name:/d" /etc/subuid /etc/subgid
    fi
done <"$old/accounts"
while read -r name uid gid home first; do
    if ! id "$name" >/dev/null 2>&1; then
        groupadd --gid "$gid" "$name"
        useradd --uid "$uid" --gid "$gid" --home-dir "$home" --no-create-home --shell /usr/sbin/nologin "$name"
        sed -i "/^$name:/d" /etc/subuid /etc/subgid
        if [ "$first" != - ]; then
            echo "$name:$first:65536" | tee -a /etc/subuid >>/etc/subgid
        fi
    fi
done <"$new/accounts"

systemctl reset-failed
systemctl daemon-reload
systemd-tmpfiles --create
# shellcheck disable=SC2086
does reload $reload
# shellcheck disable=SC2086
does restart $restart
# shellcheck disable=SC2086
does start $start multi-user.target
