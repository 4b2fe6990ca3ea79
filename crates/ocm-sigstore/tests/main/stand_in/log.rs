//! Transparency logs, with the trees of RFC 6962.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_digest::Digest;
use serde_json::{Value, json};
use url::Url;

/// How many entries are there before the first, so that proofs have something in them.
const OTHERS: usize = 5;

type Hash = [u8; 32];

fn hash(parts: &[&[u8]]) -> Hash {
    Digest::sha256(parts.concat())
        .as_bytes()
        .try_into()
        .unwrap()
}

/// The entries of a log, by their hashes.
struct Tree(Vec<Hash>);

impl Tree {
    fn new() -> Self {
        let others = (0..OTHERS).map(|number| hash(&[&[0], &number.to_be_bytes()]));
        Self(others.collect())
    }

    fn push(&mut self, body: &[u8]) -> usize {
        self.0.push(hash(&[&[0], body]));
        self.0.len() - 1
    }

    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [leaf] => *leaf,
            leaves => {
                let (left, right) = leaves.split_at(half(leaves.len()));
                hash(&[&[1], &Self::root(left), &Self::root(right)])
            }
        }
    }

    fn proof(leaves: &[Hash], index: usize) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(half(leaves.len()));
        let (mut proof, sibling) = if index < left.len() {
            (Self::proof(left, index), right)
        } else {
            (Self::proof(right, index - left.len()), left)
        };
        proof.push(Self::root(sibling));
        proof
    }

    /// The text of a checkpoint, without signatures.
    fn note(&self, origin: &str) -> String {
        let root = STANDARD.encode(Self::root(&self.0));
        format!("{origin}\n{}\n{root}\n", self.0.len())
    }
}

/// The largest power of two below a number.
const fn half(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// A line under a checkpoint.
fn signed_note(note: &str, name: &str, id: &[u8], signature: &[u8]) -> String {
    let line = STANDARD.encode([&id[..4], signature].concat());
    format!("{note}\n— {name} {line}\n")
}

/// Rekor of version 1.
pub(super) struct LogV1 {
    key: EcdsaKeyPair,
    origin: &'static str,
    tree: Tree,
    entries: BTreeMap<String, (usize, String, Timestamp)>,
    pub(super) time: Option<Timestamp>,
}

impl LogV1 {
    pub(super) fn new(origin: &'static str) -> Self {
        Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            origin,
            tree: Tree::new(),
            entries: BTreeMap::new(),
            time: None,
        }
    }

    /// Adds an entry, and returns it as the log answers; its identifier if it is there already.
    pub(super) fn add(&mut self, request: &Value) -> Result<Value, String> {
        let spec = &request["spec"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let hash = &spec["data"]["hash"];
        // Canonical JSON: sorted, without spaces.
        let body = format!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"{}","value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#,
            text(&hash["algorithm"]),
            text(&hash["value"]),
            text(&spec["signature"]["content"]),
            text(&spec["signature"]["publicKey"]["content"]),
        );
        let uuid = Digest::sha256(&body).to_hex();
        if self.entries.contains_key(&uuid) {
            return Err(uuid);
        }
        let index = self.tree.push(body.as_bytes());
        let time = self.time.unwrap_or_else(Timestamp::now);
        self.entries.insert(uuid.clone(), (index, body, time));
        Ok(self.entry(&uuid).unwrap())
    }

    pub(super) fn entry(&self, uuid: &str) -> Option<Value> {
        let (index, body, time) = self.entries.get(uuid)?;
        let (body, time) = (STANDARD.encode(body), time.as_second());
        let id = hex::encode(self.id());
        let promised = format!(
            r#"{{"body":"{body}","integratedTime":{time},"logID":"{id}","logIndex":{index}}}"#
        );
        let leaves = &self.tree.0;
        let proof = Tree::proof(leaves, *index);
        Some(json!({
            uuid: {
                "body": body,
                "integratedTime": time,
                "logID": id,
                "logIndex": index,
                "verification": {
                    "inclusionProof": {
                        "checkpoint": self.checkpoint(),
                        "hashes": proof.iter().map(hex::encode).collect::<Vec<_>>(),
                        "logIndex": index,
                        "rootHash": hex::encode(Tree::root(leaves)),
                        "treeSize": leaves.len(),
                    },
                    "signedEntryTimestamp": STANDARD.encode(self.sign(&promised)),
                },
            },
        }))
    }

    fn checkpoint(&self) -> String {
        let note = self.tree.note(self.origin);
        signed_note(&note, "rekor.test", &self.id(), &self.sign(&note))
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes());
        signature.unwrap().as_ref().to_vec()
    }

    fn spki(&self) -> Vec<u8> {
        let spki: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        spki.as_ref().to_vec()
    }

    fn id(&self) -> Hash {
        hash(&[&self.spki()])
    }

    pub(super) fn trusted(&self, url: &Url) -> Value {
        trusted(url, &self.spki(), "PKIX_ECDSA_P256_SHA_256", &self.id())
    }
}

/// Rekor of version 2, with its key of Ed25519.
pub(super) struct LogV2 {
    key: Ed25519KeyPair,
    origin: String,
    tree: Tree,
}

impl LogV2 {
    pub(super) fn new(origin: String) -> Self {
        Self {
            key: Ed25519KeyPair::generate().unwrap(),
            origin,
            tree: Tree::new(),
        }
    }

    /// Adds an entry, and returns it as bundles have it.
    pub(super) fn add(&mut self, request: &Value) -> Value {
        let request = &request["hashedRekordRequestV002"];
        let signature = &request["signature"];
        let verifier = &signature["verifier"];
        let of = |name: &str| {
            let raw = verifier[name]["rawBytes"].as_str()?;
            Some(format!(r#""{name}":{{"rawBytes":"{raw}"}}"#))
        };
        let details = verifier["keyDetails"].as_str().unwrap();
        let details = format!(r#""keyDetails":"{details}""#);
        let verifier = match of("x509Certificate") {
            Some(certificate) => format!("{details},{certificate}"),
            None => format!("{details},{}", of("publicKey").unwrap()),
        };
        let body = format!(
            r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{}"}},"signature":{{"content":"{}","verifier":{{{verifier}}}}}}}}}}}"#,
            request["digest"].as_str().unwrap(),
            signature["content"].as_str().unwrap(),
        );
        let index = self.tree.push(body.as_bytes());
        let leaves = &self.tree.0;
        let note = self.tree.note(&self.origin);
        let signature = self.key.sign(note.as_bytes());
        let checkpoint = signed_note(&note, &self.origin, &self.id(), signature.as_ref());
        let proof = Tree::proof(leaves, index);
        json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": STANDARD.encode(self.id())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionPromise": null,
            "inclusionProof": {
                "logIndex": index.to_string(),
                "rootHash": STANDARD.encode(Tree::root(leaves)),
                "treeSize": leaves.len().to_string(),
                "hashes": proof.iter().map(|it| STANDARD.encode(it)).collect::<Vec<_>>(),
                "checkpoint": {"envelope": checkpoint},
            },
            "canonicalizedBody": STANDARD.encode(body),
        })
    }

    /// The identifier of a key that signs notes.
    fn id(&self) -> Hash {
        let name = self.origin.as_bytes();
        hash(&[name, b"\n", &[1], self.key.public_key().as_ref()])
    }

    pub(super) fn trusted(&self, url: &Url) -> Value {
        let spki: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        trusted(url, spki.as_ref(), "PKIX_ED25519", &self.id())
    }
}

fn trusted(url: &Url, spki: &[u8], details: &str, id: &Hash) -> Value {
    json!({
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": STANDARD.encode(spki),
            "keyDetails": details,
            "validFor": {"start": "2024-01-01T00:00:00Z"},
        },
        "logId": {"keyId": STANDARD.encode(id)},
    })
}
