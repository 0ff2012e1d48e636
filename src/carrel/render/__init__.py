"""Resources to text: nginx, supervisor, podman arguments, opencode. Pure, like the core."""
