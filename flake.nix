{
  description = "Carrel: VS Code in the browser with an AI coding agent for every person on a small team";

  # The oldest release that is supported; there is no flake.lock, since whoever has a server pins nixpkgs there.
  inputs.nixpkgs.url = "nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      nixosModules.default = ./nix/module.nix;

      packages = forEach (pkgs: {
        default = pkgs.callPackage ./nix/package.nix { };
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.gnumake
            pkgs.nginx
            pkgs.nixfmt
            pkgs.podman
            pkgs.python3
            pkgs.deadnix
            pkgs.statix
          ];
        };
      });

      checks = forEach (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        server = pkgs.testers.runNixOSTest ./nix/test.nix;
        style =
          pkgs.runCommand "carrel-nix-style"
            {
              nativeBuildInputs = [
                pkgs.nixfmt
                pkgs.deadnix
                pkgs.statix
              ];
            }
            ''
              nixfmt --check ${./flake.nix} ${./nix}/*.nix
              deadnix --fail ${./nix}
              statix check ${./nix}
              touch "$out"
            '';
      });

      formatter = forEach (pkgs: pkgs.nixfmt);
    };
}
