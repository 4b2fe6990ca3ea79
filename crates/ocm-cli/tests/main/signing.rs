//! Policies: which signatures must hold, how many, and by whom. Signers beside each other.

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::world::{PRODUCT, conformance, packed, registry, signed};

/// Returns a directory with the product, signed as `default` by `acme` and as `audit` by `auditor`.
fn audited() -> Cli {
    let cli = signed();
    cli.ok("create keypair auditor --bits 2048");
    cli.ok(&format!("sign cv -K auditor -s audit {PRODUCT}"));
    cli
}

/// Returns the exit code, and what went wrong.
fn verify(cli: &Cli, arguments: &str) -> (Option<i32>, String) {
    let run = cli.run(&format!("verify cv --skip-content {arguments} {PRODUCT}"));
    (run.code, run.stderr)
}

#[test]
fn what_is_required_must_hold_and_nothing_else() {
    let cli = audited();
    assert_snapshot!(cli.run("verify cv --skip-content -k acme.pub --require default shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv --skip-content -k acme.pub --require default shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                  OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)  verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>          verified
    --- stderr
    warning: signature `audit` does not hold: signature `audit` is not valid: the signature does not match the public key
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 0 of 0 resources (0 B)
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub --require audit --require 2 shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub --require audit --require 2 shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: component version acme.org/bar/product:1.0.0 lacks signatures that are required
      caused by: signature `audit` is required (signature `audit` is not valid: the signature does not match the public key); signatures by 2 signatories of any signature is required, there is only 1
    ");
}

#[test]
fn keys_of_several_signers_can_be_given_for_all() {
    let cli = audited();
    assert_eq!(verify(&cli, "-k acme.pub -k auditor.pub").0, Some(0));
    assert_eq!(
        verify(&cli, "-k acme.pub -k auditor.pub --require 2").0,
        Some(0)
    );
    assert_eq!(
        verify(&cli, "-k acme.pub -k auditor.pub --require 3").0,
        Some(4)
    );
}

#[test]
fn a_requirement_says_by_whom() {
    let cli = audited();
    let by = "--require default:key=acme.pub --require *:key=auditor.pub";
    assert_eq!(verify(&cli, by).0, Some(0));
    let (code, text) = verify(&cli, "-k acme.pub --require default:key=auditor.pub");
    assert_eq!(code, Some(4), "{text}");
    assert!(
        text.contains("signature `default` by key sha256:"),
        "{text}"
    );
}

#[test]
fn a_policy_stands_in_a_file_beside_its_keys() {
    let cli = audited();
    cli.write("trust/acme.pub", cli.read("acme.pub"));
    cli.write("trust/auditor.pub", cli.read("auditor.pub"));
    cli.write(
        "trust/policy.yaml",
        "require:\n\
         - signature: default\n  by: {key: acme.pub}\n\
         - count: 2\n  of:\n  - by: {key: acme.pub}\n  - by: {key: auditor.pub}\n",
    );
    assert_eq!(verify(&cli, "--policy trust/policy.yaml"), (Some(0), "verified acme.org/bar/product:1.0.0: 2 signatures, 1 reference, content of 0 of 0 resources (0 B)\n".to_owned()));
    cli.write(
        "trust/more.yaml",
        "require: [{count: 2, by: {key: acme.pub}}]\n",
    );
    let (code, text) = verify(&cli, "--policy trust/policy.yaml --policy trust/more.yaml");
    assert_eq!(code, Some(4), "{text}");
}

#[test]
fn what_is_no_policy_is_a_usage_error() {
    let cli = audited();
    cli.write("empty.yaml", "require: [{}]\n");
    cli.write("other.yaml", "requires: [a]\n");
    for arguments in [
        "--require 0",
        "--require a:by=b",
        "--require a:key=none.pub",
        "--policy none.yaml",
        "--policy empty.yaml",
        "--policy other.yaml",
    ] {
        let (code, text) = verify(&cli, arguments);
        assert_eq!(code, Some(2), "{arguments}: {text}");
    }
}

#[test]
fn a_signature_that_is_wrong_is_no_signature_for_a_policy() {
    let cli = audited();
    // Signed again by somebody else under the same name.
    cli.ok(&format!("sign cv -K auditor -s default --force {PRODUCT}"));
    let (code, text) = verify(&cli, "--require default:key=acme.pub");
    assert_eq!(code, Some(4), "{text}");
    let (code, text) = verify(&cli, "-k acme.pub -k auditor.pub --require 2");
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("there is only 1"), "{text}");
}

/// Signs the product at a place by several processes at once, and checks that no signature is lost.
#[track_caller]
fn sign_at_once(cli: &Cli, place: &str) {
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    let names = ["a", "b", "c", "d"];
    let started = names.map(|name| cli.start(&format!("sign cv -K acme -s {name} {product}")));
    for run in started.map(ocm_testkit::Started::wait) {
        assert_eq!(run.code, Some(0), "{run}");
    }
    for name in names {
        cli.ok(&format!("verify cv -k acme.pub -s {name} {product}"));
    }
}

#[test]
fn signers_of_a_directory_lose_no_signature() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    sign_at_once(&cli, "shop");
}

#[test]
fn signers_of_a_registry_lose_no_signature() {
    let mut cli = packed();
    cli.ok("create keypair acme --bits 2048");
    let (_registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf shop {place}"));
    sign_at_once(&cli, &place);
}

#[test]
fn signers_of_an_archive_in_a_file_lose_no_signature() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    for archive in ["shop.tar", "shop.tgz"] {
        cli.ok(&format!("transfer ctf shop {archive}"));
        sign_at_once(&cli, archive);
    }
}

#[test]
fn a_key_that_is_protected_by_a_passphrase_signs() {
    let mut cli = packed();
    let keys = conformance("../crates/ocm-signing/testdata/keys");
    cli.copy(keys.join("test-rsa-2048.encrypted.pkcs8.pem"), "locked");
    cli.copy(keys.join("test-rsa-2048.pub.pkix.pem"), "acme.pub");
    let sign = format!("sign cv -K locked {PRODUCT}");
    let run = cli.run(&sign);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("is protected by a passphrase"), "{run}");
    let sign = format!("{sign} --passphrase-env PASS");
    cli.set("PASS", "wrong");
    let run = cli.run(&sign);
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("the passphrase is wrong"), "{run}");
    cli.set("PASS", "x");
    cli.ok(&sign);
    cli.ok(&format!("verify cv -k acme.pub {PRODUCT}"));
}
