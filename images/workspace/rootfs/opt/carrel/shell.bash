# For every interactive bash in a workspace, loaded by /etc/bash.bashrc. It is part of the image, so a newer image
# improves it; ~/.bashrc is the user's and is loaded after it.

[[ -r /usr/share/bash-completion/bash_completion ]] && . /usr/share/bash-completion/bash_completion

HISTCONTROL=ignoreboth HISTSIZE=10000 HISTFILESIZE=20000
shopt -s histappend checkwinsize

alias ls='ls --color=auto' ll='ls -lh' la='ls -lha' grep='grep --color=auto'

# No user and host name in the prompt: they are the same for everybody and say nothing.
PS1='\[\e[1;34m\]\w\[\e[0m\] \$ '

. /opt/carrel/killable

# Says what happened when the kernel ended something: otherwise a terminal shows "Killed", and no reason.
_carrel_kills() {
    local name count
    carrel_kills=0
    while read -r name count; do
        [[ $name == oom_kill ]] && carrel_kills=$count
    done 2>/dev/null </sys/fs/cgroup/memory.events
}
_carrel_memory() {
    local before=$carrel_kills
    _carrel_kills
    ((carrel_kills > before)) || return 0
    echo "This workspace had used up its memory, so the largest program in it was ended. Nothing else was lost." >&2
    echo "A smaller piece of the data, or closing other programs, may help; so may whoever runs this server." >&2
}
_carrel_kills

# A shell dies with its workspace, without time to write its history: each command is written when it ends.
PROMPT_COMMAND="history -a; _carrel_memory${PROMPT_COMMAND:+; $PROMPT_COMMAND}"
