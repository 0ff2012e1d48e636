# What belongs to no single user: the command, secrets, the image and who builds it, and what workspaces cannot reach.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.code-server-multi;
  site = import ./site.nix { inherit config lib pkgs; };
  inherit (site) facts fill;
  people = lib.attrValues site.people;

  builder = site.idsOf site.builder;
  range.count = facts.account.subordinate_ids;

  network = fill (
    site.places
    // {
      network = "${pkgs.writeText "carrel-network.nft" site.rules}";
    }
  ) facts.units."carrel-network.service";
  firewall = fill site.places facts.units."nftables.service.d";

  keyService = "carrel-key.service";

  # A hash of the password and the keys' values, in a file that only the user's account can read; `from` is what they depend on.
  secrets =
    name: from:
    lib.nameValuePair "carrel-secrets@${name}" {
      description = "Carrel: the secrets of ${name}";
      requires = [ keyService ];
      after = [
        keyService
        # Where sops-nix has a unit and not only an activation script.
        "sops-install-secrets.service"
      ];
      serviceConfig = facts.hardening // {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${site.carrel} nixos secrets ${name}";
        # Secret files belong to whomever sops-nix or agenix gave them; the result is the account's.
        CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER";
        SystemCallFilter = facts.hardening.SystemCallFilter ++ [ "@chown" ];
        ProtectHome = "read-only";
        ReadWritePaths = facts.paths.state;
        RestrictAddressFamilies = "AF_UNIX";
        IPAddressDeny = "any";
      };
      restartTriggers = [ (builtins.toJSON from) ];
    };

  ofUser =
    user:
    secrets user.name {
      inherit (user) passwordFile environment;
      ai = if cfg.ai.mode == "shared-keys" then site.document.ai else cfg.ai.mode;
      token = site.document.users.${user.name}.ai_token or null;
    };

  # The providers' keys, and whose tokens the gateway takes.
  ofGateway = secrets "gateway" {
    inherit (site.document.ai) providers;
    tokens = lib.mapAttrs (_: user: user.ai_token or 0) site.document.users;
  };
in
{
  config = lib.mkIf cfg.enable {
    environment = {
      # With what it calls, and what `carrel doctor` looks for.
      systemPackages = [
        cfg.package
        config.services.nginx.package
        pkgs.crun
        pkgs.nftables
        pkgs.passt
      ];
      # Files and not links: Carrel takes a configuration that is really in this directory for a server's.
      etc = {
        "carrel/carrel.toml" = {
          source = site.configFile;
          mode = "0644";
        };
        "carrel/nixos.json" = {
          source = site.declaration;
          mode = "0644";
        };
      };
    };

    users.users.${facts.builder.account} = {
      isSystemUser = true;
      description = "Carrel, builds the image of the workspaces";
      group = facts.builder.account;
      inherit (builder) uid;
      home = facts.builder.home;
      subUidRanges = [ (range // { startUid = builder.first; }) ];
      subGidRanges = [ (range // { startGid = builder.first; }) ];
    };
    users.groups.${facts.builder.account}.gid = builder.uid;

    systemd.services = lib.listToAttrs (map ofUser people ++ lib.optional site.withGateway ofGateway) // {
      carrel-key = {
        description = "Carrel: makes the key that tokens are made with, once";
        restartIfChanged = false;
        serviceConfig = facts.hardening // {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${site.carrel} nixos key";
          CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER";
          SystemCallFilter = facts.hardening.SystemCallFilter ++ [ "@chown" ];
          ReadWritePaths = facts.paths.state;
          RestrictAddressFamilies = "AF_UNIX";
          IPAddressDeny = "any";
        };
      };

      carrel-image = {
        description = "Carrel: builds the image of the workspaces, if there is none yet";
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        # A new version of Carrel or another image is for `carrel image build` and `use`; nobody's work is interrupted by it.
        restartIfChanged = false;
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${site.carrel} nixos image";
          TimeoutStartSec = "infinity";
        };
      };

      carrel-network = {
        description = network.Unit.Description;
        documentation = [ network.Unit.Documentation ];
        wants = network.Unit.Wants;
        after = network.Unit.After;
        before = network.Unit.Before;
        wantedBy = [ network.Install.WantedBy ];
        # A restart would take the workspaces with it, which must not run without the rules.
        reloadIfChanged = true;
        serviceConfig = network.Service;
      };

      # When it flushes all rules, ours come back.
      nftables = lib.mkIf config.networking.nftables.enable { serviceConfig = firewall.Service; };
    };
  };
}
