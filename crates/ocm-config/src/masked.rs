//! Configuration without its secrets, for people to look at.

use serde_json::{Map, Value};

const MASK: &str = "***";

/// Parts of a field name that announce a secret.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "private",
    "accesskey",
    "identity_token",
    "dockerconfig",
    "stringdata",
];

/// Masks an entry of a type.
pub(crate) fn entry(name: &str, value: &Value) -> Value {
    // The old tools keep credentials in several types, whose values have no telling names.
    let everywhere = name.contains("credentials.config") || name.contains("keys.config");
    mask(value, everywhere)
}

/// Masks what has a telling name and, with `credentials`, all that stands under `credentials`,
/// `properties` or `data`.
fn mask(value: &Value, credentials: bool) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), field(name, value, credentials)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.iter().map(|item| mask(item, credentials)).collect(),
        other => other.clone(),
    }
}

fn field(name: &str, value: &Value, credentials: bool) -> Value {
    if credentials && matches!(name, "credentials" | "properties" | "data") {
        return mask_all(value);
    }
    let lower = name.to_ascii_lowercase();
    // `dockerConfigFile` and `private_key_pem_file` are paths.
    let names_file = lower.ends_with("file");
    if !names_file && SECRET_WORDS.iter().any(|word| lower.contains(word)) {
        return mask_all(value);
    }
    mask(value, credentials)
}

/// Masks every value except types, user names and paths.
fn mask_all(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| {
                    let plain = matches!(name.as_str(), "type" | "username")
                        || name.to_ascii_lowercase().ends_with("file");
                    let value = match value {
                        Value::String(_) if plain => value.clone(),
                        other => mask_all(other),
                    };
                    (name.clone(), value)
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(mask_all).collect(),
        Value::Null => Value::Null,
        _ => Value::from(MASK),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_masked_and_identities_are_not() {
        let shown = entry(
            "credentials.config.ocm.software",
            &json!({
                "consumers": [{
                    "identity": {"type": "OCIRegistry", "hostname": "h"},
                    "credentials": [
                        {"type": "Credentials/v1", "properties": {"username": "u", "password": "p"}},
                        {"type": "RSACredentials/v1", "privateKeyPEMFile": "k.pem", "privateKeyPEM": "x"},
                    ],
                }],
                "repositories": [{"repository": {
                    "type": "DockerConfig/v1", "dockerConfig": "{}", "dockerConfigFile": "~/c",
                }}],
            }),
        );
        assert_eq!(
            shown,
            json!({
                "consumers": [{
                    "identity": {"type": "OCIRegistry", "hostname": "h"},
                    "credentials": [
                        {"type": "Credentials/v1", "properties": {"username": "u", "password": "***"}},
                        {"type": "RSACredentials/v1", "privateKeyPEMFile": "k.pem", "privateKeyPEM": "***"},
                    ],
                }],
                "repositories": [{"repository": {
                    "type": "DockerConfig/v1", "dockerConfig": "***", "dockerConfigFile": "~/c",
                }}],
            })
        );
    }

    #[test]
    fn telling_names_are_masked_in_unknown_types() {
        let shown = entry(
            "my.config",
            &json!({"a": [{"apiToken": {"x": 1}, "plain": 2}]}),
        );
        assert_eq!(
            shown,
            json!({"a": [{"apiToken": {"x": "***"}, "plain": 2}]})
        );
    }
}
