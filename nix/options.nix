# The options of `services.code-server-multi`. docs/reference/nixos.md is made from here.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) literalExpression mkOption types;
  cfg = config.services.code-server-multi;
  site = import ./site.nix { inherit config lib pkgs; };
  # Not the facts of one mode: options are the same in all.
  facts = site.known;

  size = types.either types.ints.positive (types.strMatching "(0|[1-9][0-9]*)(\\.[0-9]+)?[KMG](iB|B)?");
  cpus = types.either types.number (types.strMatching "(0|[1-9][0-9]*)(\\.[0-9][0-9]?)?");
  # A path on the server, as text: a path of Nix would be copied into its store, where everybody can read it.
  secret = types.strMatching "/.*";

  limits = default: {
    memoryLimit = mkOption {
      type = size;
      default = default.memoryLimit;
      defaultText = literalExpression default.texts.memoryLimit;
      example = "2G";
      description = "Memory that the workspace cannot exceed. What wants more is ended.";
    };
    memorySoftLimit = mkOption {
      type = types.nullOr size;
      default = default.memorySoftLimit;
      defaultText = literalExpression default.texts.memorySoftLimit;
      example = "1.5G";
      description = "Memory that is kept for the workspace when the server runs short; null: five sixths of `memoryLimit`.";
    };
    cpuLimit = mkOption {
      type = cpus;
      default = default.cpuLimit;
      defaultText = literalExpression default.texts.cpuLimit;
      example = "1.5";
      description = "CPUs that the workspace cannot exceed, in hundredths at the finest.";
    };
    processLimit = mkOption {
      type = types.ints.between 64 1000000;
      default = default.processLimit;
      defaultText = literalExpression default.texts.processLimit;
      description = "Processes and threads that the workspace cannot exceed.";
    };
  };

  everybody = limits {
    memoryLimit = facts.limits.memory;
    memorySoftLimit = null;
    cpuLimit = facts.limits.cpus;
    processLimit = facts.limits.processes;
    texts = {
      memoryLimit = toString facts.limits.memory;
      memorySoftLimit = "null";
      cpuLimit = "1.5";
      processLimit = toString facts.limits.processes;
    };
  };

  user =
    { name, config, ... }:
    {
      options = {
        passwordFile = mkOption {
          type = secret;
          example = literalExpression "config.sops.secrets.code-server-dan.path";
          description = ''
            File with the password: plain text, or an argon2 hash. Only root has to be able to read it. It is read when the
            workspace starts; let sops-nix restart `carrel-secrets@NAME.service` when it changes.
          '';
        };
        port = mkOption {
          type = types.nullOr types.port;
          default = null;
          example = 8081;
          description = "Also listen on this port of 127.0.0.1, for an SSH tunnel.";
        };
        environment = mkOption {
          type = types.attrsOf secret;
          default = { };
          example = literalExpression "{ ANTHROPIC_API_KEY = config.sops.secrets.opencode-anthropic.path; }";
          description = ''
            Environment variables of the workspace, each with the **file** that its value is in. The value is read when the
            workspace starts, and is in no unit, process list or Nix store, but its user can read it, as can every program
            that runs there. With `NAME_API_KEY`, opencode offers this user the provider `name`. Prefer `ai.mode = "gateway"`,
            with which keys never enter a workspace.
          '';
        };
        agentConfig = mkOption {
          type = types.path;
          default = site.agent name config;
          defaultText = literalExpression "made by Carrel";
          description = "Directory with the managed `opencode.json`, which is mounted read-only at /etc/opencode.";
        };
        fullName = mkOption {
          # What git reads as it stands: its quotes are around it.
          type = types.strMatching "[^<>{}$\"\\\\`]+";
          default = name;
          defaultText = literalExpression "the name";
          example = "Dan Doe";
          description = "How git signs the user's work, unless they configure git themselves.";
        };
        email = mkOption {
          type = types.strMatching facts.rules.email;
          default = "${name}@${cfg.domain}";
          defaultText = literalExpression ''"NAME@''${config.services.code-server-multi.domain}"'';
          example = "dan@example.org";
          description = "The same.";
        };
        suspended = mkOption {
          type = types.bool;
          default = false;
          description = "Keep the workspace stopped. Account and files stay.";
        };
        number = mkOption {
          type = types.ints.between 0 (site.gateway - 1);
          default = lib.mod (builtins.fromTOML "value = 0x${builtins.substring 0 7 (builtins.hashString "sha256" name)}").value site.gateway;
          defaultText = literalExpression "from the name";
          description = ''
            Decides the account's user id and subordinate ids. It must not change as long as there are files of the user.
            If two names lead to the same number, an assertion says so; set one by hand.
          '';
        };
      }
      // limits {
        inherit (cfg)
          memoryLimit
          memorySoftLimit
          cpuLimit
          processLimit
          ;
        texts = lib.genAttrs [ "memoryLimit" "memorySoftLimit" "cpuLimit" "processLimit" ] (
          option: "config.services.code-server-multi.${option}"
        );
      };
    };

  provider.options = {
    apiKeyFile = mkOption {
      type = types.nullOr secret;
      default = null;
      description = "File with the key and nothing else.";
    };
    baseUrl = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "https://llm.example.org/v1";
      description = "For any server that speaks OpenAI's protocol.";
    };
    models = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Models to offer; needed with `baseUrl`.";
    };
  };
in
{
  options.services.code-server-multi = everybody // {
    enable = lib.mkEnableOption "Carrel: VS Code in the browser with an AI agent for every person on a team, each in a rootless container";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./package.nix { }";
      description = "Carrel itself: `carrel` on the path, and what makes pages, secrets and images.";
    };

    domain = mkOption {
      type = types.str;
      default = "";
      example = "code.example.org";
      description = "Users work at `https://NAME.domain/`. The name and everything below it has to lead to this server.";
    };

    users = mkOption {
      type = types.attrsOf (types.submodule user);
      default = { };
      description = "People with a workspace, by name: 1 to 24 lower-case letters and digits, a letter first.";
    };

    baseImage = mkOption {
      type = types.str;
      default = "auto";
      example = "codercom/code-server:4.139.1";
      description = ''
        What the workspace image is built upon, by `carrel-image.service` on the server: an image's reference, or `auto` for
        Debian. With `:latest`, nobody knows which version that will be, and a warning says so.
      '';
    };

    languages = mkOption {
      type = types.listOf (types.enum facts.languages);
      default = [ ];
      example = [
        "go"
        "rust"
      ];
      description = "More languages for the image, each with its compiler and its package manager, as Debian has them.";
    };

    packages = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "postgresql-client" ];
      description = "More Debian packages for the image.";
    };

    extensions = mkOption {
      type = types.listOf types.str;
      default = [ "sst-dev.opencode" ];
      description = "VS Code extensions for the image: Open VSX ids or paths of .vsix files.";
    };

    workspaceBase = mkOption {
      type = types.strMatching "/.*";
      default = "/var/lib/vscode";
      description = "Holds one directory per user: `workspace`, `config` and `home`.";
    };

    useACMEHost = mkOption {
      type = types.str;
      default = cfg.domain;
      defaultText = literalExpression "config.services.code-server-multi.domain";
      description = ''
        The name in `security.acme.certs` of a certificate for the domain and all names below it. If it is the domain's own
        (the default), this module declares it, with DNS-01, and adds to what you declare there yourself. Any other is yours:
        nginx has to be in its group.
      '';
    };

    sslCertificate = mkOption {
      type = types.nullOr secret;
      default = null;
      description = "File with a certificate from elsewhere, with its chain, instead of ACME.";
    };

    sslCertificateKey = mkOption {
      type = types.nullOr secret;
      default = null;
      description = ''
        File with the key of `sslCertificate`. On NixOS all of nginx runs as an account of its own, which has to be able to
        read it: with sops-nix or agenix, set the secret's `owner = config.services.nginx.user`.
      '';
    };

    acme = {
      dnsProvider = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "vultr";
        description = "The DNS provider as lego calls it; null: that of `security.acme.defaults`.";
      };
      credentialsFile = mkOption {
        type = types.nullOr secret;
        default = null;
        example = literalExpression "config.sops.secrets.vultr.path";
        description = "Environment file with what lego needs for the provider; null: that of `security.acme.defaults`.";
      };
    };

    ai = {
      mode = mkOption {
        type = types.enum [
          "off"
          "shared-keys"
          "gateway"
        ];
        default = "off";
        description = "gateway: keys stay on the server; shared-keys: their values are in every workspace; off: no AI.";
      };
      model = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "anthropic/claude-sonnet-4-5";
        description = "What opencode starts with, PROVIDER/MODEL.";
      };
      providers = mkOption {
        type = types.attrsOf (types.submodule provider);
        default = { };
        description = "By the name that opencode knows them by.";
      };
    };

    settings = mkOption {
      inherit (pkgs.formats.toml { }) type;
      default = { };
      description = "More of carrel.toml, for what has no option here; it wins over what the options say.";
    };

    pages = mkOption {
      type = types.path;
      default = site.pages;
      defaultText = literalExpression "made by Carrel";
      description = "Directory with the static pages: `welcome.html`, `404.html`, `unavailable.html`, `too-many-attempts.html`.";
    };

    firstUid = mkOption {
      type = types.ints.positive;
      default = 40000;
      description = "The user id of the account with number 0; the 4093 after it are Carrel's, too.";
    };

    firstSubordinateId = mkOption {
      type = types.ints.positive;
      default = 1879048192;
      description = "The first subordinate id of the account with number 0; each account has 65536.";
    };

    backup = {
      paths = mkOption {
        type = types.listOf types.str;
        readOnly = true;
        default = [ cfg.workspaceBase ];
        defaultText = literalExpression "[ config.services.code-server-multi.workspaceBase ]";
        description = "What a backup has to contain, for `services.restic.backups.NAME.paths` and the like. All else is made again.";
      };
      quiesce = mkOption {
        type = types.package;
        readOnly = true;
        default = site.quiesce;
        defaultText = literalExpression "a script";
        description = "Halts all workspaces for a snapshot and writes what is in memory to the disk. Seconds later, run `resume`.";
      };
      resume = mkOption {
        type = types.package;
        readOnly = true;
        default = site.resume;
        defaultText = literalExpression "a script";
        description = "Lets the workspaces go on where they were halted. Safe to run at any time.";
      };
    };
  };
}
