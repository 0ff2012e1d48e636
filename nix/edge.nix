# The edge: a virtual host of nginx per user, the welcome page, a 404 for every other name, and the certificate.
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
  inherit (facts) nginx;
  ownCertificate = cfg.sslCertificate == null && cfg.useACMEHost == cfg.domain;

  text = lib.concatStringsSep "\n";

  location = found: {
    inherit (found) proxyPass;
    extraConfig = text found.lines;
    # Ours are complete, and a client's own headers must not come through.
    recommendedProxySettings = false;
  };

  inside = found: {
    locations = lib.mapAttrs (_: location) found.locations;
    extraConfig = text found.lines;
  };

  secure =
    {
      forceSSL = true;
      # A wildcard needs DNS-01; no file of a challenge is served.
      acmeRoot = null;
    }
    // (
      if cfg.sslCertificate == null then
        { inherit (cfg) useACMEHost; }
      else
        {
          inherit (cfg) sslCertificate;
          sslCertificateKey = cfg.sslCertificateKey;
        }
    );

  desk =
    user:
    let
      found = inside (fill user.values nginx.desk);
    in
    secure
    // found
    // {
      # On Debian this comes out of a pattern in the server's name.
      extraConfig = text [
        "set $carrel_user ${user.name};"
        found.extraConfig
      ];
    };

  tunnel =
    user:
    inside (fill user.values nginx.tunnel)
    // {
      serverName = "localhost";
      listen = [
        {
          addr = "127.0.0.1";
          inherit (user) port;
        }
      ];
    };

  page = found: secure // inside (fill site.places found);

  upstream =
    user:
    let
      found = fill user.values nginx.upstream;
    in
    lib.nameValuePair found.name {
      servers.${found.address} = { };
      extraConfig = text found.lines;
    };

  people = lib.attrValues site.working;
  desks = lib.listToAttrs (map (user: lib.nameValuePair "${user.name}.${cfg.domain}" (desk user)) people);
  tunnels = lib.listToAttrs (
    map (user: lib.nameValuePair "carrel-tunnel-${user.name}" (tunnel user)) (
      lib.filter (user: user.port != null) people
    )
  );
in
{
  config = lib.mkIf cfg.enable {
    services.nginx = {
      enable = true;
      # A restart would close everybody's WebSockets.
      enableReload = lib.mkDefault true;
      upstreams = lib.listToAttrs (map upstream people);
      commonHttpConfig = text (
        nginx.http
        ++ [
          "${nginx.desks.head} {"
        ]
        ++ nginx.desks.default
        ++ map (user: fill user.values nginx.desks.known) people
        ++ [ "}" ]
      );
      virtualHosts =
        desks
        // tunnels
        // {
          ${cfg.domain} = page nginx.welcome;
          "*.${cfg.domain}" = page nginx.unknown;
        };
    };

    security.acme.certs = lib.mkIf ownCertificate {
      ${cfg.domain} = {
        extraDomainNames = [ "*.${cfg.domain}" ];
        group = lib.mkDefault config.services.nginx.group;
        dnsProvider = lib.mkIf (cfg.acme.dnsProvider != null) cfg.acme.dnsProvider;
        environmentFile = lib.mkIf (cfg.acme.credentialsFile != null) cfg.acme.credentialsFile;
      };
    };
  };
}
