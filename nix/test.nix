# A server with two users in a virtual machine of NixOS: `nix build .#checks.x86_64-linux.server`.
#
# IT HAS NOT RUN YET: it was written on a machine without nixpkgs. If it fails, suspect it first. What it is about (options,
# podman's arguments, units, nginx) is tested without nixpkgs in tests/nix, and its editor as well.
{ pkgs, lib, ... }:
let
  certificate = pkgs.runCommand "certificate" { nativeBuildInputs = [ pkgs.openssl ]; } ''
    mkdir "$out"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=code.test \
      -addext "subjectAltName=DNS:code.test,DNS:*.code.test" -keyout "$out/key.pem" -out "$out/cert.pem"
  '';

  # nixpkgs' code-server is old, and on a Node.js that is marked insecure; what is tested here is the module.
  editor = pkgs.writeShellScriptBin "editor" ''
    exec ${pkgs.python3.withPackages (packages: [ packages.argon2-cffi ])}/bin/python ${./editor.py} "$@"
  '';

  # Stands in for the image that `carrel image build` makes from a registry: what a workspace's command needs, and no more.
  image = pkgs.dockerTools.buildLayeredImage {
    name = "workspace";
    contents = [
      pkgs.bashInteractive
      pkgs.coreutils
      pkgs.dockerTools.fakeNss
      pkgs.stress-ng
    ];
    fakeRootCommands = ''
      mkdir -p usr/bin opt/carrel home/coder etc tmp var/tmp run
      ln -s ${pkgs.tini}/bin/tini usr/bin/tini
      ln -s ${editor}/bin/editor opt/carrel/entrypoint
      echo '{"code_server": "none"}' >opt/carrel/manifest.json
    '';
    config.Env = [
      "PATH=/bin:/usr/bin"
      "HOME=/home/coder"
      "USER=coder"
    ];
  };
in
{
  name = "carrel";

  nodes.machine =
    { config, ... }:
    {
      imports = [ ./module.nix ];

      virtualisation.memorySize = 4096;
      virtualisation.diskSize = 16384;
      environment.etc."passwords/dan".text = "dan has a desk";
      environment.etc."passwords/alice".text = "alice has one too";

      services.code-server-multi = {
        enable = true;
        domain = "code.test";
        sslCertificate = "${certificate}/cert.pem";
        sslCertificateKey = "${certificate}/key.pem";
        users.dan = {
          passwordFile = "/etc/passwords/dan";
          memoryLimit = "1G";
          cpuLimit = "0.5";
        };
        users.alice.passwordFile = "/etc/passwords/alice";
      };

      systemd.services.carrel-image.serviceConfig.ExecStartPre =
        "${lib.getExe config.services.code-server-multi.package} image load ${image}";
    };

  testScript = ''
    def ask(user, path, *more):
        host = f"{user}.code.test"
        return f"curl -sk --resolve {host}:443:127.0.0.1 https://{host}{path} " + " ".join(more)

    def signs_in(user, password):
        out = machine.succeed(ask(user, "/login", f"-o /dev/null -w '%{{http_code}}' --data-urlencode 'password={password}'"))
        return out.strip() == "302"

    def all_work():
        for user in ("dan", "alice"):
            machine.wait_for_unit(f"carrel-workspace@{user}.service")
            machine.wait_until_succeeds(ask(user, "/healthz", "-f"))

    machine.wait_for_unit("nginx.service")
    all_work()

    with subtest("each has a password of their own"):
        assert signs_in("dan", "dan has a desk")
        assert signs_in("alice", "alice has one too")
        assert not signs_in("alice", "dan has a desk")

    with subtest("any other name is nobody"):
        machine.succeed(ask("eve", "/", "-o /dev/null -w '%{http_code}' | grep 404"))

    with subtest("limits hold, and the desk with them"):
        machine.succeed("test $(systemctl show -P MemoryMax carrel-workspace@dan) = 1073741824")
        machine.execute("carrel shell dan -- stress-ng --vm 1 --vm-bytes 2G --timeout 20s")
        machine.succeed(ask("dan", "/healthz", "-f"))

    with subtest("nobody reads what is another's"):
        machine.fail("setpriv --reuid=carrel-dan --clear-groups ls /var/lib/vscode/alice")
        machine.succeed("carrel shell dan -- sh -c 'echo mine >project/work'")

    with subtest("all is back after a reboot"):
        machine.shutdown()
        machine.start()
        all_work()
        machine.succeed("grep mine /var/lib/vscode/dan/workspace/work")
        machine.succeed("carrel status")
  '';
}
