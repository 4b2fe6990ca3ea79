//! Keys of every kind, certificates for them, and signatures that bring those.

use insta::assert_snapshot;
use ocm_testkit::timestamps::TimestampAuthority;

use crate::world::{PRODUCT, packed};

/// An authority, a signer below it, and the product signed by the signer.
fn certified() -> ocm_testkit::Cli {
    let cli = packed();
    cli.ok(
        "create keypair --type ecdsa --ca --subject CN=authority,O=acme.org authority authority.cert",
    );
    cli.ok(
        "create keypair --size 2048 --ca-cert authority.cert --ca-key authority --validity 1y \
         --root-certs authority.cert --subject CN=release,O=acme.org signer signer.cert",
    );
    cli.ok(&format!("sign cv -K signer -k signer.cert {PRODUCT}"));
    cli
}

#[test]
fn every_kind_of_key_signs_and_verifies() {
    let cli = packed();
    for (kind, algorithm) in [
        ("rsa --size 2048", "RSASSA-PSS"),
        ("ecdsa", "ECDSA-P256-SHA256"),
        ("ecdsa --curve P-384", "ECDSA-P384-SHA384"),
        ("ecdsa --curve p521", "ECDSA-P521-SHA512"),
        ("ed25519", "Ed25519"),
    ] {
        let name = algorithm.to_lowercase();
        cli.ok(&format!("create keypair --type {kind} {name}.priv"));
        cli.ok(&format!("sign cv -K {name}.priv -s {name} {PRODUCT}"));
        let table = cli.ok(&format!("verify cv -s {name} -k {name}.pub {PRODUCT}"));
        assert!(table.contains(&format!("{name} ({algorithm})")), "{table}");
        let other = cli.run(&format!(
            "verify cv -s {name} -k {name}.pub -s none {PRODUCT}"
        ));
        assert_eq!(other.code, Some(4));
    }
    let run = cli.run(&format!("verify cv -s ed25519 -k rsassa-pss.pub {PRODUCT}"));
    assert_eq!(run.code, Some(4));
    assert!(
        run.stderr
            .contains("an RSA key of 2048 bits is not for Ed25519"),
        "{run}"
    );
}

#[test]
fn an_algorithm_needs_a_key_of_its_kind() {
    let cli = packed();
    cli.ok("create keypair --type ed25519 key");
    assert_snapshot!(cli.run(&format!("sign cv -K key -S RSASSA-PSS {PRODUCT}")), @r"
    $ ocm sign cv -K key -S RSASSA-PSS shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: cannot make signature `default`
      caused by: an Ed25519 key is not for RSASSA-PSS
    ");
}

#[test]
fn a_signature_verifies_by_the_authority_above_it() {
    let cli = certified();
    assert_snapshot!(cli.run(&format!("verify cv --ca-cert authority.cert -I CN=release {PRODUCT}")), @r"
    $ ocm verify cv --ca-cert authority.cert -I CN=release shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)                verified, by CN=release,O=acme.org, certified by CN=authority,O=acme.org
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 4 of 4 resources (4.7 KiB)
    ");
    // The key alone will do as well, and so will the certificate.
    cli.ok(&format!("verify cv -k signer.cert {PRODUCT}"));
    let certificates = cli.ok(&format!("get cv -o yaml {PRODUCT}"));
    assert_eq!(
        certificates.matches("BEGIN CERTIFICATE").count(),
        1,
        "{certificates}"
    );
}

#[test]
fn a_signature_by_another_or_nobody_known_is_not_verified() {
    let cli = certified();
    assert_snapshot!(cli.run(&format!("verify cv --ca-cert authority.cert -I CN=boss {PRODUCT}")), @r"
    $ ocm verify cv --ca-cert authority.cert -I CN=boss shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: signature `default` cannot be trusted
      caused by: the issuer must be `CN=boss`, but the certificate is for `CN=release,O=acme.org` and by `CN=authority,O=acme.org`
    ");
    cli.ok("create keypair --type ecdsa --ca --subject CN=other other other.cert");
    assert_snapshot!(cli.run(&format!("verify cv --ca-cert other.cert {PRODUCT}")), @r"
    $ ocm verify cv --ca-cert other.cert shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: signature `default` cannot be trusted
      caused by: the certificate for `CN=release,O=acme.org` does not lead to a root that is trusted
      caused by: no issuer of it is known, or none that is valid at that time
    ");
    assert_snapshot!(cli.run(&format!("verify cv {PRODUCT}")), @r"
    $ ocm verify cv shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: signature `default` cannot be trusted
      caused by: the signature brings a certificate for `CN=release,O=acme.org`, and only the roots of the system could vouch for it, which do so for anybody: it must be said which issuer is trusted
    ");
}

#[test]
fn roots_of_the_system_vouch_for_who_is_demanded() {
    let mut cli = certified();
    let roots = cli.path("authority.cert");
    cli.set("SSL_CERT_FILE", roots.to_str().unwrap());
    cli.ok(&format!("verify cv -I CN=release {PRODUCT}"));
    for issuer in ["", "-I CN=boss"] {
        let run = cli.run(&format!("verify cv {issuer} {PRODUCT}"));
        assert_eq!(run.code, Some(4), "{run}");
    }
}

#[test]
fn certificates_may_be_configured() {
    let cli = certified();
    cli.write(
        ".ocmconfig",
        "type: generic.config.ocm.software/v1
configurations:
- type: credentials.config.ocm.software
  consumers:
  - identity: {type: RSA/v1alpha1, signature: by-configuration}
    credentials:
    - type: RSACredentials/v1
      privateKeyPEMFile: signer
      publicKeyPEMFile: signer.cert
  - identity: {type: RSA/v1alpha1, signature: default}
    credentials:
    - type: RSACredentials/v1
      publicKeyPEMFile: authority.cert
- type: signing.config.ocm.software/v1alpha1
  signature: by-configuration
  signer: {type: RSASigningConfiguration/v1alpha1, signatureEncodingPolicy: PEM}
",
    );
    cli.ok(&format!("verify cv -s default {PRODUCT}"));
    cli.ok(&format!("sign cv -s by-configuration {PRODUCT}"));
    let signatures = cli.ok(&format!("get cv -o yaml {PRODUCT}"));
    assert_eq!(signatures.matches("BEGIN CERTIFICATE").count(), 2);
    cli.ok(&format!("verify cv -s by-configuration {PRODUCT}"));
}

#[test]
fn keys_of_other_kinds_may_be_configured() {
    let cli = packed();
    cli.ok("create keypair --type ed25519 ed");
    cli.ok("create keypair --type ecdsa ec");
    cli.write(
        ".ocmconfig",
        "type: generic.config.ocm.software/v1
configurations:
- type: credentials.config.ocm.software
  consumers:
  - identity: {type: Ed25519/v1alpha1, signature: ed}
    credentials:
    - type: RSACredentials/v1
      privateKeyPEMFile: ed
      publicKeyPEMFile: ed.pub
  - identity: {type: ECDSA/v1alpha1, algorithm: ECDSA-P256-SHA256}
    credentials:
    - type: Credentials/v1
      properties: {private_key_pem_file: ec}
- type: signing.config.ocm.software/v1alpha1
  signature: ec
  signer: {type: ECDSASigningConfiguration/v1alpha1}
",
    );
    cli.ok(&format!("sign cv -s ed -S Ed25519 {PRODUCT}"));
    cli.ok(&format!("sign cv -s ec {PRODUCT}"));
    let table = cli.ok(&format!("verify cv {PRODUCT}"));
    assert!(table.contains("ed (Ed25519)"), "{table}");
    assert!(table.contains("ec (ECDSA-P256-SHA256)"), "{table}");
}

#[test]
fn certificates_are_made_as_the_first_go_tool_is_asked_for_them() {
    let cli = packed();
    assert_snapshot!(cli.run("create rsakeypair acme.priv issuer=acme C=DE org=acme.org --size 2048"), @r"
    $ ocm create rsakeypair acme.priv issuer=acme C=DE org=acme.org --size 2048
    exit 0
    --- stderr
    created private key <dir>/acme.priv and certificate <dir>/acme.cert
    ");
    cli.ok(&format!("sign cv -K acme.priv {PRODUCT}"));
    // Signed by itself, the certificate is no more than a key with a name.
    cli.ok(&format!("verify cv -k acme.cert -I CN=acme {PRODUCT}"));
    let run = cli.run(&format!("verify cv -k acme.cert -I CN=other {PRODUCT}"));
    assert_eq!(run.code, Some(4), "{run}");
    assert_snapshot!(cli.run(&format!("sign cv -K acme.priv -k acme.cert -s second {PRODUCT}")), @r"
    $ ocm sign cv -K acme.priv -k acme.cert -s second shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: signature `second` cannot be made
      caused by: the certificate for `CN=acme,C=DE,O=acme.org` is signed by itself: nobody vouches for it, so sign without it and hand the public key to those who verify
    ");
}

#[test]
fn certificates_that_cannot_be_made_say_why() {
    let cli = packed();
    cli.ok("create keypair --type ecdsa --subject CN=leaf leaf leaf.cert");
    let runs = [
        "create keypair --ca key",
        "create keypair --subject FOO=bar key",
        "create keypair --subject CN=a key CN=b",
        "create keypair key O=acme.org",
        "create keypair --subject CN=a --ca-cert leaf.cert key",
        "create keypair --type ecdsa --subject CN=a --ca-cert leaf.cert --ca-key leaf key",
        "create keypair --type ecdsa --curve P-192 key",
        "create keypair --subject CN=a --validity soon key",
        "create keypair a b c",
    ]
    .map(|arguments| cli.run(arguments).to_string());
    assert!(!cli.path("key").exists());
    assert_snapshot!(runs.join("\n"), @r#"
    $ ocm create keypair --ca key
    exit 2
    --- stderr
    error: a certificate needs a subject: give one with --subject

    $ ocm create keypair --subject FOO=bar key
    exit 2
    --- stderr
    error: invalid value 'FOO=bar' for '--subject <DN>': `FOO` is no attribute of a distinguished name

    For more information, try '--help'.

    $ ocm create keypair --subject CN=a key CN=b
    exit 2
    --- stderr
    error: there is a subject beside single attributes of one

    $ ocm create keypair key O=acme.org
    exit 2
    --- stderr
    error: the subject of a certificate needs a common name (CN)

    $ ocm create keypair --subject CN=a --ca-cert leaf.cert key
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --ca-key <FILE>

    Usage: ocm create keypair --ca-cert <FILE> --ca-key <FILE> --subject <DN> <FILE|ATTRIBUTE=VALUE>...

    For more information, try '--help'.

    $ ocm create keypair --type ecdsa --subject CN=a --ca-cert leaf.cert --ca-key leaf key
    exit 1
    --- stderr
    error: the certificate for `CN=leaf` cannot issue others

    $ ocm create keypair --type ecdsa --curve P-192 key
    exit 2
    --- stderr
    error: invalid value 'P-192' for '--curve <CURVE>': it is none of P-256, P-384 and P-521

    For more information, try '--help'.

    $ ocm create keypair --subject CN=a --validity soon key
    exit 2
    --- stderr
    error: invalid value 'soon' for '--validity <DURATION>': failed to parse input in the "friendly" duration format: expected duration to start with a unit value (a decimal integer) after an optional sign, but no integer was found

    For more information, try '--help'.

    $ ocm create keypair a b c
    exit 2
    --- stderr
    error: there are more than two files
    "#);
}

#[test]
fn a_timestamp_is_asked_for_kept_and_verified() {
    let cli = certified();
    let (root, url) = TimestampAuthority::start();
    cli.write("tsa.cert", root);
    cli.ok(&format!(
        "sign cv -K signer -k signer.cert -s stamped --tsa-url {url} {PRODUCT}"
    ));
    let stored = cli.ok(&format!("get cv -o yaml {PRODUCT}"));
    assert_eq!(stored.matches("BEGIN TIMESTAMP INFO").count(), 1);
    let signed_at = |arguments: &str| {
        let report = cli.ok(&format!(
            "verify cv -s stamped --ca-cert authority.cert -o json {arguments}"
        ));
        report.contains("\"signedAt\"")
    };
    assert!(signed_at(&format!("--ca-cert tsa.cert {PRODUCT}")));
    // An authority that nobody vouches for counts for nothing.
    assert!(!signed_at(PRODUCT));
    cli.ok("transfer ctf shop moved.tar");
    let moved = "moved.tar//acme.org/bar/product:1.0.0";
    assert!(signed_at(&format!("--ca-cert tsa.cert {moved}")));
    assert_eq!(cli.ok(&format!("get cv -o yaml {moved}")), stored);
}

#[test]
fn an_authority_that_does_not_answer_leaves_nothing_signed() {
    let cli = certified();
    let run = cli.run(&format!(
        "sign cv -K signer -s stamped --tsa-url http://127.0.0.1:1/ {PRODUCT}"
    ));
    assert_ne!(run.code, Some(0));
    assert!(
        run.stderr
            .contains("cannot ask http://127.0.0.1:1/ for a timestamp"),
        "{run}"
    );
    let run = cli.run(&format!("verify cv -s stamped -k signer.cert {PRODUCT}"));
    assert!(run.stderr.contains("no signature `stamped`"), "{run}");
}
