# The options of NixOS that nix/ writes to, with their types, for tests on machines without nixpkgs.
#
# Written after nixpkgs 25.11, and only as far as nix/ goes: whatever is not declared here is an error. What NixOS makes of
# containers and virtual hosts is in generated.nix.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  option = type: default: mkOption { inherit type default; };
  required = type: mkOption { inherit type; };
  set = options: types.submodule { inherit options; };
  listOfStr = option (types.listOf types.str) [ ];

  toList = value: if builtins.isList value then value else [ value ];
  # A setting of a unit: lists are joined, anything else has to be the same everywhere.
  setting = {
    description = "setting of systemd";
    check = value: builtins.isList value || builtins.isString value || builtins.isInt value || builtins.isBool value;
    merge =
      loc: values:
      if lib.any builtins.isList values then
        lib.concatMap toList values
      else if lib.all (value: value == lib.head values) values then
        lib.head values
      else
        throw "The option `${lib.concatStringsSep "." loc}' has conflicting definitions";
  };
  section = option (types.attrsOf setting) { };

  # nixos/modules/config/users-groups.nix: what is a field of /etc/passwd.
  passwdEntry = types.str // {
    description = "field of /etc/passwd";
    check = value: builtins.isString value && builtins.match "[^:\n]*" value != null;
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
    default = option types.bool false;
    rejectSSL = option types.bool false;
    useACMEHost = option (types.nullOr types.str) null;
    acmeRoot = option (types.nullOr types.str) "/var/lib/acme/acme-challenge";
    sslCertificate = option (types.nullOr types.path) null;
    sslCertificateKey = option (types.nullOr types.path) null;
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

    users.users = option (types.attrsOf (set {
      uid = option (types.nullOr types.int) null;
      isSystemUser = option types.bool false;
      isNormalUser = option types.bool false;
      description = option passwdEntry "";
      group = option types.str "";
      home = option types.path "/var/empty";
      # With users.manageLingering off, NixOS asserts that nobody sets it.
      linger = option (types.nullOr types.bool) null;
      subUidRanges = option (types.listOf ids) [ ];
      subGidRanges = option (types.listOf groupIds) [ ];
    })) { };
    users.groups = option (types.attrsOf (set { gid = option (types.nullOr types.int) null; })) { };

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
      package = option types.package "/nix/store/nginx";
      enableReload = option types.bool false;
      serverNamesHashBucketSize = option (types.nullOr types.int) null;
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
      package = option types.package "/nix/store/systemd";
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

  config.users.groups.nginx.gid = 60;
  config.environment.etc."ssl/certs/ca-certificates.crt".source = "/nix/store/ca-certificates.crt";
}
