//! The normalised bytes and digests are those of the Go implementations.

use ocm_digest::HashAlgorithm;
use ocm_model::{
    Access, Descriptor, DigestSpec, NormalisationAlgorithm, Provider, Reference, Relation, Resource,
};

use NormalisationAlgorithm::{JsonV1, JsonV2, JsonV3, JsonV4Alpha1};

macro_rules! data {
    ($path:literal) => {
        include_str!(concat!("../../../../conformance/", $path))
    };
}

#[track_caller]
fn check(input: &str, algorithm: NormalisationAlgorithm, expected: &str) {
    let descriptor = Descriptor::read_yaml(input).unwrap();
    let normalised = descriptor.normalise(algorithm);
    assert_eq!(
        String::from_utf8_lossy(normalised.as_bytes()),
        expected,
        "{algorithm}"
    );
}

#[test]
fn a_release_is_normalised_as_go_does() {
    let input = data!("normalisation/release/input.yaml");
    check(input, JsonV3, data!("normalisation/release/v3.json"));
    check(
        input,
        JsonV4Alpha1,
        data!("normalisation/release/v4alpha1.json"),
    );
}

#[test]
fn a_changed_access_changes_no_bytes() {
    for input in [
        data!("normalisation/access-changed/before.yaml"),
        data!("normalisation/access-changed/after.yaml"),
    ] {
        check(input, JsonV1, data!("normalisation/access-changed/v1.json"));
        check(input, JsonV2, data!("normalisation/access-changed/v2.json"));
        check(input, JsonV3, data!("normalisation/access-changed/v3.json"));
        check(
            input,
            JsonV4Alpha1,
            data!("normalisation/access-changed/v3.json"),
        );
    }
}

#[test]
fn a_resource_without_content_loses_its_digest() {
    let input = data!("normalisation/no-content/input.yaml");
    check(input, JsonV1, data!("normalisation/no-content/v1.json"));
    check(input, JsonV2, data!("normalisation/no-content/v2.json"));
    check(input, JsonV3, data!("normalisation/no-content/v3.json"));
    check(
        input,
        JsonV4Alpha1,
        data!("normalisation/no-content/v3.json"),
    );
}

#[test]
fn only_signed_labels_of_component_and_provider_are_covered() {
    let input = data!("normalisation/provider-with-labels/input.yaml");
    check(
        input,
        JsonV1,
        data!("normalisation/provider-with-labels/v1.json"),
    );
    check(
        input,
        JsonV2,
        data!("normalisation/provider-with-labels/v2.json"),
    );
    check(
        input,
        JsonV4Alpha1,
        data!("normalisation/provider-with-labels/v2.json"),
    );
}

#[test]
fn v3alpha1_covers_all_labels_of_the_provider_in_v1_only() {
    let input = data!("normalisation/provider-with-labels-v3alpha1/input.yaml");
    check(
        input,
        JsonV1,
        data!("normalisation/provider-with-labels-v3alpha1/v1.json"),
    );
    check(
        input,
        JsonV2,
        data!("normalisation/provider-with-labels-v3alpha1/v2.json"),
    );
}

#[test]
fn versions_join_identities_in_v1_and_v2_only() {
    let input = data!("normalisation/duplicate-resource/input.yaml");
    check(
        input,
        JsonV1,
        data!("normalisation/duplicate-resource/v1.json"),
    );
    check(
        input,
        JsonV2,
        data!("normalisation/duplicate-resource/v2.json"),
    );
    check(
        input,
        JsonV3,
        data!("normalisation/duplicate-resource/v3.json"),
    );
    check(
        input,
        JsonV4Alpha1,
        data!("normalisation/duplicate-resource/v3.json"),
    );
}

/// Every digest that a Go tool has signed is computed by the algorithm that it names.
#[track_caller]
fn check_signed(descriptor: &Descriptor, names: &[&str]) {
    for name in names {
        let stated = descriptor.signature(name).unwrap().digest;
        let algorithm = stated.normalisation_algorithm.parse().unwrap();
        let normalised = descriptor.normalise(algorithm);
        assert_eq!(
            normalised.digest_spec(stated.algorithm().unwrap()),
            stated,
            "{name}"
        );
    }
}

#[test]
fn digests_signed_by_go_v2_are_reproduced() {
    let bytes = data!("go-tools/v2-product.json").as_bytes();
    let descriptor = Descriptor::read_json(bytes).unwrap();
    check_signed(&descriptor, &["default", "pkcs1"]);
    let leaf = Descriptor::read_json(data!("go-tools/v2-leaf.json").as_bytes()).unwrap();
    let digest = leaf
        .normalise(JsonV4Alpha1)
        .digest_spec(HashAlgorithm::Sha256);
    assert_eq!(descriptor.references()[0].digest, Some(digest));
}

/// Each signing has put the digest of the leaf under its own algorithm into the reference, so that
/// only that of the last one is still there. The first tool puts them back in when it verifies.
#[test]
fn digests_signed_by_go_v1_are_reproduced() {
    let product = Descriptor::read_yaml(data!("go-tools/v1-product.yaml")).unwrap();
    let leaf = Descriptor::read_yaml(data!("go-tools/v1-leaf.yaml")).unwrap();
    for name in ["sig-v1", "sig-v2", "sig-v3"] {
        check_signed(&leaf, &[name]);
        let mut product = product.clone();
        product
            .set_reference_digest(0, &leaf.signature(name).unwrap().digest)
            .unwrap();
        check_signed(&product, &[name]);
    }
    check_signed(&product, &["sig-v3"]);
}

#[test]
fn an_independent_program_computes_the_same_digest() {
    let input = data!("normalisation/archive-of-v1/input.yaml");
    let descriptor = Descriptor::read_yaml(input).unwrap();
    for algorithm in [JsonV2, JsonV3, JsonV4Alpha1] {
        let digest = descriptor
            .normalise(algorithm)
            .digest(HashAlgorithm::Sha256);
        assert_eq!(
            digest.to_hex(),
            "928f77abdbcd5998440eea39b1ff1f23a27f7f0b29fbfcb2d239d0b6480f8c79"
        );
    }
}

#[test]
fn descriptors_of_go_v2_are_written_as_they_were() {
    for text in [
        data!("go-tools/v2-product.json"),
        data!("go-tools/v2-leaf.json"),
    ] {
        let descriptor = Descriptor::read_json(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(descriptor.write_json()).unwrap(), text);
        assert_eq!(descriptor.validate(), []);
    }
}

#[test]
fn descriptors_of_go_v1_follow_the_schema() {
    for text in [
        data!("go-tools/v1-product.yaml"),
        data!("go-tools/v1-leaf.yaml"),
        data!("normalisation/release/input.yaml"),
    ] {
        let descriptor = Descriptor::read_yaml(text).unwrap();
        assert_eq!(descriptor.validate(), []);
        assert_eq!(
            Descriptor::read_yaml(&descriptor.write_yaml()).unwrap(),
            descriptor
        );
    }
}

/// The diamond of the Go tests: top refers to two components that refer to the same one.
#[test]
fn digests_of_references_add_up_through_a_diamond() {
    let test = component("test", "data_a", "testdata A", &[]);
    let test_digest = digest(
        &test,
        "bdb62ce8299f10e230b91bc9a9bfdbf2d33147f205fcf736d802c7e1cec7b5e8",
    );
    let shared = ("ref", &test, test_digest);
    let left = component("ref", "data_b", "testdata B", std::slice::from_ref(&shared));
    let left_digest = digest(
        &left,
        "d1def1b60cc8b241451b0e3fccb705a9d99db188b72ec4548519017921700857",
    );
    let right = component("ref2", "data_c", "testdata C", &[shared]);
    let right_digest = digest(
        &right,
        "b376a7b440c0b1e506e54a790966119a8e229cf9226980b84c628d77ef06fc58",
    );
    let references = [("refb", &left, left_digest), ("refc", &right, right_digest)];
    let top = component("top", "data_d", "testdata D", &references);
    digest(
        &top,
        "64674d3e2843d36c603f44477e4cd66ee85fe1a91227bbcd271202429024ed61",
    );
}

fn component(
    name: &str,
    resource: &str,
    content: &str,
    references: &[(&str, &Descriptor, DigestSpec)],
) -> Descriptor {
    let name = format!("github.com/mandelsoft/{name}").parse().unwrap();
    let version: ocm_model::Version = "v1".parse().unwrap();
    let mut descriptor = Descriptor::new(name, version.clone(), &Provider::new("mandelsoft"));
    let access = Access::oci_artifact("not covered");
    let mut resource = Resource::new(resource, version, "PlainText", Relation::Local, access);
    resource.digest = Some(DigestSpec::generic_blob(
        &HashAlgorithm::Sha256.digest(content),
    ));
    descriptor.push_resource(&resource);
    for (name, target, digest) in references {
        let mut reference = Reference::new(name, target.id().clone());
        reference.digest = Some(digest.clone());
        descriptor.push_reference(&reference);
    }
    descriptor
}

#[track_caller]
fn digest(descriptor: &Descriptor, expected: &str) -> DigestSpec {
    let digest = descriptor
        .normalise(JsonV1)
        .digest_spec(HashAlgorithm::Sha256);
    assert_eq!(digest.value, expected);
    digest
}
