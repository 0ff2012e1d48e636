# The AI gateway: an account, a service that is handed the keys by systemd, and what it is told.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.code-server-multi;
  site = import ./site.nix { inherit config lib pkgs; };
  inherit (site) facts;
  found = site.fill site.places facts.units."carrel-gateway.service";
  secrets = "carrel-secrets@gateway.service";
  inherit (site.idsOf site.gateway) uid;
in
{
  config = lib.mkIf (cfg.enable && site.withGateway) {
    users.users.${facts.gateway_account} = {
      isSystemUser = true;
      description = "Carrel, the AI gateway";
      group = facts.gateway_account;
      inherit uid;
      home = "/var/empty";
    };
    users.groups.${facts.gateway_account}.gid = uid;

    # It looks by itself whether this changed, and drops nobody.
    environment.etc."carrel/gateway.json" = {
      source = "${site.gatewayConfig}/gateway.json";
      mode = "0644";
    };

    systemd.services.carrel-gateway = {
      description = found.Unit.Description;
      documentation = [ found.Unit.Documentation ];
      wants = found.Unit.Wants;
      requires = [ secrets ];
      after = found.Unit.After ++ [ secrets ];
      wantedBy = [ found.Install.WantedBy ];
      serviceConfig = found.Service // {
        LoadCredential = [ "secrets:${facts.paths.gateway_secrets}" ];
      };
    };
  };
}
