# Evaluates nix/module.nix with the configuration in a file; tests/nix/desks.py reads the result as JSON.
# `library`: the directory of a real nixpkgs lib; "" for the one that is written beside this file.
{ configuration, library ? "" }:
let
  lib = if library == "" then import ./lib.nix else import (/. + library);

  # A package is its path here, and what it would be made from can be looked at.
  made = name: content: {
    type = "derivation";
    inherit name;
    outPath = "/nix/store/${name}";
    inherit content;
  };
  pkgs = {
    callPackage = _: _: made "carrel" null;
    nftables = made "nftables" null;
    crun = made "crun" null;
    passt = made "passt" null;
    coreutils = made "coreutils" null;
    writeText = made;
    writeShellScript = made;
    linkFarm = name: files: made name (lib.mapAttrs (_: file: file.content) files);
    runCommand = name: _: script: made name script;
    formats.toml = _: {
      type = lib.types.anything;
      generate = made;
    };
    formats.json = _: { generate = made; };
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
    content = content file.source;
  }) config.environment.etc;
  path = map toString config.environment.systemPackages;
}
