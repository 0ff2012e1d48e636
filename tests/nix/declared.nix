# The options of the module as data, for docs/reference/nixos.md; tests/nix/reference.py reads it.
let
  lib = import ./lib.nix;
  evaluated = lib.evalModules {
    modules = [
      ./nixos.nix
      ../../nix/module.nix
    ];
    specialArgs.pkgs = {
      formats.toml = _: { type = lib.types.anything; };
    };
  };

  text = value: if value._type or null == "literalExpression" then value.text else builtins.toJSON value;

  # Lists and sets of submodules have options of their own.
  inside = name: type: if type ? element.subModules then walk "${name}.<name>" (of type.element.subModules) else [ ];
  of =
    modules:
    (lib.evalModules {
      inherit modules;
      specialArgs.name = "<name>";
    }).options;

  one =
    name: option:
    [
      {
        inherit name;
        inherit (option) description;
        type = option.type.description;
        default =
          if option ? defaultText then
            text option.defaultText
          else if option ? default then
            text option.default
          else
            null;
        example = if option ? example then text option.example else null;
      }
    ]
    ++ inside name option.type;

  walk =
    prefix: options:
    lib.concatLists (
      lib.mapAttrsToList (
        name: option:
        let
          here = if prefix == "" then name else "${prefix}.${name}";
        in
        if option._type or null == "option" then one here option else walk here option
      ) options
    );
in
walk "" evaluated.options.services.code-server-multi
