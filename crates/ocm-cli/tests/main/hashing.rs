//! `ocm hash cv`: the digest of a component version, and what it is the digest of.

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::world::{LEAF_DATA, conformance, empty, packed, signed};

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
