# What is wrong with a configuration, said before anything is built, each with its remedy.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.code-server-multi;
  site = import ./site.nix { inherit config lib pkgs; };
  inherit (site.facts) rules;
  here = "services.code-server-multi";
  fits = pattern: text: builtins.match pattern text != null;

  taken = site.facts.set_by_carrel ++ lib.attrNames site.facts.podman.environment;

  # The names of those who share a value with somebody else, by the value.
  shared =
    valueOf:
    lib.filterAttrs (_: names: lib.length names > 1) (
      lib.foldl' (
        found: name:
        let
          value = valueOf cfg.users.${name};
        in
        if value == null then
          found
        else
          found // { ${toString value} = (found.${toString value} or [ ]) ++ [ name ]; }
      ) { } (lib.attrNames cfg.users)
    );

  must = assertion: message: { inherit assertion message; };

  certificate = config.security.acme.certs.${cfg.useACMEHost};
  # Our own is for a wildcard, for which there is but one way.
  ways = [
    "dnsProvider"
  ]
  ++ lib.optionals (cfg.useACMEHost != cfg.domain) [
    "webroot"
    "listenHTTP"
    "s3Bucket"
  ];
  covered = cfg.sslCertificate != null || lib.any (way: certificate.${way} or null != null) ways;

  inherit (config.services.nginx) user group;
  supplementary = config.systemd.services.nginx.serviceConfig.SupplementaryGroups or [ ];
  # Whether nginx is in a group, by any of the ways that NixOS has for it.
  isIn =
    name:
    name == group
    || lib.elem user (config.users.groups.${name}.members or [ ])
    || lib.elem name (config.users.users.${user}.extraGroups or [ ])
    || lib.elem name (if builtins.isList supplementary then supplementary else lib.splitString " " supplementary);

  # Who may read a certificate of security.acme: its group (nixpkgs, nixos/modules/security/acme/mk-cert-ownership-assertion.nix).
  readable = cfg.sslCertificate != null || !covered || isIn certificate.group;

  # The key as a secret of sops-nix or agenix, if it is one: by default they are for root alone.
  closed =
    secret:
    let
      mode = secret.mode or "0400";
    in
    toString secret.path == cfg.sslCertificateKey
    && secret.owner or "root" != user
    && !(isIn (secret.group or "root") && fits "0?[0-7][4-7][0-7]" mode)
    && !fits "0?[0-7][0-7][4-7]" mode;
  secrets = lib.attrValues (config.sops.secrets or { }) ++ lib.attrValues (config.age.secrets or { });

  ofSite = [
    (must (fits rules.domain cfg.domain) ''
      ${here}.domain is "${cfg.domain}", which is not a domain. Write it like "code.example.org".
    '')
    (must readable ''
      ${here}.useACMEHost: the certificate "${cfg.useACMEHost}" is for the group "${certificate.group}", and nginx is not in it.
      Set users.users.${user}.extraGroups = [ "${certificate.group}" ], or security.acme.certs."${cfg.useACMEHost}".group =
      "${group}".
    '')
    (must (cfg.sslCertificateKey == null || !lib.any closed secrets) ''
      ${here}.sslCertificateKey is a secret that nginx cannot read: on NixOS all of nginx runs as the account "${user}". Set the
      secret's owner = "${user}".
    '')
    (must covered ''
      ${here}: there is no certificate for ${cfg.domain} and the names below it. Set acme.dnsProvider and
      acme.credentialsFile (or security.acme.defaults), name one of security.acme.certs in useACMEHost, or set
      sslCertificate and sslCertificateKey.
    '')
    (must ((cfg.sslCertificate == null) == (cfg.sslCertificateKey == null)) ''
      ${here}: sslCertificate and sslCertificateKey belong together. Set both or none.
    '')
    (must (config.virtualisation.oci-containers.backend == "podman") ''
      ${here}: workspaces are containers of rootless podman. Set virtualisation.oci-containers.backend = "podman"; docker has
      no account per user.
    '')
    (must (site.webGroup.gid != null) ''
      ${here}: the group "${config.services.nginx.group}" of nginx has no fixed id, and the directories of the sockets
      need one. Set users.groups."${config.services.nginx.group}".gid.
    '')
    (must (!lib.any (letter: lib.hasInfix letter cfg.workspaceBase) rules.not_in_paths) ''
      ${here}.workspaceBase has characters that podman or nginx would read as something else. Choose a directory without
      quotes, colons, commas, braces or wildcards in its path.
    '')
    (must (!(site.document.network or { }) ? ca_file) ''
      ${here}.settings.network.ca_file: on NixOS, workspaces trust whom the system trusts. Name the file in
      security.pki.certificateFiles.
    '')
    (must (cfg.ai.mode != "shared-keys" || cfg.ai.providers != { }) ''
      ${here}.ai.providers is empty, but ai.mode is "shared-keys". Add a provider, or set mode to "off".
    '')
  ];

  ofProvider = name: provider: [
    (must (fits rules.provider name) ''
      ${here}.ai.providers."${name}" is not a provider's name. Use lower-case letters, digits and hyphens, like "anthropic".
    '')
    (must (provider.baseUrl == null || provider.models != [ ]) ''
      ${here}.ai.providers.${name}.models is empty, but needed with baseUrl. Name the models.
    '')
    (must (provider.baseUrl != null || provider.apiKeyFile != null || cfg.ai.mode == "gateway") ''
      ${here}.ai.providers.${name} has neither apiKeyFile nor baseUrl. Add the file with its key.
    '')
  ];

  ofUser =
    name: user:
    let
      inherit (site.people.${name}) limits;
      stored = lib.filter (lib.hasPrefix builtins.storeDir) (
        [ user.passwordFile ] ++ lib.attrValues user.environment
      );
      bad = lib.filter (
        variable: !fits "[A-Za-z_][A-Za-z0-9_]*" variable || lib.elem variable taken
      ) (lib.attrNames user.environment);
    in
    [
      (must (fits rules.user name) ''
        ${here}.users."${name}" cannot be a user's name. Use 1 to 24 lower-case letters and digits, a letter first, no hyphen.
      '')
      (must (!lib.elem name rules.reserved) ''
        ${here}.users."${name}" is reserved: people would take it for a part of the service. Choose another name.
      '')
      (must (limits.memory >= rules.smallest_memory) ''
        ${here}.users.${name}.memoryLimit is less memory than VS Code needs to start. Give at least "256M"; "2G" is usual.
      '')
      (must (limits.memory_soft <= limits.memory) ''
        ${here}.users.${name}.memorySoftLimit is larger than memoryLimit, the hard limit. Lower it or raise memoryLimit.
      '')
      (must (limits.cpus > 0) ''
        ${here}.users.${name}.cpuLimit is nothing at all. Give at least "0.1".
      '')
      (must (user.port == null || user.port >= 1024) ''
        ${here}.users.${name}.port is ${toString user.port}, which is for the system's own services. Choose one from 1024 upwards.
      '')
      (must (stored == [ ]) ''
        ${here}.users.${name}: ${toString stored} is in the Nix store, where everybody can read it. Use sops-nix, agenix, or a
        file that Nix does not copy.
      '')
      (must (bad == [ ]) ''
        ${here}.users.${name}.environment: ${toString bad} cannot be set there. Use letters, digits and underscores; what
        Carrel sets itself stays as it is.
      '')
    ];
in
{
  config = lib.mkIf cfg.enable {
    assertions =
      ofSite
      ++ lib.concatLists (lib.mapAttrsToList ofProvider cfg.ai.providers)
      ++ lib.concatLists (lib.mapAttrsToList ofUser cfg.users)
      ++ lib.mapAttrsToList (
        port: names:
        must false ''
          ${here}.users: ${toString names} have the same port, ${port}. Give each another one.
        ''
      ) (shared (user: user.port))
      ++ lib.mapAttrsToList (
        number: names:
        must false ''
          ${here}.users: ${toString names} have the same number, ${number}, and would share an account's ids. Set `number` of the
          one who came last to one that is free.
        ''
      ) (shared (user: user.number));

    warnings = lib.optional (lib.hasSuffix ":latest" cfg.baseImage) ''
      ${here}.baseImage is "${cfg.baseImage}": nobody knows which version that will be, and two servers may differ. Name a
      version, or a digest.
    '';
  };
}
