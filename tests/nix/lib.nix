# The part of nixpkgs' `lib` that nix/ uses, written anew for tests on machines without nixpkgs.
#
# Stricter than the original where it can be: an unknown option, a wrong type, two definitions that do not go together, and
# a function that is not here are all errors.
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    genList
    hasAttr
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    map
    mapAttrs
    match
    removeAttrs
    replaceStrings
    stringLength
    substring
    ;

  # -- lists, attribute sets, strings ------------------------------------------------------------------

  nameValuePair = name: value: { inherit name value; };
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  filterAttrs =
    keep: set:
    listToAttrs (map (name: nameValuePair name set.${name}) (filter (name: keep name set.${name}) (attrNames set)));
  filterAttrsRecursive =
    keep: set: mapAttrs (_: value: if isAttrs value then filterAttrsRecursive keep value else value) (filterAttrs keep set);
  getAttrs = names: set: listToAttrs (map (name: nameValuePair name set.${name}) names);
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  recursiveUpdate =
    one: other:
    one
    // mapAttrs (
      name: value: if isAttrs value && isAttrs (one.${name} or null) then recursiveUpdate one.${name} value else value
    ) other;
  range = from: to: if from > to then [ ] else genList (n: from + n) (to - from + 1);
  take = count: list: genList (n: elemAt list n) (if count < length list then count else length list);
  optional = condition: value: if condition then [ value ] else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionals = condition: list: if condition then list else [ ];
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      from = stringLength text - stringLength suffix;
    in
    from >= 0 && substring from (stringLength text) text == suffix;
  removeSuffix = suffix: text: if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  hasInfix = infix: text: replaceStrings [ infix ] [ "" ] text != text;
  splitString = separator: text: filter isString (builtins.split (escapeRegex separator) text);
  escapeRegex = replaceStrings (map (n: substring n 1 special) (range 0 (stringLength special - 1))) (
    map (n: "\\" + substring n 1 special) (range 0 (stringLength special - 1))
  );
  special = "\\[{()^$?*+|.";
  mod = number: by: number - by * (number / by);

  # -- properties: mkIf and the like -------------------------------------------------------------------

  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkForce = mkOverride 50;
  mkDefault = mkOverride 1000;
  typeOf = value: if isAttrs value then value._type or null else null;

  # The definitions in one, each with its priority; a condition that does not hold leaves none.
  discharge =
    priority: value:
    let
      kind = typeOf value;
    in
    if kind == "if" then
      (
        if !isBool value.condition then
          throw "the condition of mkIf is no bool"
        else if value.condition then
          discharge priority value.content
        else
          [ ]
      )
    else if kind == "merge" then
      concatMap (discharge priority) value.contents
    else if kind == "override" then
      discharge value.priority value.content
    else
      [ { inherit priority value; } ];

  # The values of the strongest among `definitions`.
  strongest =
    definitions:
    let
      found = concatMap (discharge 100) definitions;
      least = foldl' (one: other: if other.priority < one then other.priority else one) 9999 found;
    in
    map (definition: definition.value) (filter (definition: definition.priority == least) found);

  # The same for a set that is no option yet: its names are known whether or not the condition holds.
  pushed =
    value:
    let
      kind = typeOf value;
    in
    if kind == "if" then
      map (mapAttrs (_: mkIf value.condition)) (pushed value.content)
    else if kind == "merge" then
      concatMap pushed value.contents
    else if kind == "override" then
      map (mapAttrs (_: mkOverride value.priority)) (pushed value.content)
    else if isAttrs value then
      [ value ]
    else
      throw "a set of options cannot be ${builtins.typeOf value}";

  # -- types -------------------------------------------------------------------------------------------

  show = concatStringsSep ".";
  wrong = loc: description: value: throw "The option `${show loc}' is not of type `${description}': ${describe value}";
  describe =
    value:
    if isFunction value then
      "a function"
    else if builtins.typeOf value == "path" then
      toString value
    else
      builtins.toJSON value;

  merged =
    loc: type: values:
    let
      bad = filter (value: !type.check value) values;
    in
    if bad != [ ] then wrong loc type.description (head bad) else type.merge loc values;

  equal =
    loc: values:
    if all (value: value == head values) values then
      head values
    else
      throw "The option `${show loc}' has conflicting definitions: ${builtins.toJSON values}";

  simple = description: check: {
    inherit description check;
    merge = equal;
  };

  # As in nixpkgs, where a definition also says in which file it is.
  mkOptionType =
    {
      name,
      description ? name,
      check ? _: true,
      merge ? loc: definitions: equal loc (map (definition: definition.value) definitions),
    }:
    {
      inherit name description check;
      merge =
        loc: values:
        merge loc (
          map (value: {
            inherit value;
            file = "here";
          }) values
        );
    };

  isStringLike = value: isString value || (isAttrs value && value ? outPath);

  types = rec {
    # lib/types.nix: what is a field of /etc/passwd.
    passwdEntry = type: addCheck type (text: !hasInfix ":" text && !hasInfix "\n" text);
    addCheck = type: check: type // { check = value: type.check value && check value; };
    bool = simple "boolean" isBool;
    int = simple "integer" isInt;
    float = simple "floating point number" isFloat;
    number = simple "number" (value: isInt value || isFloat value);
    str = simple "string" isString;
    package = simple "package" isStringLike;
    path = simple "absolute path" (
      value: (isStringLike value && substring 0 1 "${value}" == "/") || builtins.typeOf value == "path"
    );
    port = simple "port" (value: isInt value && value >= 0 && value <= 65535);
    ints = {
      positive = simple "positive integer" (value: isInt value && value > 0);
      between =
        low: high:
        simple "integer between ${toString low} and ${toString high}" (
          value: isInt value && value >= low && value <= high
        );
    };
    lines = {
      description = "strings concatenated with \"\\n\"";
      check = isString;
      merge = _: concatStringsSep "\n";
    };
    strMatching = pattern: simple "string matching the pattern ${pattern}" (value: isString value && match pattern value != null);
    enum = values: simple "one of ${concatStringsSep ", " (map builtins.toJSON values)}" (value: elem value values);
    anything = {
      description = "anything";
      check = _: true;
      merge =
        loc: values:
        if all isAttrs values then
          foldl' recursiveUpdate { } values
        else if all isList values then
          concatLists values
        else
          equal loc values;
    };
    nullOr = type: {
      description = "null or ${type.description}";
      check = value: value == null || type.check value;
      merge =
        loc: values:
        if all (value: value == null) values then
          null
        else if elem null values then
          wrong loc type.description null
        else
          type.merge loc values;
      inherit (type) subOptions;
    };
    either = one: other: {
      description = "${one.description} or ${other.description}";
      check = value: one.check value || other.check value;
      merge =
        loc: values:
        if all one.check values then
          one.merge loc values
        else if all other.check values then
          other.merge loc values
        else
          equal loc values;
    };
    listOf = type: {
      description = "list of ${type.description}";
      check = isList;
      merge = loc: values: map (value: merged loc type [ value ]) (concatMap (list: concatMap (v: strongest [ v ]) list) values);
    };
    attrsOf = type: {
      description = "attribute set of ${type.description}";
      check = isAttrs;
      merge =
        loc: values:
        let
          names = attrNames (foldl' (one: other: one // other) { } values);
          definitions = name: strongest (map (set: set.${name}) (filter (hasAttr name) values));
          found = listToAttrs (map (name: nameValuePair name (definitions name)) names);
        in
        mapAttrs (name: merged (loc ++ [ name ]) type) (filterAttrs (_: values: values != [ ]) found);
      element = type;
    };
    lazyAttrsOf = attrsOf;
    submodule = modules: {
      description = "submodule";
      check = value: isAttrs value || isFunction value;
      merge =
        loc: values:
        (evalModules {
          # A set only has values, also if one of its options is called `options`, as with mounts.
          modules =
            (if isList modules then modules else [ modules ])
            ++ map (value: if isAttrs value then { config = value; } else value) values;
          specialArgs.name = elemAt loc (length loc - 1);
          inherit loc;
        }).config;
      subModules = if isList modules then modules else [ modules ];
    };
  };

  # -- modules -----------------------------------------------------------------------------------------

  mkOption =
    option:
    let
      known = [
        "type"
        "default"
        "defaultText"
        "example"
        "description"
        "readOnly"
        "apply"
      ];
      unknown = removeAttrs option known;
    in
    if unknown != { } then
      throw "mkOption does not know ${toString (attrNames unknown)}"
    else if !(option ? type) then
      throw "an option has no type"
    else
      option // { _type = "option"; };
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      loc ? [ ],
    }:
    let
      given = specialArgs // {
        inherit lib config options;
      };
      loaded = concatMap load modules;
      load =
        module:
        let
          value = if isFunction module || isAttrs module then module else import module;
          wanted = functionArgs value;
          missing = filter (name: !(given ? ${name}) && !wanted.${name}) (attrNames wanted);
          set =
            if !isFunction value then
              value
            else if missing != [ ] then
              throw "a module wants the argument ${head missing}"
            else
              value (if wanted == { } then given else builtins.intersectAttrs wanted given);
          body = removeAttrs set [ "imports" ];
          structured = set ? options || set ? config;
          surplus = removeAttrs body [
            "options"
            "config"
          ];
        in
        if structured && surplus != { } then
          throw "a module has both `config' or `options' and ${head (attrNames surplus)}"
        else
          [
            {
              options = body.options or { };
              config = if structured then body.config or { } else body;
            }
          ]
          ++ concatMap load (map (path: path) (set.imports or [ ]));
      options = foldl' joined { } (map (module: module.options) loaded);
      joined =
        one: other:
        one
        // mapAttrs (
          name: value:
          if !(one ? ${name}) then
            value
          else if typeOf value == "option" || typeOf one.${name} == "option" then
            throw "the option ${name} is declared twice"
          else
            joined one.${name} value
        ) other;
      config = built loc options (concatMap (module: pushed module.config) loaded);
      built =
        loc: declared: definitions:
        let
          unknown = filter (name: !(declared ? ${name})) (concatMap attrNames definitions);
        in
        if unknown != [ ] then
          throw "The option `${show (loc ++ [ (head unknown) ])}' does not exist."
        else
          mapAttrs (
            name: option:
            let
              here = loc ++ [ name ];
              found = map (set: set.${name}) (filter (hasAttr name) definitions);
            in
            if typeOf option == "option" then valueOf here option found else built here option (concatMap pushed found)
          ) declared;
      valueOf =
        here: option: definitions:
        let
          found = strongest definitions;
          value =
            if (option.readOnly or false) && found != [ ] then
              throw "The option `${show here}' is read-only."
            else if found != [ ] then
              merged here option.type found
            else if option ? default then
              merged here option.type [ option.default ]
            else
              throw "The option `${show here}' was accessed but has no value defined.";
        in
        (option.apply or (same: same)) value;
    in
    {
      inherit config options;
    };

  lib = {
    inherit
      concatLists
      concatMap
      concatStringsSep
      elem
      elemAt
      all
      attrNames
      attrValues
      evalModules
      filter
      filterAttrs
      filterAttrsRecursive
      foldl'
      genAttrs
      getAttrs
      hasInfix
      hasPrefix
      hasSuffix
      head
      length
      listToAttrs
      literalExpression
      mapAttrs
      mapAttrs'
      mapAttrsToList
      mkDefault
      mkEnableOption
      mkForce
      mkIf
      mkMerge
      mkOption
      mkOptionType
      mkOverride
      mod
      nameValuePair
      optional
      optionalAttrs
      optionals
      range
      recursiveUpdate
      removeSuffix
      replaceStrings
      splitString
      take
      types
      ;
    inherit (builtins) any sort;
    importJSON = path: builtins.fromJSON (builtins.readFile path);
  };
in
lib
