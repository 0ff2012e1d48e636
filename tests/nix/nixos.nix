# The options of NixOS that nix/ writes to, with their types, for tests on machines without nixpkgs.
#
# Written after nixpkgs 25.11, and only as far as nix/ goes: whatever is not declared here is an error. What NixOS makes of
# containers and virtual hosts is in generated.nix.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  required = type: mkOption { inherit type; };
  package =
    name:
    mkOption {
      type = types.package;
      default = {
        type = "derivation";
        inherit name;
        outPath = "/nix/store/${name}";
      };
    };
  set = options: types.submodule { inherit options; };
  listOfStr = option (types.listOf types.str) [ ];

  # nixos/lib/systemd-unit-options.nix: lists are joined, anything else has to be the same everywhere.
  setting = lib.mkOptionType {
    name = "systemd option";
    merge =
      loc: definitions:
      let
        values = map (definition: definition.value) definitions;
      in
      if lib.any builtins.isList values then
        lib.concatMap (value: if builtins.isList value then value else [ value ]) values
      else if lib.all (value: value == lib.head values) values then
        lib.head values
      else
        throw "The option `${lib.concatStringsSep "." loc}' has conflicting definitions";
  };
  section = option (types.attrsOf setting) { };

  # nixos/modules/config/users-groups.nix
  accountName =
    what: name:
    if builtins.stringLength name < 32 then
      name
    else
      throw "${what} '${name}' is longer than 31 characters which is not allowed!";
  account =
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = types.passwdEntry types.str;
          default = name;
          apply = accountName "Username";
        };
        uid = option (types.nullOr types.int) null;
        isSystemUser = option types.bool false;
        isNormalUser = option types.bool false;
        description = option (types.passwdEntry types.str) "";
        group = mkOption {
          type = types.str;
          default = "";
          apply = accountName "Group name";
        };
        extraGroups = listOfStr;
        home = option (types.passwdEntry types.path) "/var/empty";
        linger = option (types.nullOr types.bool) null;
        subUidRanges = option (types.listOf ids) [ ];
        subGidRanges = option (types.listOf groupIds) [ ];
      };
    };
  group =
    { name, ... }:
    {
      options = {
        name = mkOption {
          type = types.passwdEntry types.str;
          default = name;
          apply = accountName "Group name";
        };
        gid = option (types.nullOr types.int) null;
        members = option (types.listOf (types.passwdEntry types.str)) [ ];
      };
    };

  common = {
    description = option types.str "";
    documentation = listOfStr;
    requires = listOfStr;
    wants = listOfStr;
    after = listOfStr;
    before = listOfStr;
    conflicts = listOfStr;
    bindsTo = listOfStr;
    partOf = listOfStr;
    wantedBy = listOfStr;
    unitConfig = section;
  };

  service = common // {
    environment = option (types.attrsOf (types.nullOr (types.either types.str types.path))) { };
    serviceConfig = section;
    restartTriggers = option (types.listOf types.anything) [ ];
    restartIfChanged = option types.bool true;
    reloadIfChanged = option types.bool false;
    stopIfChanged = option types.bool true;
  };

  container =
    { name, ... }:
    {
      options = {
        image = required types.str;
        serviceName = option types.str "podman-${name}";
        cmd = listOfStr;
        labels = option (types.attrsOf types.str) { };
        entrypoint = option (types.nullOr types.str) null;
        environment = option (types.attrsOf types.str) { };
        environmentFiles = option (types.listOf types.path) [ ];
        log-driver = option types.str "journald";
        user = option (types.nullOr types.str) null;
        volumes = listOfStr;
        workdir = option (types.nullOr types.str) null;
        hostname = option (types.nullOr types.str) null;
        preRunExtraOptions = listOfStr;
        extraOptions = listOfStr;
        autoStart = option types.bool true;
        podman = option (types.nullOr (set {
          sdnotify = option (types.enum [
            "conmon"
            "healthy"
            "container"
          ]) "conmon";
          user = option types.str "root";
        })) null;
        pull = option (types.enum [
          "always"
          "missing"
          "never"
          "newer"
        ]) "missing";
        capabilities = option (types.lazyAttrsOf (types.nullOr types.bool)) { };
        privileged = option types.bool false;
      };
    };

  location = set {
    proxyPass = option (types.nullOr types.str) null;
    proxyWebsockets = option types.bool false;
    extraConfig = option types.lines "";
    recommendedProxySettings = option types.bool config.services.nginx.recommendedProxySettings;
    priority = option types.int 1000;
  };

  virtualHost = set {
    serverName = option (types.nullOr types.str) null;
    serverAliases = listOfStr;
    listen = option (types.listOf (set {
      addr = required types.str;
      port = option (types.nullOr types.port) null;
      ssl = option types.bool false;
    })) [ ];
    forceSSL = option types.bool false;
    onlySSL = option types.bool false;
    addSSL = option types.bool false;
    default = option types.bool false;
    rejectSSL = option types.bool false;
    useACMEHost = option (types.nullOr types.str) null;
    acmeRoot = option (types.nullOr types.str) "/var/lib/acme/acme-challenge";
    sslCertificate = required types.path;
    sslCertificateKey = required types.path;
    extraConfig = option types.lines "";
    locations = option (types.attrsOf location) { };
  };

  certificate =
    { name, ... }:
    {
      options = {
        directory = mkOption {
          type = types.str;
          readOnly = true;
          default = "/var/lib/acme/${name}";
        };
        extraDomainNames = listOfStr;
        group = option types.str config.security.acme.defaults.group;
        email = option (types.nullOr types.str) config.security.acme.defaults.email;
        dnsProvider = option (types.nullOr types.str) config.security.acme.defaults.dnsProvider;
        webroot = option (types.nullOr types.str) null;
        listenHTTP = option (types.nullOr types.str) null;
        s3Bucket = option (types.nullOr types.str) null;
        environmentFile = option (types.nullOr types.path) config.security.acme.defaults.environmentFile;
      };
    };

  ids = set {
    startUid = required types.int;
    count = option types.int 1;
  };
  groupIds = set {
    startGid = required types.int;
    count = option types.int 1;
  };
in
{
  options = {
    assertions = option (types.listOf (set {
      assertion = required types.bool;
      message = required types.str;
    })) [ ];
    warnings = listOfStr;

    environment.systemPackages = option (types.listOf types.package) [ ];
    environment.etc = option (types.attrsOf (set {
      source = required types.path;
      mode = option types.str "symlink";
    })) { };

    users.manageLingering = option types.bool true;
    users.users = option (types.attrsOf (types.submodule account)) { };
    users.groups = option (types.attrsOf (types.submodule group)) { };

    networking.nftables.enable = option types.bool false;

    security.acme = {
      acceptTerms = option types.bool false;
      defaults = {
        email = option (types.nullOr types.str) null;
        group = option types.str "acme";
        dnsProvider = option (types.nullOr types.str) null;
        environmentFile = option (types.nullOr types.path) null;
      };
      certs = option (types.attrsOf (types.submodule certificate)) { };
    };

    services.nginx = {
      enable = option types.bool false;
      package = package "nginx";
      enableReload = option types.bool false;
      serverNamesHashBucketSize = option (types.nullOr types.int) null;
      user = option types.str "nginx";
      group = option types.str "nginx";
      recommendedProxySettings = option types.bool false;
      recommendedTlsSettings = option types.bool false;
      defaultHTTPListenPort = option types.port 80;
      defaultSSLListenPort = option types.port 443;
      commonHttpConfig = option types.lines "";
      upstreams = option (types.attrsOf (set {
        servers = option (types.attrsOf (types.attrsOf types.anything)) { };
        extraConfig = option types.lines "";
      })) { };
      virtualHosts = option (types.attrsOf virtualHost) { };
    };

    systemd = {
      package = package "systemd";
      tmpfiles.rules = listOfStr;
      services = option (types.attrsOf (set service)) { };
      slices = option (types.attrsOf (set (common // { sliceConfig = section; }))) { };
      mounts = option (types.listOf (set (
        common
        // {
          what = required types.str;
          where = required types.str;
          type = option types.str "";
          options = option types.str "";
          mountConfig = section;
        }
      ))) [ ];
    };

    virtualisation.podman.enable = option types.bool false;
    virtualisation.oci-containers = {
      backend = option (types.enum [
        "podman"
        "docker"
      ]) "podman";
      containers = option (types.attrsOf (types.submodule container)) { };
    };
  };

  config = {
    users.groups.nginx.gid = 60;
    users.groups.acme.gid = 171;
    users.users.nginx = {
      group = "nginx";
      isSystemUser = true;
    };
    environment.etc."ssl/certs/ca-certificates.crt".source = "/nix/store/ca-certificates.crt";

    assertions =
      # nixos/modules/config/users-groups.nix
      lib.concatLists (
        lib.mapAttrsToList (_: user: [
          {
            assertion = user.linger != null -> config.users.manageLingering;
            message = "users.manageLingering is set to false, but users.users.${user.name}.linger is configured.";
          }
          {
            assertion = builtins.match "[a-zA-Z0-9_.][a-zA-Z0-9_.-]*" user.name != null;
            message = "The username \"${user.name}\" is not valid.";
          }
          {
            assertion = user.isSystemUser != user.isNormalUser;
            message = "Exactly one of users.users.${user.name}.isSystemUser and .isNormalUser must be set.";
          }
          {
            assertion = user.group != "" && config.users.groups ? ${user.group};
            message = "users.users.${user.name} has a primary group that is undefined.";
          }
        ]) config.users.users
      )
      # nixos/modules/security/acme/default.nix
      ++ lib.mapAttrsToList (name: certificate: {
        assertion =
          lib.length (
            lib.filter (way: certificate.${way} != null) [
              "dnsProvider"
              "webroot"
              "listenHTTP"
              "s3Bucket"
            ]
          ) == 1;
        message = "Exactly one of the ways has to be set for security.acme.certs.${name}.";
      }) config.security.acme.certs
      # nixos/modules/services/web-servers/nginx/default.nix and security/acme/mk-cert-ownership-assertion.nix
      ++ lib.concatLists (
        lib.mapAttrsToList (name: host: [
          {
            assertion = lib.length (lib.filter (on: on) [ host.addSSL host.onlySSL host.forceSSL host.rejectSSL ]) <= 1;
            message = "addSSL, onlySSL, forceSSL and rejectSSL of ${name} are mutually exclusive.";
          }
          {
            assertion =
              host.useACMEHost == null
              || (
                let
                  certificate = config.security.acme.certs.${host.useACMEHost};
                  inherit (config.services.nginx) user group;
                in
                certificate.group == group
                || lib.elem user config.users.groups.${certificate.group}.members
                || lib.elem certificate.group (config.users.users.${user}.extraGroups or [ ])
              );
            message = "Group for certificate ${toString host.useACMEHost} must be nginx's.";
          }
        ]) config.services.nginx.virtualHosts
      );
  };
}
