# Carrel on NixOS: `services.code-server-multi`. Users of the flake import it as nixosModules.default.
#
# Each part sets ordinary NixOS options, so that a configuration can add to all of it or override it. What is the same on
# every server (limits, mounts, hardening, nginx's directives) is in facts.json, which `make docs` writes from Carrel itself.
{
  imports = [
    ./options.nix
    ./checks.nix
    ./workspaces.nix
    ./edge.nix
    ./gateway.nix
    ./host.nix
  ];
}
