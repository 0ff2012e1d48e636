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
    inherit (found) proxyPass priority;
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
          inherit (cfg) sslCertificate sslCertificateKey;
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
      serverName = lib.concatStringsSep " " (nginx.tunnel.names ++ lib.optional (nginx.tunnel.names == [ ]) "localhost");
      listen = loopback user;
    };

  loopback = user: [
    {
      addr = "127.0.0.1";
      inherit (user) port;
    }
  ];

  # At a tunnel's port, a name that somebody made point to this machine.
  stray =
    user:
    inside nginx.stray
    // {
      serverName = "_";
      default = true;
      listen = loopback user;
    };

  # What is nobody's. nginx takes the first host, and NixOS sorts them by name; a host with `default` goes before it.
  nobody = inside nginx.nobody // {
    serverName = lib.head nginx.nobody.names;
    rejectSSL = true;
  };

  page = found: secure // inside (fill site.places found);

  # The maps speak of variables that desks set; nginx refuses all of its configuration when no desk does.
  welcome =
    let
      found = page nginx.welcome;
    in
    found
    // {
      extraConfig = text (
        lib.optionals (people == [ ]) [
          "set $carrel_user \"\";"
          "set $carrel_jar \"\";"
        ]
        ++ [ found.extraConfig ]
      );
    };

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
  withPort = lib.filter (user: user.port != null) people;
  tunnels = lib.listToAttrs (
    map (user: lib.nameValuePair "carrel-tunnel-${user.name}" (tunnel user)) withPort
    ++ lib.optionals (nginx ? stray) (
      map (user: lib.nameValuePair "carrel-tunnel-${user.name}-stray" (stray user)) withPort
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
      # Names are exact here, one per desk, and may be as long as a name in the DNS can be (RFC 1035, 2.3.4).
      serverNamesHashBucketSize = lib.mkDefault 512;
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
          ${cfg.domain} = welcome;
          "*.${cfg.domain}" = page nginx.unknown;
        }
        // lib.optionalAttrs (nginx ? nobody) { "!carrel-nobody" = nobody; };
    };

    security.acme.certs = lib.mkIf (cfg.sslCertificate == null) {
      # One that somebody else declares is named all the same: were it not declared at all, NixOS would look for it in vain
      # before it comes to our assertion.
      ${cfg.useACMEHost} = lib.optionalAttrs ownCertificate {
        extraDomainNames = [ "*.${cfg.domain}" ];
        group = lib.mkDefault config.services.nginx.group;
        dnsProvider = lib.mkIf (cfg.acme.dnsProvider != null) cfg.acme.dnsProvider;
        environmentFile = lib.mkIf (cfg.acme.credentialsFile != null) cfg.acme.credentialsFile;
      };
    };
  };
}
