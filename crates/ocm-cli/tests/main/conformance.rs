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
