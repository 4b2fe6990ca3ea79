//! Signatures that other implementations can verify.

use std::fs;

use ocm::digest::HashAlgorithm;
use ocm::model::NormalisationAlgorithm;
use ocm::signing::SignOptions;
use ocm::signing::key::{KeyFormat, PrivateKey};
use ocm::{
    Error, KeyMaterial, Kind, SignRequest, SigningKeys, SigningMethod, Timestamp, VerifyOptions,
};

use crate::archive::{Archive, PRODUCT};

fn private(key: &PrivateKey) -> KeyMaterial {
    let pem = key.to_pem(KeyFormat::Pkcs8).unwrap();
    KeyMaterial::new("the private key", pem.expose())
}

fn public(key: &PrivateKey) -> KeyMaterial {
    let pem = key.public_key().to_pem(KeyFormat::Pkcs8);
    KeyMaterial::new("the public key", pem)
}

fn request(normalisation: NormalisationAlgorithm, key: &PrivateKey) -> SignRequest {
    SignRequest {
        options: SignOptions {
            name: normalisation.to_string(),
            normalisation,
            hash: HashAlgorithm::Sha256,
            replace: false,
        },
        method: SigningMethod::Algorithm("RSASSA-PKCS1-V1_5".to_owned()),
        keys: SigningKeys {
            private_key: Some(private(key)),
            ..SigningKeys::default()
        },
        ..SignRequest::default()
    }
}

/// Signs the product and returns the digest that the signature is of.
async fn sign(archive: &Archive, request: &SignRequest) -> Result<String, Error> {
    let report = archive.ocm.sign(&archive.located(PRODUCT), request).await?;
    Ok(report.signature.digest.value)
}

/// The digests that the first Go tool has signed, under each of its normalisations.
async fn signed_by_go(archive: &Archive) -> Vec<(NormalisationAlgorithm, String)> {
    let located = archive.located(PRODUCT);
    let repository = archive.ocm.open(&located.repository, ocm::Use::Read).await;
    let repository = repository.unwrap();
    let stored = repository.component_version(&located.id().unwrap()).await;
    let signatures = stored.unwrap().descriptor.signatures();
    let digests = signatures.into_iter().map(|signature| signature.digest);
    digests
        .map(|digest| {
            (
                digest.normalisation_algorithm.parse().unwrap(),
                digest.value,
            )
        })
        .collect()
}

#[tokio::test]
async fn under_a_normalisation_of_the_first_go_tool_the_same_is_signed_as_there() {
    let archive = Archive::made_by_go("v1-product");
    let expected = signed_by_go(&archive).await;
    assert_eq!(expected.len(), 3);
    let key = PrivateKey::generate_rsa(2048).unwrap();
    for (normalisation, digest) in expected {
        let signed = sign(&archive, &request(normalisation, &key)).await.unwrap();
        assert_eq!(signed, digest, "{normalisation}");
    }
}

#[tokio::test]
async fn signatures_under_several_normalisations_hold_beside_each_other() {
    let archive = Archive::made_by_go("v2-product");
    let key = PrivateKey::generate_rsa(2048).unwrap();
    let mut names = Vec::new();
    for normalisation in NormalisationAlgorithm::ALL {
        sign(&archive, &request(normalisation, &key)).await.unwrap();
        names.push(normalisation.to_string());
    }
    let mut options = VerifyOptions::with_key(public(&key), Timestamp::UNIX_EPOCH);
    options.signatures = names;
    let located = archive.located(PRODUCT);
    let report = archive.ocm.verify(&located, &options).await.unwrap();
    assert_eq!(report.signatures.len(), NormalisationAlgorithm::ALL.len());

    let go = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../conformance/go-tools/public.pem"
    );
    let mut options = VerifyOptions::with_key(
        KeyMaterial::new(go, fs::read(go).unwrap()),
        Timestamp::UNIX_EPOCH,
    );
    options.signatures = vec!["default".to_owned(), "pkcs1".to_owned()];
    let report = archive.ocm.verify(&located, &options).await.unwrap();
    assert_eq!(report.signatures.len(), 2);
}

#[tokio::test]
async fn what_is_referred_to_need_not_be_there_only_if_its_digest_is_believed() {
    let archive = Archive::made_by_go("v2-product");
    let index = archive.path().join("artifact-index.json");
    let text = fs::read_to_string(&index).unwrap();
    let leafless = text.replace("acme.org/bar/leaf", "acme.org/bar/other");
    assert_ne!(text, leafless);
    fs::write(&index, leafless).unwrap();
    let key = PrivateKey::generate_rsa(2048).unwrap();
    for (normalisation, verify) in [
        (NormalisationAlgorithm::JsonV4Alpha1, true),
        (NormalisationAlgorithm::JsonV3, true),
        // Digests of references are computed anew, whether they are believed or not.
        (NormalisationAlgorithm::JsonV3, false),
    ] {
        let mut request = request(normalisation, &key);
        request.verify = verify;
        let error = sign(&archive, &request).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{PRODUCT} refers to acme.org/bar/leaf:1.0.0, which cannot be read")
        );
        assert_eq!(Kind::of(&error), Kind::NotFound);
    }
    let mut request = request(NormalisationAlgorithm::JsonV4Alpha1, &key);
    request.verify = false;
    sign(&archive, &request).await.unwrap();
}
