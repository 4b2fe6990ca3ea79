use ocm_digest::Digest;
use ocm_model::NormalisationAlgorithm;

use super::*;
use crate::verified::{Rules, SigningTime};

fn key(name: &str) -> Signatory {
    Signatory::Key {
        fingerprint: Digest::sha256(name),
    }
}

fn fingerprint(name: &str) -> String {
    Digest::sha256(name).to_string()
}

fn certificate(subject: &str) -> Signatory {
    Signatory::Certificate {
        subject: subject.to_owned(),
        issuer: "CN=ca,O=acme".to_owned(),
        fingerprint: Digest::sha256(subject),
    }
}

fn identity(identity: &str) -> Signatory {
    Signatory::Identity {
        identity: identity.to_owned(),
        issuer: "https://id.acme.org".to_owned(),
        time: None,
    }
}

fn holds(name: &str, signatory: Signatory) -> Outcome {
    Outcome {
        signature: name.to_owned(),
        result: Ok(Checked {
            signature: name.to_owned(),
            algorithm: "RSASSA-PSS".to_owned(),
            digest: Digest::sha256("content"),
            normalisation: NormalisationAlgorithm::JsonV4Alpha1,
            rules: Rules::Named,
            signatory,
            time: SigningTime::Unknown,
        }),
    }
}

fn fails(name: &str) -> Outcome {
    Outcome {
        signature: name.to_owned(),
        result: Err(format!("signature `{name}` is not valid")),
    }
}

fn policy(requirements: &[&str]) -> Policy {
    let parsed = requirements.iter().map(|text| text.parse().unwrap());
    Policy {
        require: parsed.collect(),
    }
}

/// Returns what is missing, or nothing.
fn missing(requirement: &str, outcomes: &[Outcome]) -> String {
    let decision = policy(&[requirement]).decide(outcomes);
    decision.map_or_else(|violations| violations.0[0].to_string(), |()| String::new())
}

#[test]
fn a_signature_of_a_name_must_hold() {
    let outcomes = [holds("release", key("a")), fails("audit")];
    assert_eq!(missing("release", &outcomes), "");
    assert_eq!(
        missing("audit", &outcomes),
        "signature `audit` is required (signature `audit` is not valid)"
    );
    assert_eq!(
        missing("qa", &outcomes),
        "signature `qa` is required (there is no signature `qa`)"
    );
}

#[test]
fn a_signature_must_be_by_whom_it_should() {
    let outcomes = [holds("release", key("a"))];
    let by = |name| format!("release: key={}", fingerprint(name));
    assert_eq!(missing(&by("a"), &outcomes), "");
    assert_eq!(
        missing(&by("b"), &outcomes),
        format!(
            "signature `release` by key {} is required (`release` is by key {})",
            fingerprint("b"),
            fingerprint("a")
        )
    );
}

#[test]
fn a_fact_that_a_signatory_does_not_have_is_not_met() {
    let outcomes = [holds("release", key("a"))];
    for fact in ["subject=CN=a", "issuer=CN=ca", "identity=*"] {
        assert_ne!(
            missing(&format!("release: {fact}"), &outcomes),
            "",
            "{fact}"
        );
    }
    let file = "release: key=release.pub";
    assert_ne!(missing(file, &outcomes), "", "a file that nobody has read");
}

#[test]
fn certificates_and_identities_are_told_by_their_facts() {
    let outcomes = [
        holds("release", certificate("CN=release,O=acme")),
        holds("build", identity("ci@acme.org")),
    ];
    for (requirement, is_met) in [
        ("release: subject=CN=release, O=acme", true),
        (
            "release: subject=CN=release, O=acme; issuer=CN=ca,O=acme",
            true,
        ),
        (
            "release: subject=CN=release, O=acme; issuer=CN=other",
            false,
        ),
        ("release: subject=CN=release", false),
        ("build: identity=ci@acme.org", true),
        (
            "build: identity=*@acme.org; issuer=https://id.acme.org",
            true,
        ),
        (
            "build: identity=*@acme.org; issuer=https://id.acme.org/",
            false,
        ),
        ("build: identity=*@acme.com", false),
        ("*: identity=ci@acme.org", true),
        ("*: identity=ci@acme.com", false),
    ] {
        assert_eq!(
            missing(requirement, &outcomes).is_empty(),
            is_met,
            "{requirement}"
        );
    }
}

#[test]
fn signatories_are_counted_not_signatures() {
    let twice = [holds("a", key("ann")), holds("b", key("ann"))];
    assert_eq!(
        missing("2", &twice),
        "signatures by 2 signatories of any signature is required, there is only 1"
    );
    let both = [holds("a", key("ann")), holds("b", key("bob")), fails("c")];
    assert_eq!(missing("2", &both), "");
    assert_ne!(missing("3", &both), "");
    assert_eq!(missing("2 of a, b, c", &both), "");
    assert_ne!(missing("2 of a, c", &both), "");
}

#[test]
fn an_identity_counts_once_whenever_it_signs() {
    let at = |second| Signatory::Identity {
        identity: "ann".to_owned(),
        issuer: "https://id.acme.org".to_owned(),
        time: jiff::Timestamp::from_second(second).ok(),
    };
    assert_ne!(missing("2", &[holds("a", at(1)), holds("b", at(2))]), "");
}

#[test]
fn the_key_of_a_certificate_is_the_key() {
    let renewed = Signatory::Certificate {
        subject: "CN=ann".to_owned(),
        issuer: "CN=ca".to_owned(),
        fingerprint: Digest::sha256("ann"),
    };
    let outcomes = [holds("a", key("ann")), holds("b", renewed)];
    assert_ne!(missing("2", &outcomes), "");
}

#[test]
fn every_requirement_that_is_not_met_is_named() {
    let decision = policy(&["a", "b", "2"]).decide(&[holds("a", key("ann"))]);
    let text = decision.unwrap_err().to_string();
    assert_eq!(
        text,
        "signature `b` is required (there is no signature `b`); \
         signatures by 2 signatories of any signature is required, there is only 1"
    );
}

#[test]
fn a_policy_without_requirements_is_met() {
    assert_eq!(Policy::default().decide(&[]), Ok(()));
}

#[test]
fn files_of_keys_are_read_for_the_signature_that_wants_them() {
    let mut policy = policy(&["release: key=release.pub", "*: key=other.pub", "qa"]);
    let mut asked = Vec::new();
    policy
        .resolve_keys(|path, signature| {
            asked.push((path.to_owned(), signature.map(str::to_owned)));
            Ok::<_, ()>(fingerprint(path))
        })
        .unwrap();
    assert_eq!(
        asked,
        [
            ("release.pub".to_owned(), Some("release".to_owned())),
            ("other.pub".to_owned(), None)
        ]
    );
    let outcomes = [
        holds("release", key("release.pub")),
        holds("x", key("other.pub")),
        holds("qa", key("qa")),
    ];
    assert_eq!(policy.decide(&outcomes), Ok(()));
}

#[test]
fn what_is_no_requirement_is_refused() {
    for (text, error) in [
        ("", ParseError::NoName),
        (": key=a", ParseError::NoName),
        ("0", ParseError::Zero),
        ("99999999999999999999", ParseError::Zero),
        ("2 of a,", ParseError::NoName),
        (
            "a: key",
            ParseError::Fact {
                fact: "key".to_owned(),
            },
        ),
        (
            "a: key=",
            ParseError::Fact {
                fact: "key=".to_owned(),
            },
        ),
        (
            "a: name=b",
            ParseError::Fact {
                fact: "name=b".to_owned(),
            },
        ),
        (
            "a: key=b; key=c",
            ParseError::Twice {
                fact: "key".to_owned(),
            },
        ),
    ] {
        assert_eq!(text.parse::<Requirement>(), Err(error), "{text}");
    }
}

#[test]
fn a_document_says_the_same_as_texts() {
    let document = serde_json::json!({"require": [
        {"signature": "release", "by": {"key": "release.pub"}},
        {"count": 2},
        {"count": 2, "of": [{"signature": "a"}, {"signature": "b"}]},
        {"by": {"identity": "*@acme.org", "issuer": "https://id.acme.org"}},
    ]});
    let texts = [
        "release: key=release.pub",
        "2",
        "2 of a, b",
        "*: identity=*@acme.org; issuer=https://id.acme.org",
    ];
    assert_eq!(
        serde_json::from_value::<Policy>(document).unwrap(),
        policy(&texts)
    );
}

#[test]
fn a_document_with_anything_else_is_refused() {
    for requirement in [
        serde_json::json!({}),
        serde_json::json!({"count": 0}),
        serde_json::json!({"count": -1}),
        serde_json::json!({"of": []}),
        serde_json::json!({"signature": "a", "of": [{"signature": "b"}]}),
        serde_json::json!({"signature": "a", "by": {"name": "b"}}),
        serde_json::json!({"signatures": ["a"]}),
    ] {
        let document = serde_json::json!({"require": [requirement]});
        assert!(
            serde_json::from_value::<Policy>(document.clone()).is_err(),
            "{document}"
        );
    }
    assert!(serde_json::from_value::<Policy>(serde_json::json!({})).is_err());
}

#[test]
fn stars_stand_for_any_text() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("*@acme.org", "ann@acme.org", true),
        ("*@acme.org", "ann@acme.org.evil", false),
        ("a*b*c", "a-b-c", true),
        ("a*b*c", "a-c", false),
        ("a*a", "a", false),
        (
            "https://acme.org/*/build@*",
            "https://acme.org/x/build@main",
            true,
        ),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn the_schema_has_the_fields_of_a_policy() {
    let schema = include_str!("../../../../docs/reference/verification-policy.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let fields = |name: &str| {
        let properties = schema["$defs"][name]["properties"].as_object().unwrap();
        properties.keys().cloned().collect::<Vec<_>>()
    };
    let is_field =
        |error: &str, name: &str| error.contains("unknown field") && error.contains(name);
    for (kind, known) in [
        ("requirement", ["signature", "by", "count", "of"].as_slice()),
        ("wanted", &["signature", "by"]),
        ("by", &["key", "subject", "issuer", "identity"]),
    ] {
        assert_eq!(fields(kind), known, "{kind}");
        let document = match kind {
            "requirement" => serde_json::json!({"require": [{"more": 1}]}),
            "wanted" => serde_json::json!({"require": [{"of": [{"more": 1}]}]}),
            _ => serde_json::json!({"require": [{"by": {"more": 1}}]}),
        };
        let error = serde_json::from_value::<Policy>(document).unwrap_err();
        for name in known {
            assert!(is_field(&error.to_string(), name), "{kind}: {error}");
        }
    }
}
