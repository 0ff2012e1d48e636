# What the parts of the module share: the facts, filled in for the site that `config` describes. Sets no option.
{
  config,
  lib,
  pkgs,
}:
let
  cfg = config.services.code-server-multi;
  known = lib.importJSON ./facts.json;
  facts = known // (if withGateway then known.gateway else known.plain);
  withGateway = cfg.ai.mode == "gateway";

  # Replaces @name@ by its value, in every text and every name inside `value`.
  fill =
    values: value:
    let
      text = lib.replaceStrings (map (name: "@${name}@") (lib.attrNames values)) (lib.attrValues values);
      deep =
        inner:
        if builtins.isString inner then
          text inner
        else if builtins.isList inner then
          map deep inner
        else if builtins.isAttrs inner then
          lib.mapAttrs' (name: found: lib.nameValuePair (text name) (deep found)) inner
        else
          inner;
    in
    deep value;

  units = {
    K = 1024;
    M = 1024 * 1024;
    G = 1024 * 1024 * 1024;
  };

  # "2.5G" as bytes.
  bytes =
    size:
    let
      parts = builtins.match "([0-9.]+)([KMG])(iB|B)?" size;
    in
    if builtins.isInt size then
      size
    else
      builtins.floor (builtins.fromJSON (lib.elemAt parts 0) * units.${lib.elemAt parts 1});

  # A number of CPUs in hundredths: what systemd calls per cent.
  hundredths =
    cpus: builtins.floor ((if builtins.isString cpus then builtins.fromJSON cpus else cpus) * 100 + 0.5);

  # 150 as "1.5": without zeros at the end.
  decimal =
    number:
    let
      rest = lib.mod number 100;
      digits =
        if rest == 0 then
          ""
        else if lib.mod rest 10 == 0 then
          ".${toString (rest / 10)}"
        else if rest < 10 then
          ".0${toString rest}"
        else
          ".${toString rest}";
    in
    "${toString (number / 100)}${digits}";

  # The four limits as numbers, from options of the user or of everybody.
  limits =
    options:
    let
      memory = bytes options.memoryLimit;
      share = facts.limits.soft_share;
    in
    {
      inherit memory;
      memory_soft =
        if options.memorySoftLimit != null then
          bytes options.memorySoftLimit
        else
          memory * lib.elemAt share 0 / lib.elemAt share 1;
      cpus = hundredths options.cpuLimit;
      processes = options.processLimit;
    };

  temporary =
    memory:
    lib.listToAttrs (
      map (
        share:
        let
          size = memory / share.parts;
        in
        lib.nameValuePair "size:${share.path}" (
          toString (if share.most != null && share.most < size then share.most else size)
        )
      ) facts.limits.temporary
    );

  person =
    name: user:
    let
      held = limits user;
      inherit (idsOf user.number) uid first;
      # NixOS gives up in its own words at a name that no account can have, before it comes to our assertion.
      fits = builtins.match facts.rules.user name != null;
      fitting = if fits then name else builtins.substring 0 24 (builtins.hashString "sha256" name);
      account = fill { user = fitting; } facts.account.name;
    in
    {
      inherit
        name
        account
        uid
        first
        ;
      inherit (user) port passwordFile environment;
      limits = held;
      # Everything that a placeholder of the facts may stand for.
      values = {
        user = name;
        full_name = user.fullName;
        inherit (user) email;
        name = document.site.name or "Carrel";
        uid = toString uid;
        first = toString first;
        above = toString (first + 1000);
        web = toString webGroup.gid;
        gateway_uid = toString (idsOf gateway).uid;
        memory = toString held.memory;
        memory_soft = toString held.memory_soft;
        cpus = decimal held.cpus;
        cpu_percent = toString held.cpus;
        processes = toString held.processes;
        storage = cfg.workspaceBase;
        agent = toString user.agentConfig;
      }
      // temporary held.memory
      // places;
    };

  # People have the numbers below. The ids above the builder's belong to systemd (its "foreign" range).
  gateway = 4092;
  builder = 4093;
  idsOf = number: {
    uid = cfg.firstUid + number;
    first = cfg.firstSubordinateId + number * facts.account.subordinate_ids;
  };

  # The web server's group, which may enter the directories of the sockets.
  webGroup = config.users.groups.${config.services.nginx.group} or { gid = null; };

  places = {
    inherit (cfg) domain;
    pages = toString cfg.pages;
    nft = "${pkgs.nftables}/bin/nft";
    systemctl = "${config.systemd.package}/bin/systemctl";
    python = "${cfg.package}/libexec/carrel-python";
    gateway_config = "/etc/carrel/gateway.json";
    # Another list is another path, and so another container.
    ca_bundle = "${config.environment.etc."ssl/certs/ca-certificates.crt".source}";
  };

  # What workspaces are told of the proxy in `settings.network`; nothing if there is none.
  proxy =
    let
      network = document.network or { };
      given = {
        http_proxy = network.http_proxy or "";
        https_proxy = network.https_proxy or "";
      };
      exceptions = lib.concatStringsSep "" (map (host: ",${host}") (network.no_proxy or [ ]));
      told = lib.mapAttrs (
        _: text: lib.replaceStrings [ ",@no_proxy@" ] [ exceptions ] text
      ) facts.proxy;
    in
    if given.http_proxy == "" && given.https_proxy == "" then
      { }
    else
      lib.filterAttrs (_: value: value != "") (fill given told);

  certificate =
    if cfg.sslCertificate != null then
      {
        file = toString cfg.sslCertificate;
        key = toString cfg.sslCertificateKey;
      }
    else
      {
        file = "${config.security.acme.certs.${cfg.useACMEHost}.directory}/fullchain.pem";
        key = "${config.security.acme.certs.${cfg.useACMEHost}.directory}/key.pem";
      };

  people = lib.mapAttrs person cfg.users;
  toml = pkgs.formats.toml { };
  present = lib.filterAttrsRecursive (_: value: value != null);

  # carrel.toml: what `carrel` reads on this server, and what pages and agent configuration are made from.
  document = lib.recursiveUpdate (present {
    inherit (cfg) domain;
    tls = {
      mode = "files";
      certificate_file = certificate.file;
      key_file = certificate.key;
    };
    image = {
      base = cfg.baseImage;
      inherit (cfg) languages packages extensions;
    };
    storage.base = cfg.workspaceBase;
    ai = {
      inherit (cfg.ai) mode model;
      providers = lib.mapAttrs (_: provider: {
        api_key_file = provider.apiKeyFile;
        base_url = provider.baseUrl;
        models = if provider.models == [ ] then null else provider.models;
      }) cfg.ai.providers;
    };
    users = lib.mapAttrs (name: user: {
      password_file = user.passwordFile;
      full_name = user.fullName;
      inherit (user) port suspended email;
      limits = people.${name}.limits // {
        cpus = builtins.fromJSON (decimal people.${name}.limits.cpus);
      };
    }) cfg.users;
  }) cfg.settings;

  gatewayConfig = pkgs.runCommand "carrel-gateway" { } ''
    ${carrel} nixos gateway --config ${configFile} "$out"
  '';

  configFile = toml.generate "carrel.toml" document;
  part = without: toml.generate "carrel.toml" (removeAttrs document without);
  # What neither pages nor agents depend on.
  others = [
    "image"
    "limits"
    "storage"
    "tls"
    "users"
  ];
  carrel = "${cfg.package}/bin/carrel";

  # What the module knows and carrel.toml has no word for.
  declaration = (pkgs.formats.json { }).generate "carrel-nixos.json" {
    environment = lib.filterAttrs (_: variables: variables != { }) (
      lib.mapAttrs (_: user: user.environment) cfg.users
    );
  };
  # Made by Carrel when the system is built, from what they depend on and no more: a new user must not restart the others.
  pages = pkgs.runCommand "carrel-pages" { } ''
    ${carrel} nixos pages --config ${part (others ++ [ "ai" ])} "$out"
  '';
  agent =
    name: user:
    pkgs.runCommand "carrel-agent-${name}" { } ''
      ${carrel} nixos agent --config ${part others} ${lib.concatStringsSep " " (lib.attrNames user.environment)} "$out"
    '';
in
{
  inherit
    agent
    builder
    carrel
    configFile
    declaration
    facts
    fill
    gateway
    idsOf
    known
    pages
    people
    places
    proxy
    webGroup
    withGateway
    certificate
    document
    gatewayConfig
    ;
  # Those who work here now.
  working = lib.filterAttrs (name: _: !cfg.users.${name}.suspended) people;

  # What workspaces cannot reach. nft refuses a set with an empty list of elements.
  rules =
    let
      ids = map toString (lib.sort (a: b: a < b) (map (user: user.uid) (lib.attrValues people)));
      lines = lib.filter (line: ids != [ ] || !lib.hasInfix "@uid@" line) (
        lib.splitString "\n" facts.network
      );
    in
    fill { uid = lib.concatStringsSep ", " ids; } (lib.concatStringsSep "\n" lines);

  # Settings of podman, where Carrel looks for them, too. Units add containers.conf to NixOS's own, and have a storage.conf
  # that says where the store is, because NixOS runs podman without our options.
  engine = pkgs.linkFarm "carrel-engine" (
    lib.mapAttrs pkgs.writeText {
      "containers.conf" = facts.engine.containers;
      "storage.conf" = facts.engine.storage;
    }
  );
  storage =
    user: pkgs.writeText "${user.account}-storage.conf" (fill user.values facts.engine.own_storage);

  quiesce = pkgs.writeShellScript "carrel-quiesce" ''
    set -eu
    ${config.systemd.package}/bin/systemctl freeze ${facts.slice}
    ${pkgs.coreutils}/bin/sync
  '';
  resume = pkgs.writeShellScript "carrel-resume" ''
    exec ${config.systemd.package}/bin/systemctl thaw ${facts.slice}
  '';
}
