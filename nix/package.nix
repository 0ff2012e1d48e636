# Carrel as a package. Name, version and dependencies are read from pyproject.toml, so that they are said once.
#
# requirements.txt pins what pip installs elsewhere; here the operator's own flake.lock pins all of nixpkgs, its Python packages
# included. Their versions are checked against pyproject.toml's when the package is built.
{
  lib,
  python3Packages,
  installShellFiles,
  makeWrapper,
}:
let
  project = (lib.importTOML ../pyproject.toml).project;
  # "click>=8.2" is python3Packages.click.
  nameOf = requirement: lib.head (builtins.match "([A-Za-z0-9_-]+).*" requirement);
  dependencies = map (requirement: python3Packages.${nameOf requirement}) project.dependencies;
in
python3Packages.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../pyproject.toml
      ../README.md
      ../LICENSE
      ../src
      ../images
    ];
  };

  # Carrel gives programs an environment of its own, never the caller's. This is where they are on NixOS.
  postPatch = ''
    grep -rlE '"/usr/[a-z/:]+:/bin"' src | xargs sed -i -E \
      's,"/usr/[a-z/:]+:/bin","/run/wrappers/bin:/run/current-system/sw/bin",'
  '';

  build-system = [ python3Packages.hatchling ];
  inherit dependencies;
  # Local mode alone runs supervisord; some releases of nixpkgs have the one before, which it works with on their Python.
  pythonRelaxDeps = [ "supervisor" ];

  nativeBuildInputs = [
    installShellFiles
    makeWrapper
  ];
  # carrel-python runs the gateway, which is no command of its own.
  postInstall = ''
    makeWrapper ${python3Packages.python.interpreter} "$out/libexec/carrel-python" \
      --prefix PYTHONPATH : "$out/${python3Packages.python.sitePackages}:${python3Packages.makePythonPath dependencies}"
    "$out/bin/carrel" --version
    for shell in bash zsh fish; do
      _CARREL_COMPLETE="''${shell}_source" "$out/bin/carrel" >"carrel.$shell"
    done
    installShellCompletion carrel.{bash,zsh,fish}
    "$out/libexec/carrel-python" -m carrel.cli.manual >carrel.1
    installManPage carrel.1
  '';

  pythonImportsCheck = [ "carrel.cli.main" ];

  meta = {
    inherit (project) description;
    license = lib.licenses.mit;
    mainProgram = "carrel";
    platforms = lib.platforms.linux;
  };
}
