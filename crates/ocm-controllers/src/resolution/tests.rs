//! What the name of work depends on, and digests of references.

use std::sync::Arc;

use ocm::KeyMaterial;
use ocm::config::Config;
use ocm::digest::HashAlgorithm;
use ocm::model::{Provider, RepositorySpec, TypedSpec};

use super::*;
use crate::config::Loaded;

fn wanted() -> Wanted {
    let repository = TypedSpec::new("OCIRegistry/v1").with("baseUrl", "r.example");
    Wanted {
        place: Place {
            config: Loaded {
                config: Arc::new(Config::default()),
                hash: "c".to_owned(),
                sources: Vec::new(),
            },
            repository: RepositorySpec::try_from(repository).unwrap(),
        },
        id: "acme.org/a:1.0.0".parse().unwrap(),
        verifying: vec![verifying("a", "1"), verifying("b", "2")],
        digest: None,
    }
}

fn verifying(signature: &str, key: &str) -> Verifying {
    Verifying {
        signature: signature.to_owned(),
        key: KeyMaterial::new("a test", key),
    }
}

#[test]
fn what_is_wanted_is_named_by_everything_that_the_answer_depends_on() {
    type Change = fn(&mut Wanted);
    let key = wanted().key();
    let changes: [Change; 7] = [
        |it| it.place.config.hash = "d".to_owned(),
        |it| {
            let other = TypedSpec::new("OCIRegistry/v1").with("baseUrl", "s.example");
            it.place.repository = RepositorySpec::try_from(other).unwrap();
        },
        |it| it.id = "acme.org/a:1.0.1".parse().unwrap(),
        |it| it.id = "acme.org/b:1.0.0".parse().unwrap(),
        |it| it.verifying.truncate(1),
        |it| it.verifying = vec![verifying("a", "2"), verifying("b", "1")],
        |it| it.digest = Some(DigestSpec::default()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = wanted();
        change(&mut other);
        assert_ne!(other.key(), key, "change {number}");
    }
    let mut reordered = wanted();
    reordered.verifying.reverse();
    assert_eq!(reordered.key(), key);
}

#[test]
fn the_digest_of_a_reference_is_that_of_the_descriptor() {
    let id: ComponentVersionId = "acme.org/a:1.0.0".parse().unwrap();
    let provider = Provider::new("acme.org");
    let descriptor = Descriptor::new(id.name.clone(), id.version.clone(), &provider);
    let normalised = descriptor.normalise(NormalisationAlgorithm::JsonV4Alpha1);
    let stated = normalised.digest_spec(HashAlgorithm::Sha256);
    check_digest(&id, &descriptor, &stated).unwrap();

    let other = DigestSpec {
        value: "0".repeat(64),
        ..stated.clone()
    };
    let error = check_digest(&id, &descriptor, &other).unwrap_err();
    assert!(error.to_string().starts_with("digest mismatch"), "{error}");
    let unknown = DigestSpec {
        normalisation_algorithm: "mine".to_owned(),
        ..stated
    };
    let error = check_digest(&id, &descriptor, &unknown).unwrap_err();
    assert!(matches!(error, Error::UnknownDigest { .. }), "{error}");
}
