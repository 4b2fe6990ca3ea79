//! Archives and signatures that the Go tools made.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Registry};

use crate::world::{conformance, empty};

fn go_made(names: &[&str]) -> Cli {
    let cli = empty();
    cli.copy(conformance("go-tools/public.pem"), "public.pem");
    for name in names {
        cli.copy(conformance(&format!("ctf/{name}")), name);
    }
    cli
}

#[test]
fn what_go_signed_verifies() {
    let cli = go_made(&["v1-product", "v2-product"]);
    assert_snapshot!(cli.run("verify cv -k public.pem v2-product//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k public.pem v2-product//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)                verified, by key sha256:<digest>
    signature  acme.org/bar/product:1.0.0  pkcs1 (RSASSA-PKCS1-V1_5)           verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  chart                               verified, 801 B
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 2 signatures, 1 reference, content of 5 of 5 resources (5.5 KiB)
    ");
    assert_snapshot!(cli.run("verify cv -k public.pem -s sig-v3 v1-product//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k public.pem -s sig-v3 v1-product//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  sig-v3 (RSASSA-PKCS1-V1_5)          verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 3.5 KiB
    content    acme.org/bar/product:1.0.0  chart                               verified, 748 B
    content    acme.org/bar/product:1.0.0  image                               verified, 794 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 5 of 5 resources (5.0 KiB)
    ");
    assert_snapshot!(cli.run("verify cv -k public.pem -s sig-v3 v1-product//acme.org/bar/leaf:1.0.0"), @r"
    $ ocm verify cv -k public.pem -s sig-v3 v1-product//acme.org/bar/leaf:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION        WHAT                        OUTCOME
    signature  acme.org/bar/leaf:1.0.0  sig-v3 (RSASSA-PKCS1-V1_5)  verified, by key sha256:<digest>
    content    acme.org/bar/leaf:1.0.0  data                        verified, 9 B
    --- stderr
    verified acme.org/bar/leaf:1.0.0: 1 signature, 0 references, content of 1 of 1 resource (9 B)
    ");
}

#[test]
fn what_go_signed_verifies_after_every_transfer() {
    let cli = go_made(&["v1-product", "v2-product"]);
    let registry = Registry::start();
    for (source, signature) in [("v2-product", "default"), ("v1-product", "sig-v3")] {
        let mut from = source.to_owned();
        let place = format!("http://{}/{source}", registry.host());
        for to in [format!("{source}.tar"), place, format!("./{source}.back")] {
            cli.ok(&format!("transfer ctf {from} {to}"));
            cli.ok(&format!(
                "verify cv -k public.pem -s {signature} {to}//acme.org/bar/product:1.0.0"
            ));
            from = to;
        }
    }
}

/// Of what is packed here now, and of what Go has transferred of the same, digests and bytes are
/// the same; and the signatures of then hold.
#[test]
fn what_go_transfers_of_ours_stays_what_it_was() {
    const PRODUCT: &str = "acme.org/bar/product:1.0.0";
    let cli = go_made(&[
        "v1-transferred",
        "v2-transferred",
        "transferred.pub",
        "transferred.yaml",
    ]);
    for input in ["file.txt", "tree"] {
        cli.copy(conformance("go-tools/input").join(input), input);
    }
    cli.ok("add cv -r ours transferred.yaml");
    let hash = |place: &str, normalisation: &str| {
        cli.ok(&format!("hash cv -N {normalisation} {place}//{PRODUCT}"))
    };
    for transferred in ["v1-transferred", "v2-transferred"] {
        for signature in ["default", "v3"] {
            let verify = format!("verify cv -k transferred.pub -s {signature}");
            cli.ok(&format!("{verify} {transferred}//{PRODUCT}"));
        }
        for normalisation in ["jsonNormalisation/v3", "jsonNormalisation/v4alpha1"] {
            let (ours, theirs) = (
                hash("ours", normalisation),
                hash(transferred, normalisation),
            );
            assert_eq!(ours, theirs, "{transferred}");
        }
        let differences = cli.ok(&format!(
            "diff cv -o json ours//{PRODUCT} {transferred}//{PRODUCT}"
        ));
        let differences: serde_json::Value = serde_json::from_str(&differences).unwrap();
        let changes = differences[0]["changes"].as_array().unwrap().iter();
        let parts: Vec<_> = changes.map(|it| (&it["part"], &it["change"])).collect();
        let added = (&"signature".into(), &"added".into());
        assert_eq!(parts, [added, added], "{transferred}");
        for blob in contents(&cli, "ours", PRODUCT) {
            let file = |place: &str| cli.read(format!("{place}/blobs/{blob}"));
            assert!(file("ours") == file(transferred), "{transferred} {blob}");
        }
    }
}

/// What Go has packed has the same digests and bytes where ours brings it.
#[test]
fn what_is_transferred_of_go_stays_what_it_was() {
    const PRODUCT: &str = "acme.org/bar/product:1.0.0";
    let cli = go_made(&["v1-product", "v2-product"]);
    for source in ["v1-product", "v2-product"] {
        let far = format!("{source}-far");
        cli.ok(&format!("transfer ctf {source} {far}"));
        for normalisation in ["jsonNormalisation/v3", "jsonNormalisation/v4alpha1"] {
            let hash =
                |place: &str| cli.ok(&format!("hash cv -N {normalisation} {place}//{PRODUCT}"));
            assert_eq!(hash(source), hash(&far));
        }
        for id in [PRODUCT, "acme.org/bar/leaf:1.0.0"] {
            let blobs = contents(&cli, &far, id);
            assert!(!blobs.is_empty());
            for blob in blobs {
                let bytes = cli.read(format!("{far}/blobs/{blob}"));
                let digest = ocm::digest::Digest::sha256(&bytes).to_string();
                assert_eq!(digest.replace(':', "."), blob);
                // Artifacts are packed there as v1 does, and unpacked here.
                let there = cli.path(format!("{source}/blobs/{blob}"));
                let is_artifact = source == "v1-product" && bytes.starts_with(b"{");
                assert!(
                    is_artifact || std::fs::read(there).unwrap() == bytes,
                    "{blob}"
                );
            }
        }
    }
}

/// Returns the files of the local blobs of a component version, as an archive names them.
fn contents(cli: &Cli, place: &str, id: &str) -> Vec<String> {
    let descriptor = cli.ok(&format!("get cv {place}//{id} -o json"));
    let descriptor: serde_json::Value = serde_json::from_str(&descriptor).unwrap();
    let resources = descriptor[0]["component"]["resources"].as_array().unwrap();
    let references = resources
        .iter()
        .filter_map(|it| it["access"]["localReference"].as_str());
    references.map(|it| it.replace(':', ".")).collect()
}

#[test]
fn archives_of_go_are_read_in_every_packing() {
    let cli = go_made(&["v1-product.tar", "v1-product.tgz"]);
    assert_snapshot!(cli.run("get resources v1-product.tar//acme.org/bar/product:1.0.0"), @r"
    $ ocm get resources v1-product.tar//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY                     TYPE           RELATION
    file   1.0.0    architecture=amd64,os=linux  blob           local
    tree   1.0.0    -                            directoryTree  local
    chart  0.1.0    -                            helmChart      local
    image  1.0.0    -                            ociImage       local
    ");
    assert_snapshot!(cli.run("list v1-product.tgz"), @r"
    $ ocm list v1-product.tgz
    exit 0
    --- stdout
    COMPONENT             LATEST  VERSIONS
    acme.org/bar/leaf     1.0.0   1
    acme.org/bar/product  1.0.0   1
    ");
    cli.ok("download resource v1-product.tgz//acme.org/bar/product:1.0.0 tree -O tree");
    assert!(cli.path("tree/sub/b").is_file());
}
