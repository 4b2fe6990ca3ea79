//! Keys and signatures.

use insta::assert_snapshot;
use ocm::signing::key::{KeyFormat, PrivateKey};

use crate::world::{PRODUCT, packed, signed};

#[test]
fn a_version_has_several_signatures() {
    let cli = signed();
    cli.ok("create keypair other --bits 2048");
    cli.ok(&format!(
        "sign cv -K other -s other -S RSASSA-PKCS1-V1_5 -H SHA-512 {PRODUCT}"
    ));
    assert_snapshot!(cli.run("verify cv -k default=acme.pub -k other=other.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k default=acme.pub -k other=other.pub shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)                verified, by key sha256:<digest>
    signature  acme.org/bar/product:1.0.0  other (RSASSA-PKCS1-V1_5)           verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 2 signatures, 1 reference, content of 4 of 4 resources (4.7 KiB)
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub -s default shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub -s default shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)                verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 4 of 4 resources (4.7 KiB)
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: signature `other` is not valid
      caused by: the signature does not match the public key
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub -s none shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub -s none shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: no signature `none`, there is `default`, `other`
    ");
}

#[test]
fn a_signature_that_exists_is_kept_unless_told() {
    let cli = signed();
    assert_snapshot!(cli.run("sign cv -K acme shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -K acme shop//acme.org/bar/product:1.0.0
    exit 6
    --- stderr
    error: signature `default` exists already

    hint: sign under another name, or replace `default` with --force
    ");
    cli.ok(&format!("sign cv -K acme --force {PRODUCT}"));
    cli.ok(&format!("verify cv -k acme.pub {PRODUCT}"));
}

#[test]
fn what_is_not_signed_is_not_verified() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    assert_snapshot!(cli.run("verify cv -k acme.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: component version acme.org/bar/product:1.0.0 has no signatures
    ");
}

#[test]
fn a_key_that_is_missing_or_wrong_is_named() {
    let cli = signed();
    cli.write("text.txt", "no key");
    assert_snapshot!(cli.run("sign cv -s new shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -s new shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: no private key for signature `new` with RSASSA-PSS

    hint: give the key with --private-key, or configure it for the consumer RSA/v1alpha1
    ");
    assert_snapshot!(cli.run("sign cv -s new -K none shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -s new -K none shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: cannot read none: No such file or directory (os error 2)
    ");
    assert_snapshot!(cli.run("sign cv -s new -K text.txt shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -s new -K text.txt shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: cannot use text.txt
      caused by: neither a PEM block nor a DER structure found
    ");
    assert_snapshot!(cli.run("sign cv -s new -K acme.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -s new -K acme.pub shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: cannot use acme.pub
      caused by: expected a private key, found an RSA public key
    ");
    assert_snapshot!(cli.run("verify cv shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv shop//acme.org/bar/product:1.0.0
    exit 2
    --- stderr
    error: no public key for signature `default`

    hint: give the key with --public-key, or configure it for the consumer RSA/v1alpha1 (GPG/v1alpha1 for OpenPGP)
    ");
    assert_snapshot!(cli.run("create keypair acme"), @r"
    $ ocm create keypair acme
    exit 6
    --- stderr
    error: cannot create <dir>/acme
      caused by: File exists (os error 17)
    ");
}

#[test]
fn keys_of_every_format_are_taken() {
    let cli = signed();
    let key = PrivateKey::parse(&cli.read("acme")).unwrap();
    let public = key.public_key();
    cli.write("old", key.to_pem(KeyFormat::Pkcs1).unwrap().expose());
    cli.write("old.pub", public.to_pem(KeyFormat::Pkcs1));
    assert!(
        cli.read("old")
            .starts_with(b"-----BEGIN RSA PRIVATE KEY-----")
    );
    cli.ok(&format!("sign cv -K old -s old {PRODUCT}"));
    for key in ["old.pub", "acme.pub"] {
        cli.ok(&format!("verify cv -k {key} {PRODUCT}"));
    }
}

#[test]
fn keys_come_from_the_configuration() {
    let cli = signed();
    cli.write(
        ".ocmconfig",
        r"type: generic.config.ocm.software/v1
configurations:
- type: credentials.config.ocm.software
  consumers:
  - identity: {type: RSA/v1alpha1, algorithm: RSASSA-PSS, signature: release}
    credentials:
    - type: Credentials/v1
      properties: {private_key_pem_file: acme, public_key_pem_file: acme.pub}
",
    );
    assert_snapshot!(cli.run("sign cv -s release shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -s release shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    name: release
    digest:
      hashAlgorithm: SHA-256
      normalisationAlgorithm: jsonNormalisation/v4alpha1
      value: <digest>
    signature:
      algorithm: RSASSA-PSS
      value: <signature>
      mediaType: application/vnd.ocm.signature.rsa.pss
    --- stderr
    signed acme.org/bar/product:1.0.0 as `release` (digest <digest>)
    ");
    assert_snapshot!(cli.run("verify cv -s release shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -s release shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  release (RSASSA-PSS)                verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 4 of 4 resources (4.7 KiB)
    ");
}
