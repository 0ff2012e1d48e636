# Accounts, directories, mounts and containers: one of each per user, as options of NixOS.
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
  inherit (facts) units;

  account = user: {
    isSystemUser = true;
    # No colon: it is a field of /etc/passwd.
    description = "Carrel, the workspace of ${user.name}";
    group = user.account;
    inherit (user) uid;
    # No lingering session: podman's files are below the unit's own runtime directory, and its processes in the unit's cgroup,
    # where the limits are. A manager of systemd per person would only cost memory.
    home = "/var/empty";
    subUidRanges = [
      {
        startUid = user.first;
        count = facts.account.subordinate_ids;
      }
    ];
    subGidRanges = [
      {
        startGid = user.first;
        count = facts.account.subordinate_ids;
      }
    ];
  };

  # A directory with those inside it that are made with it.
  lines =
    values: directory:
    let
      filled = fill values directory;
      line = path: "d ${path} ${filled.mode} ${filled.owner} ${filled.owner} -";
      steps =
        path:
        let
          parts = lib.splitString "/" path;
        in
        map (n: lib.concatStringsSep "/" (lib.take n parts)) (lib.range 1 (lib.length parts));
    in
    [ (line filled.path) ]
    ++ map (path: line "${filled.path}/${path}") (lib.concatMap steps filled.skeleton);

  isTheirs = directory: lib.hasInfix "@user@" directory.path;
  directories =
    lib.concatMap (lines { }) (lib.filter (directory: !isTheirs directory) facts.directories)
    ++ lib.concatMap (
      user: lib.concatMap (lines user.values) (lib.filter isTheirs facts.directories)
    ) (lib.attrValues site.people);

  mount =
    user: unit:
    let
      found = fill user.values unit;
    in
    {
      description = found.Unit.Description;
      what = found.Mount.What;
      where = found.Mount.Where;
      type = found.Mount.Type;
      options = found.Mount.Options;
      mountConfig = removeAttrs found.Mount [
        "What"
        "Where"
        "Type"
        "Options"
      ];
      wantedBy = [ found.Install.WantedBy ];
    };

  imageService = "carrel-image.service";
  secretsService = user: "carrel-secrets@${user.name}.service";

  # One file system for sockets, one for the gateway's if there is one, and the image, which has to be there first.
  mounts =
    user:
    map (
      name:
      mount user units.${name}
      // lib.optionalAttrs (units.${name}.Mount.Type == "none") {
        requires = [ imageService ];
        after = [ imageService ];
        # By default a mount comes before local-fs.target, and a service after it: with both, systemd finds a cycle at every
        # boot and drops whatever it likes. This one is not of the early boot (systemd.mount(5), default dependencies).
        unitConfig.DefaultDependencies = false;
        conflicts = [ "umount.target" ];
        before = [ "umount.target" ];
      }
    ) (lib.filter (lib.hasSuffix ".mount") (lib.attrNames units));

  container =
    user:
    let
      found = fill user.values facts.podman;
    in
    found
    // {
      environment = found.environment // site.proxy;
      serviceName = serviceName user;
      podman.user = user.account;
    };

  serviceName = user: "carrel-workspace@${user.name}";

  service =
    user:
    let
      found = fill user.values units.workspace;
      inherit (found) Unit Service environment;
    in
    {
      description = Unit.Description;
      documentation = [ Unit.Documentation ];
      requires = Unit.Requires ++ [ (secretsService user) ];
      wants = Unit.Wants;
      after = Unit.After ++ [ (secretsService user) ];
      bindsTo = Unit.BindsTo;
      unitConfig = { inherit (Unit) StartLimitBurst StartLimitIntervalSec RequiresMountsFor; };
      environment =
        removeAttrs environment [
          "CONTAINERS_CONF"
          "CONTAINERS_STORAGE_CONF"
          "HOME"
        ]
        // {
          # Added to NixOS's own settings, which know where programs are.
          CONTAINERS_CONF_OVERRIDE = environment.CONTAINERS_CONF;
          CONTAINERS_STORAGE_CONF = "${site.storage user}";
          # The account's home is empty and cannot be written to.
          HOME = lib.mkForce environment.HOME;
        };
      serviceConfig = Service // {
        # Not by a message of podman's to systemd, which can come too late to be anybody's.
        Type = lib.mkForce Service.Type;
        NotifyAccess = lib.mkForce Service.NotifyAccess;
        TimeoutStartSec = lib.mkForce Service.TimeoutStartSec;
        TimeoutStopSec = lib.mkForce Service.TimeoutStopSec;
      };
    };

  everybody = lib.attrValues site.people;
  working = lib.attrValues site.working;
  perUser = name: value: users: lib.listToAttrs (map (user: lib.nameValuePair (name user) (value user)) users);
in
{
  config = lib.mkIf cfg.enable {
    users.users = perUser (user: user.account) account everybody;
    users.groups = perUser (user: user.account) (user: { gid = user.uid; }) everybody;

    # Also while nobody works here: `carrel image build` needs it.
    virtualisation.podman.enable = lib.mkDefault true;
    virtualisation.oci-containers = {
      backend = lib.mkDefault "podman";
      containers = perUser (user: user.account) container working;
    };

    systemd = {
      tmpfiles.rules = directories ++ [
        "L+ ${facts.engine.directory} - - - - ${site.engine}"
      ];

      mounts = lib.concatMap mounts working;

      services = perUser serviceName service working;

      slices.${lib.removeSuffix ".slice" facts.slice} = {
        description = units.${facts.slice}.Unit.Description;
        documentation = [ units.${facts.slice}.Unit.Documentation ];
        sliceConfig = units.${facts.slice}.Slice;
      };
    };
  };
}
