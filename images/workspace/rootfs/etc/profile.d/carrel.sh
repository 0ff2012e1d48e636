# A login shell starts with /etc/profile's own PATH, which knows nothing of ours.
PATH="$HOME/.local/bin:/opt/carrel/bin:$PATH"
