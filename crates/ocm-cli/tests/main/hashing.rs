//! `ocm hash cv`: the digest of a component version, and what it is the digest of.

use insta::assert_snapshot;
use ocm_testkit::Cli;
use ocm_testkit::web::{Web, files};

use crate::world::{IMPATIENT, LEAF_DATA, conformance, empty, names, odd, packed, signed};

/// Returns a directory with an archive of the first Go tool, which has signed its product under
/// each of its normalisations.
fn of_go() -> Cli {
    let cli = empty();
    cli.copy(conformance("ctf/v1-product"), "v1");
    cli
}

const GO_PRODUCT: &str = "v1//acme.org/bar/product:1.0.0";

#[test]
fn digests_are_those_that_the_first_go_tool_has_signed() {
    let cli = of_go();
    let document = cli.ok(&format!("get cv {GO_PRODUCT} -o json"));
    for normalisation in ["v1", "v2", "v3"] {
        let command = format!("hash cv {GO_PRODUCT} -o value -N jsonNormalisation/{normalisation}");
        let digest = cli.ok(&command);
        assert!(
            document.contains(digest.trim()),
            "{normalisation}: {digest}"
        );
    }
}

#[test]
fn a_digest_is_shown_in_every_format() {
    let cli = of_go();
    assert_snapshot!(cli.run("hash cv v1"), @r"
    $ ocm hash cv v1
    exit 0
    --- stdout
    COMPONENT             VERSION  HASH
    acme.org/bar/leaf     1.0.0    <digest>
    acme.org/bar/product  1.0.0    <digest>
    ");
    assert_snapshot!(cli.run("hash components v1//acme.org/bar/leaf -o value"), @r"
    $ ocm hash components v1//acme.org/bar/leaf -o value
    exit 0
    --- stdout
    <digest>
    ");
    assert_snapshot!(cli.run("hash component-versions --repo v1 acme.org/bar/leaf:1.0.0 --actual -o norm"), @r#"
    $ ocm hash component-versions --repo v1 acme.org/bar/leaf:1.0.0 --actual -o norm
    exit 0
    --- stdout
    {"component":{"componentReferences":[],"creationTime":"2026-11-21T03:12:04Z","name":"acme.org/bar/leaf","provider":{"name":"acme.org"},"resources":[{"digest":{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"<digest>"},"name":"data","relation":"local","type":"blob","version":"1.0.0"}],"sources":[],"version":"1.0.0"}}
    "#);
    assert_snapshot!(cli.run("hash cv v1//acme.org/bar/leaf:1.0.0 -H sha512 -o yaml"), @r#"
    $ ocm hash cv v1//acme.org/bar/leaf:1.0.0 -H sha512 -o yaml
    exit 0
    --- stdout
    - component: acme.org/bar/leaf
      version: "1.0.0"
      normalisationAlgorithm: jsonNormalisation/v4alpha1
      hashAlgorithm: SHA-512
      hash: <digest>
      normalized: "{\"component\":{\"componentReferences\":[],\"creationTime\":\"2026-11-21T03:12:04Z\",\"name\":\"acme.org/bar/leaf\",\"provider\":{\"name\":\"acme.org\"},\"resources\":[{\"digest\":{\"hashAlgorithm\":\"SHA-256\",\"normalisationAlgorithm\":\"genericBlobDigest/v1\",\"value\":\"<digest>\"},\"name\":\"data\",\"relation\":\"local\",\"type\":\"blob\",\"version\":\"1.0.0\"}],\"sources\":[],\"version\":\"1.0.0\"}}"
    "#);
}

#[test]
fn the_normalised_form_goes_to_files() {
    let cli = of_go();
    cli.ok(&format!("hash cv {GO_PRODUCT} -o norm -O product.ncd"));
    let digest = cli.ok(&format!("hash cv {GO_PRODUCT} -o value"));
    let written = ocm::digest::Digest::sha256(cli.read("product.ncd"));
    assert_eq!(digest.trim(), written.to_hex());
    cli.ok("hash cv v1 -o norm -O all");
    assert_eq!(
        cli.read("all/acme.org/bar/product:1.0.0.ncd"),
        cli.read("product.ncd")
    );
    assert_snapshot!(cli.run("hash cv v1 -O x"), @r"
    $ ocm hash cv v1 -O x
    exit 2
    --- stderr
    error: --outfile takes the normalised form: add `-o norm`
    ");
}

#[test]
fn what_is_signed_here_is_what_is_shown() {
    let cli = signed();
    let product = "shop//acme.org/bar/product:1.0.0";
    let digest = cli.ok(&format!("hash cv {product} -r -V -o value"));
    let document = cli.ok(&format!("get cv {product} -o json"));
    for line in digest.lines() {
        assert!(document.contains(line), "{line}: {document}");
    }
    assert_eq!(digest.lines().count(), 2);
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let cli = of_go();
    cli.write("product.ncd", "x".repeat(100_000));
    let command = format!("hash cv {GO_PRODUCT} -o norm -O product.ncd");
    let outcome = cli.run_short_of_space(0, &command);
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert_eq!(cli.read("product.ncd"), "x".repeat(100_000).as_bytes());
    cli.ok(&command);
    let digest = cli.ok(&format!("hash cv {GO_PRODUCT} -o value"));
    let written = ocm::digest::Digest::sha256(cli.read("product.ncd"));
    assert_eq!(digest.trim(), written.to_hex());
    assert_eq!(names(&cli), ["product.ncd", "v1"]);
}

/// Writes an archive `odd` with a component version whose one resource is on a server, and what it
/// states as the digest of that.
fn downloaded(cli: &Cli, url: &str, digest: &str) {
    let resource = format!(
        r#"{{"name":"far","version":"1","type":"blob","relation":"external","access":{{"type":"wget","url":"{url}"}}{digest}}}"#
    );
    odd(
        cli,
        &format!(
            r#"{{"meta":{{"schemaVersion":"v2"}},"component":{{"name":"acme.org/odd","version":"1.0.0","provider":"acme.org","repositoryContexts":[],"componentReferences":[],"sources":[],"resources":[{resource}]}}}}"#
        ),
    );
}

#[test]
fn content_that_cannot_be_compared_is_named() {
    let cli = empty();
    cli.write(".ocmconfig", IMPATIENT);
    let digest = format!(
        r#","digest":{{"hashAlgorithm":"SHA-256","normalisationAlgorithm":"genericBlobDigest/v1","value":"{LEAF_DATA}"}}"#
    );
    downloaded(&cli, "http://127.0.0.1:1/far", &digest);
    let run = cli.run("hash cv odd//acme.org/odd:1.0.0 -o value");
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run}");
    let run = cli.run("hash cv odd//acme.org/odd:1.0.0 -o value --verify");
    assert_eq!(run.code, Some(0), "{run}");
    let warning = "warning: content of acme.org/odd:1.0.0 name=far,version=1 was not checked: ";
    assert!(run.stderr.starts_with(warning), "{run}");
}

#[test]
fn digests_that_were_missing_are_stored() {
    let server = Web::start(files([("/far", "leaf data")]));
    let cli = empty();
    downloaded(&cli, &server.url("/far"), "");
    let product = "odd//acme.org/odd:1.0.0";
    let shown = cli.run(&format!("hash cv {product} -o value --verify"));
    assert_eq!(shown.stderr, "", "{shown}");
    assert!(
        !cli.ok(&format!("get cv {product} -o json"))
            .contains(LEAF_DATA)
    );
    let stored = cli.ok(&format!("hash cv {product} -o value --update"));
    assert_eq!(stored, shown.stdout);
    assert!(
        cli.ok(&format!("get cv {product} -o json"))
            .contains(LEAF_DATA)
    );
    let actual = cli.ok(&format!("hash cv {product} -o value --actual"));
    assert_eq!(actual, stored);
    let missing = cli.run("hash cv none//acme.org/odd:1.0.0 --update");
    assert_eq!(missing.code, Some(3), "{missing}");
    assert!(!cli.path("none").exists());
}

#[test]
fn content_that_is_not_what_is_stated_is_found() {
    let cli = packed();
    let blob = cli.path(format!("shop/blobs/sha256.{LEAF_DATA}"));
    std::fs::write(blob, "leaf DATA").unwrap();
    let product = "shop//acme.org/bar/product:1.0.0";
    cli.ok(&format!("hash cv {product}"));
    let outcome = cli.run(&format!("hash cv {product} --verify"));
    assert_eq!(outcome.code, Some(4), "{outcome}");
}

#[test]
fn a_digest_in_the_reference_is_compared_by_every_command() {
    let cli = signed();
    let wrong = format!("sha256:{}", "0".repeat(64));
    let product = format!("shop//acme.org/bar/product:1.0.0@{wrong}");
    for command in [
        format!("get cv {product}"),
        format!("get resources {product}"),
        format!("get sources {product}"),
        format!("get references {product}"),
        format!("hash cv {product}"),
        format!("download resource {product} file -O out"),
        format!("verify cv {product} -k acme.pub"),
        format!("sign cv {product} -K acme -s other"),
        format!("transfer cv {product} elsewhere"),
    ] {
        let outcome = cli.run(&command);
        assert_eq!(outcome.code, Some(4), "{outcome}");
    }
    assert!(!cli.path("elsewhere").exists());
}
