//! What is asked for in words that mean nothing, or of what is not there.

use insta::assert_snapshot;

use crate::world::{IMPATIENT, empty, packed};

#[test]
fn words_that_are_no_commands_are_named() {
    let cli = empty();
    assert_snapshot!(cli.run("get cheese"), @r"
    $ ocm get cheese
    exit 2
    --- stderr
    error: unrecognized subcommand 'cheese'


    Usage: ocm get [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("get componnet-version"), @r"
    $ ocm get componnet-version
    exit 2
    --- stderr
    error: unrecognized subcommand 'componnet-version'

      tip: a similar subcommand exists: 'component-version'

    Usage: ocm get [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("get resourc"), @r"
    $ ocm get resourc
    exit 2
    --- stderr
    error: unrecognized subcommand 'resourc'

      tip: some similar subcommands exist: 'refs', 'resources', 'sources'

    Usage: ocm get [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("trasnfer"), @r"
    $ ocm trasnfer
    exit 2
    --- stderr
    error: unrecognized subcommand 'trasnfer'

      tip: a similar subcommand exists: 'transfer'

    Usage: ocm [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("frobnicate"), @r"
    $ ocm frobnicate
    exit 2
    --- stderr
    error: unrecognized subcommand 'frobnicate'

    Usage: ocm [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("get cv"), @r"
    $ ocm get cv
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <REFERENCE>

    Usage: ocm get component-version <REFERENCE>

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run("get cv a//b/c --semver-constraint >x"), @r"
    $ ocm get cv a//b/c --semver-constraint >x
    exit 3
    --- stderr
    error: there is no repository at a//b/c
    ");
}

#[test]
fn references_that_are_malformed_are_refused() {
    let cli = packed();
    assert_snapshot!(cli.run("get cv shop//UPPER//x:1"), @r"
    $ ocm get cv shop//UPPER//x:1
    exit 2
    --- stderr
    error: component name `x` has no path after its domain, as in `acme.org/shop`
    ");
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product:one@two"), @r"
    $ ocm get resources shop//acme.org/bar/product:one@two
    exit 2
    --- stderr
    error: digest `two` does not name its algorithm, as in `sha256:…`
    ");
    assert_snapshot!(cli.run("get resources shop//acme.org/bar/product"), @r"
    $ ocm get resources shop//acme.org/bar/product
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY                     TYPE           RELATION
    file   1.0.0    architecture=amd64,os=linux  blob           local
    tree   1.0.0    -                            directoryTree  local
    image  1.0.0    -                            ociImage       local
    ");
    assert_snapshot!(cli.run("verify cv shop//product:1.0.0"), @r"
    $ ocm verify cv shop//product:1.0.0
    exit 2
    --- stderr
    error: component name `product` has no path after its domain, as in `acme.org/shop`
    ");
    assert_snapshot!(cli.run("transfer cv shop//acme.org/bar/product:1.0.0 nosuch://x"), @r"
    $ ocm transfer cv shop//acme.org/bar/product:1.0.0 nosuch://x
    exit 2
    --- stderr
    error: scheme `nosuch` is not that of a registry; use `https`, `http` or `oci`
    ");
}

#[test]
fn what_names_no_place_is_refused() {
    let cli = packed();
    assert_snapshot!(cli.run("get cv acme.org/bar/product:1.0.0"), @r"
    $ ocm get cv acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: `acme.org/bar/product:1.0.0` names no repository
    ");
    assert_snapshot!(cli.run("verify cv acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: `acme.org/bar/product:1.0.0` names no repository
    ");
}

#[test]
fn a_word_that_is_taken_for_a_registry_is_told() {
    let cli = packed();
    cli.write(".ocmconfig", IMPATIENT);
    // Nobody answers, or there is no such host: that depends on the machine.
    let hint = "hint: `shop.localhost` was taken for a registry, since nothing of that name is \
                here; an archive can be given as `./shop.localhost`\n";
    for command in [
        "get cv shop.localhost",
        "list shop.localhost",
        "transfer ctf shop.localhost far",
        "transfer ctf shop shop.localhost",
        "add cv -r shop.localhost src/product.yaml",
        "verify cv shop.localhost//acme.org/bar/product:1.0.0",
    ] {
        let run = cli.run(command);
        assert_eq!(run.code, Some(7), "{run}");
        assert!(run.stderr.ends_with(hint), "{run}");
    }
    let run = cli.run("list http://shop.localhost");
    assert!(!run.stderr.contains("hint"), "{run}");
}

#[test]
fn what_is_not_there_is_named() {
    let cli = packed();
    assert_snapshot!(cli.run("get cv nowhere//acme.org/bar/product:1.0.0"), @r"
    $ ocm get cv nowhere//acme.org/bar/product:1.0.0
    exit 3
    --- stderr
    error: there is no repository at nowhere
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:2.0.0"), @r"
    $ ocm get cv shop//acme.org/bar/product:2.0.0
    exit 3
    --- stderr
    error: component version acme.org/bar/product:2.0.0 not found in <dir>/shop
    ");
    assert_snapshot!(cli.run("get cv shop//acme.org/none"), @r"
    $ ocm get cv shop//acme.org/none
    exit 3
    --- stderr
    error: component acme.org/none not found in <dir>/shop
    ");
    assert_snapshot!(cli.run("verify cv shop//acme.org/bar/product:2.0.0"), @r"
    $ ocm verify cv shop//acme.org/bar/product:2.0.0
    exit 3
    --- stderr
    error: shop//acme.org/bar/product:2.0.0 is not verified
      caused by: component version acme.org/bar/product:2.0.0 not found in <dir>/shop
    ");
    assert_snapshot!(cli.run("transfer cv shop//acme.org/bar/product:2.0.0 out.tar"), @r"
    $ ocm transfer cv shop//acme.org/bar/product:2.0.0 out.tar
    exit 3
    --- stderr
    error: cannot read acme.org/bar/product:2.0.0 in <dir>/shop
      caused by: component version acme.org/bar/product:2.0.0 not found in <dir>/shop
    ");
    assert!(!cli.path("out.tar").exists());
    assert_snapshot!(cli.run("transfer ctf nowhere out.tar"), @r"
    $ ocm transfer ctf nowhere out.tar
    exit 3
    --- stderr
    error: there is no repository at nowhere
    ");
    assert!(!cli.path("out.tar").exists());
    assert_snapshot!(cli.run("download resource shop//acme.org/bar/product:1.0.0 none"), @r"
    $ ocm download resource shop//acme.org/bar/product:1.0.0 none
    exit 3
    --- stderr
    error: no resource has the identity `name=none`; there are `architecture=amd64,name=file,os=linux,version=1.0.0`, `name=tree,version=1.0.0`, `name=image,version=1.0.0`

    hint: `ocm get resources shop//acme.org/bar/product:1.0.0` lists what there is
    ");
    assert_snapshot!(cli.run("list nowhere"), @r"
    $ ocm list nowhere
    exit 3
    --- stderr
    error: there is no repository at nowhere
    ");
    assert_snapshot!(cli.run("add cv -r shop none.yaml"), @r"
    $ ocm add cv -r shop none.yaml
    exit 2
    --- stderr
    error: cannot read none.yaml: No such file or directory (os error 2)
    ");
}

#[test]
fn messages_are_json_on_request() {
    let cli = packed();
    assert_snapshot!(cli.run("get cv shop//acme.org/bar/product:2.0.0 --logformat json"), @r#"
    $ ocm get cv shop//acme.org/bar/product:2.0.0 --logformat json
    exit 3
    --- stderr
    {"level":"error","message":"component version acme.org/bar/product:2.0.0 not found in <dir>/shop","causes":[],"hint":null,"code":3}
    "#);
}
