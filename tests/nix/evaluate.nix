# Evaluates nix/module.nix with the configuration in a file; tests/nix/desks.py reads the result as JSON.
# `library`: the directory of a real nixpkgs lib; "" for the one that is written beside this file. `traced`: say on standard
# error what everything in the Nix store is made from (tests/nix/system.py), and have each path change with that.
{ configuration, library ? "", traced ? false }:
let
  lib = if library == "" then import ./lib.nix else import (/. + library);

  # A package is its path here, and what it would be made from can be looked at.
  made =
    kind: name: content:
    let
      hash = builtins.substring 0 12 (builtins.hashString "sha256" (builtins.toJSON content));
      outPath = "/nix/store/${if traced then "${hash}-" else ""}${name}";
      told = builtins.toJSON { inherit kind content; path = outPath; };
      result = {
        type = "derivation";
        inherit name outPath content;
      };
    in
    if traced then builtins.trace told result else result;
  package = name: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/${name}";
    content = null;
  };
  pkgs = {
    callPackage = _: _: package "carrel";
    nftables = package "nftables";
    crun = package "crun";
    passt = package "passt";
    coreutils = package "coreutils";
    writeText = made "text";
    writeShellScript = made "script";
    linkFarm = name: files: made "directory" name (lib.mapAttrs (_: file: file.content) files);
    runCommand = name: _: script: made "command" name script;
    formats.toml = _: {
      type = lib.types.anything;
      generate = made "toml";
    };
    formats.json = _: { generate = made "json"; };
  };

  evaluated = lib.evalModules {
    modules = [
      ./nixos.nix
      ../../nix/module.nix
      (import configuration)
      ({ config, lib, ... }: (import ./generated.nix { inherit config lib; }).module)
    ];
    specialArgs = { inherit pkgs; };
  };
  inherit (evaluated) config;
  generated = import ./generated.nix { inherit config lib; };
  site = import ../../nix/site.nix { inherit config lib pkgs; };
  content = file: file.content or null;
  certificate = [
    "sslCertificate"
    "sslCertificateKey"
  ];
in
{
  broken = lib.filter (one: !one.assertion) config.assertions;
  inherit (config) warnings;
  inherit (config) users security virtualisation;
  inherit (config.systemd) services mounts slices;
  tmpfiles = config.systemd.tmpfiles.rules;
  inherit (generated) podman nginx;
  # Without what has no value, and NixOS does not ask for.
  hosts = lib.mapAttrs (
    _: host: if host.forceSSL && host.useACMEHost == null then host else removeAttrs host certificate
  ) config.services.nginx.virtualHosts;
  containers = lib.mapAttrs (_: container: container.serviceName) config.virtualisation.oci-containers.containers;
  inherit (site) rules;
  engine = site.engine.content;
  storage = lib.mapAttrs (_: user: (site.storage user).content) site.people;
  settings.backup = {
    inherit (config.services.code-server-multi.backup) paths;
    quiesce = config.services.code-server-multi.backup.quiesce.content;
    resume = config.services.code-server-multi.backup.resume.content;
  };
  etc = lib.mapAttrs (_: file: {
    inherit (file) mode;
    source = "${file.source}";
    content = content file.source;
  }) config.environment.etc;
  path = map toString config.environment.systemPackages;
}
