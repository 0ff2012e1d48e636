# For every interactive bash in a workspace, loaded by /etc/bash.bashrc. It is part of the image, so a newer image
# improves it; ~/.bashrc is the user's and is loaded after it.

[[ -r /usr/share/bash-completion/bash_completion ]] && . /usr/share/bash-completion/bash_completion

HISTCONTROL=ignoreboth HISTSIZE=10000 HISTFILESIZE=20000
shopt -s histappend checkwinsize

alias ls='ls --color=auto' ll='ls -lh' la='ls -lha' grep='grep --color=auto'

# No user and host name in the prompt: they are the same for everybody and say nothing.
PS1='\[\e[1;34m\]\w\[\e[0m\] \$ '

# What every tutorial says, and what cannot work here: say what to do instead.
sudo() {
    echo "There is no administrator in a workspace, so there is no sudo. npm and pip install without it;" >&2
    echo "for a system package, ask whoever runs this server to add it to the image." >&2
    return 1
}
apt() {
    case ${1:-} in
    install | update | upgrade | remove) sudo ;;
    *) command apt "$@" ;;
    esac
}
apt-get() { apt "$@"; }

# A shell dies with its workspace, without time to write its history: each command is written when it ends.
PROMPT_COMMAND="history -a${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
