# What NixOS makes of containers and virtual hosts: podman's arguments, units, and the text of nginx.conf.
#
# A model after nixpkgs 25.11 of nixos/modules/virtualisation/oci-containers.nix and services/web-servers/nginx.
{ config, lib }:
let
  nginx = config.services.nginx;
  lines = lib.concatStringsSep "\n";
  listed = lib.mapAttrsToList;

  arguments =
    name: container:
    [ "podman" ]
    ++ container.preRunExtraOptions
    ++ [
      "run"
      "--name=${name}"
      "--log-driver=${container.log-driver}"
    ]
    ++ lib.optional (container.entrypoint != null) "--entrypoint=${container.entrypoint}"
    ++ lib.optional (container.hostname != null) "--hostname=${container.hostname}"
    ++ [
      "--cidfile=/run/${name}/ctr-id"
      "--cgroups=enabled"
      "--sdnotify=${container.podman.sdnotify}"
      "-d"
      "--replace"
    ]
    ++ lib.concatLists (listed (key: value: [ "-e" "${key}=${value}" ]) container.environment)
    ++ lib.concatMap (file: [ "--env-file" file ]) container.environmentFiles
    ++ lib.optionals (container.user != null) [ "-u" container.user ]
    ++ lib.concatMap (volume: [ "-v" volume ]) container.volumes
    ++ lib.concatLists (listed (key: value: [ "-l" "${key}=${value}" ]) container.labels)
    ++ lib.optionals (container.workdir != null) [ "-w" container.workdir ]
    ++ lib.optional container.privileged "--privileged"
    ++ [ "--rm" ]
    ++ listed (key: _: "--cap-add=${key}") (lib.filterAttrs (_: value: value == true) container.capabilities)
    ++ listed (key: _: "--cap-drop=${key}") (lib.filterAttrs (_: value: value == false) container.capabilities)
    ++ [ "--pull" container.pull ]
    ++ container.extraOptions
    ++ [ container.image ]
    ++ container.cmd;

  service =
    name: container:
    lib.nameValuePair container.serviceName {
      wantedBy = lib.optional container.autoStart "multi-user.target";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      environment.HOME = toString config.users.users.${container.podman.user}.home;
      unitConfig.RequiresMountsFor = "/run/user/${
        toString config.users.users.${container.podman.user}.uid
      }/containers";
      serviceConfig = {
        TimeoutStartSec = 0;
        TimeoutStopSec = 120;
        Restart = "always";
        Environment = "PODMAN_SYSTEMD_UNIT=%n";
        Type = "notify";
        NotifyAccess = "all";
        User = container.podman.user;
        RuntimeDirectory = name;
        ExecStartPre = [ "/nix/store/pre-start" ];
        ExecStopPost = "/nix/store/post-stop";
      };
    };

  listen = port: ssl: "listen 0.0.0.0:${toString port} ${if ssl then "ssl " else ""};";
  plain = [ (listen nginx.defaultHTTPListenPort false) ];
  secure = [ (listen nginx.defaultSSLListenPort true) ];

  inOrder =
    locations:
    lib.sort (one: other: locations.${one}.priority < locations.${other}.priority) (
      lib.attrNames locations
    );

  locationText = name: location: ''
    location ${name} {
      ${if location.proxyPass != null then "proxy_pass ${location.proxyPass};" else ""}
      ${
        if location.proxyWebsockets then
          ''
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
          ''
        else
          ""
      }
      ${location.extraConfig}
      ${if location.proxyPass != null && location.recommendedProxySettings then "include recommended.conf;" else ""}
    }
  '';

  hostText =
    name: host:
    let
      serverName = if host.serverName != null then host.serverName else name;
      names = "server_name ${serverName} ${toString host.serverAliases};";
      ssl = host.forceSSL || host.onlySSL;
      listens =
        if host.listen != [ ] then
          map (
            one:
            "listen ${one.addr}:${toString one.port} ${if one.ssl then "ssl " else ""}${
              if host.default then "default_server " else ""
            };"
          ) host.listen
        else if host.rejectSSL then
          plain ++ secure
        else if ssl then
          secure
        else
          plain;
      directory = config.security.acme.certs.${host.useACMEHost}.directory;
      file = if host.useACMEHost != null then "${directory}/fullchain.pem" else host.sslCertificate;
      key = if host.useACMEHost != null then "${directory}/key.pem" else host.sslCertificateKey;
    in
    ''
      ${
        if host.forceSSL then
          ''
            server {
              ${lines plain}
              ${names}
              location / { return 301 https://$host$request_uri; }
            }
          ''
        else
          ""
      }
      server {
        ${lines listens}
        ${names}
        ${if ssl then "ssl_certificate ${file}; ssl_certificate_key ${key};" else ""}
        ${if host.rejectSSL then "ssl_reject_handshake on;" else ""}
        ${lines (map (name: locationText name host.locations.${name}) (inOrder host.locations))}
        ${host.extraConfig}
      }
    '';

  upstreamText = name: upstream: ''
    upstream ${name} {
      ${lines (listed (address: _: "server ${address} ;") upstream.servers)}
      ${upstream.extraConfig}
    }
  '';
in
{
  podman = lib.mapAttrs arguments config.virtualisation.oci-containers.containers;

  # To be evaluated as one more module: what oci-containers adds to systemd's.
  module.systemd.services = lib.mapAttrs' service config.virtualisation.oci-containers.containers;

  # The inside of `http { … }`.
  nginx = lines (
    listed upstreamText nginx.upstreams
    ++ [
      "ssl_protocols TLSv1.2 TLSv1.3;"
      (
        if nginx.serverNamesHashBucketSize == null then
          ""
        else
          "server_names_hash_bucket_size ${toString nginx.serverNamesHashBucketSize};"
      )
      "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
      nginx.commonHttpConfig
    ]
    ++ listed hostText nginx.virtualHosts
  );
}
