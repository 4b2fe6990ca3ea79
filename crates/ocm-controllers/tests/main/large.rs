//! Manifests and objects that are as large as they may be, or larger.

use ocm::blob::gzip_writer;
use ocm_testkit::Registry;

use crate::delivery::{Packing, chain, component, config_map};
use crate::deployer::{applied, begins, publish, says, with_definition};
use crate::running::{of_deployer, operator};
use crate::world::{apply, cluster};

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_large_up_to_the_bound_and_may_be_compressed() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let maps = |number: usize| {
        let value = "0123456789abcdef".repeat(16 << 10);
        (0..number).fold(String::new(), |mut text, index| {
            text += &config_map(&namespace, &format!("map-{index}"), &value);
            text
        })
    };
    // Three MiB, while the bound of these tests is four.
    publish(&registry, "1.0.0", &maps(12)).await;
    publish(&registry, "2.0.0", &maps(17)).await;
    let mut compressed = gzip_writer(Vec::new());
    std::io::Write::write_all(&mut compressed, maps(17).as_bytes()).unwrap();
    let compressed = compressed.finish().unwrap();
    let packing = Packing::start(&registry, "3.0.0").await;
    let packing = packing
        .blob("manifests", "application/gzip", &compressed)
        .await;
    packing.put().await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    let ready = says(&namespace, &applied("1.0.0")).await;
    assert_eq!(ready.status.unwrap().deployed.len(), 12);
    apply(&namespace, &component("2.0.0", ""));
    let refused = begins(&namespace, "False GetOCMResourceFailed: ").await;
    let message = of_deployer(&refused);
    assert!(
        message.contains(" exceeds maximum allowed size of 4Mi"),
        "{message}"
    );
    assert_eq!(refused.status.unwrap().deployed.len(), 12);
    apply(&namespace, &component("3.0.0", ""));
    let ready = says(&namespace, &applied("3.0.0")).await;
    assert_eq!(ready.status.unwrap().deployed.len(), 17);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_larger_than_the_database_takes_is_named_and_not_tried_again_and_again() {
    operator();
    let (namespace, registry) = (cluster().namespace(), Registry::start());
    let group = format!("{namespace}.acme.org");
    let large = |size: usize| {
        let text = "x".repeat(size);
        with_definition(&group, &namespace).replace("{size: 1}", &format!("{{text: {text}}}"))
    };
    publish(&registry, "1.0.0", &large(1 << 20)).await;
    publish(&registry, "2.0.0", &large(1700 << 10)).await;
    apply(&namespace, &chain(&registry, &namespace, "1.0.0"));
    says(&namespace, &applied("1.0.0")).await;
    apply(&namespace, &component("2.0.0", ""));
    let refused = begins(&namespace, "False ApplyFailed: cannot apply Widget ").await;
    assert_eq!(
        of_deployer(&refused),
        format!(
            "False ApplyFailed: cannot apply Widget `{namespace}-new/one`: it is larger than \
             the API server takes: etcdserver: request is too large"
        )
    );
    assert_eq!(refused.status.unwrap().deployed.len(), 3);
}
