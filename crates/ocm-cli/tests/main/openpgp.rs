//! OpenPGP keys, which `gpg` has made.

use std::path::Path;

use ocm_testkit::Cli;

use crate::world::{PRODUCT, packed};

/// The product, and keys of `gpg` beside it.
fn with_keys(names: &[&str]) -> Cli {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/openpgp/keys");
    let cli = packed();
    for name in names {
        cli.copy(keys.join(name), name);
    }
    cli
}

/// Runs a command, and finds these texts in what it says. Fingerprints are beside them.
#[track_caller]
fn fails(cli: &Cli, arguments: &str, texts: &[&str]) {
    let said = cli.run(arguments).to_string();
    for text in texts {
        assert!(said.contains(text), "{said}");
    }
}

const CONFIGURATION: &str = "type: generic.config.ocm.software/v1
configurations:
- type: credentials.config.ocm.software
  consumers:
  - identity: {type: GPG/v1alpha1, signature: release}
    credentials:
    - type: GPGCredentials/v1alpha1
      privateKeyPGPFile: locked.test-key.asc
      passphrase: correct horse
- type: signing.config.ocm.software/v1alpha1
  signature: release
  signer: {type: GPGSigningConfiguration/v1alpha1, hashAlgorithm: SHA-512}
  verifier: {type: GPGSigningConfiguration/v1alpha1}
";

#[test]
fn a_key_is_known_by_its_content() {
    let cli = with_keys(&["subkeys.test-key.asc", "subkeys.pub.asc", "rsa3072.pub.asc"]);
    let signed = cli.ok(&format!("sign cv -K subkeys.test-key.asc {PRODUCT}"));
    for part in [
        "algorithm: GPG",
        "mediaType: application/vnd.ocm.signature.gpg",
        "-----BEGIN PGP SIGNATURE-----",
    ] {
        assert!(signed.contains(part), "{signed}");
    }
    let verified = cli.ok(&format!("verify cv -k subkeys.pub.asc {PRODUCT}"));
    assert!(verified.contains("default (GPG)"), "{verified}");
    fails(
        &cli,
        &format!("verify cv -k rsa3072.pub.asc {PRODUCT}"),
        &["exit 4", "which is not among the public keys"],
    );
}

#[test]
fn keys_and_passphrase_are_configured() {
    let cli = with_keys(&["locked.test-key.asc"]);
    cli.write(".ocmconfig", CONFIGURATION);
    cli.ok(&format!("sign cv -s release {PRODUCT}"));
    cli.ok(&format!("verify cv -s release {PRODUCT}"));
    let selecting = CONFIGURATION.replace(
        "verifier: {type: GPGSigningConfiguration/v1alpha1}",
        "verifier: {type: GPGSigningConfiguration/v1alpha1, keyFingerprint: 0123456789ABCDEF}",
    );
    cli.write(".ocmconfig", selecting);
    fails(
        &cli,
        &format!("verify cv -s release {PRODUCT}"),
        &["exit 4", "not by 0123456789ABCDEF"],
    );
}

#[test]
fn a_passphrase_comes_from_the_environment_and_never_from_the_command_line() {
    let mut cli = with_keys(&["locked.test-key.asc", "locked.pub.asc"]);
    let sign = format!("sign cv -K locked.test-key.asc {PRODUCT}");
    let with_passphrase = format!("{sign} --passphrase-env PASS");
    fails(
        &cli,
        &sign,
        &[
            "exit 2",
            "for signature `default` is protected by a passphrase",
            "hint: name the environment variable that has it with --passphrase-env",
        ],
    );
    fails(
        &cli,
        &with_passphrase,
        &["exit 2", "environment variable PASS is not set"],
    );
    cli.set("PASS", "wrong horse");
    fails(
        &cli,
        &with_passphrase,
        &["exit 2", "the passphrase does not unlock OpenPGP key"],
    );
    cli.set("PASS", "correct horse");
    cli.ok(&with_passphrase);
    cli.ok(&format!("verify cv -k locked.pub.asc {PRODUCT}"));
}

#[test]
fn signatures_of_both_kinds_verify_in_one_call() {
    let cli = with_keys(&["ed25519.test-key.gpg", "ed25519.pub.asc"]);
    cli.ok("create keypair acme --bits 2048");
    cli.ok(&format!("sign cv -K acme -s rsa {PRODUCT}"));
    cli.ok(&format!("sign cv -K ed25519.test-key.gpg -s pgp {PRODUCT}"));
    cli.ok(&format!(
        "verify cv -k rsa=acme.pub -k pgp=ed25519.pub.asc {PRODUCT}"
    ));
}
