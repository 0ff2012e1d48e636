# The interface as it was asked for, to the letter, below what an operator with sops-nix, nginx and ACME has around it.
{ config, lib, ... }:
{
  options.sops.secrets = lib.mkOption {
    type = lib.types.attrsOf (
      lib.types.submodule (
        { name, ... }:
        {
          options.path = lib.mkOption {
            type = lib.types.str;
            default = "/run/secrets/${name}";
          };
        }
      )
    );
    default = { };
  };

  config = {
    sops.secrets = {
      code-server-dan = { };
      code-server-alice = { };
      opencode-anthropic = { };
    };
    security.acme = {
      acceptTerms = true;
      defaults = {
        email = "ops@example.org";
        dnsProvider = "vultr";
        environmentFile = "/run/secrets/vultr";
      };
    };
    services.nginx.enable = true;

    services.code-server-multi = {
      enable = true;
      domain = "code.example.org";
      users = {
        dan   = { port = 8081; passwordFile = config.sops.secrets.code-server-dan.path; memoryLimit = "2G"; cpuLimit = "1.5"; };
        alice = { port = 8082; passwordFile = config.sops.secrets.code-server-alice.path;
                  environment = { ANTHROPIC_API_KEY = config.sops.secrets.opencode-anthropic.path; }; };
      };
      baseImage = "codercom/code-server:latest";
      workspaceBase = "/var/lib/vscode";
    };
  };
}
