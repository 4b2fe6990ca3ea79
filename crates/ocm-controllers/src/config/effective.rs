//! Which secrets and config maps count for an object.

use std::collections::BTreeMap;

use crate::api::{API_VERSION, ConfigPolicy, ConfigReference, EffectiveConfig};

/// The object whose configuration is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Referrer<'a> {
    /// Its namespace, if it has one.
    pub namespace: Option<&'a str>,
    /// What its specification says.
    pub stated: Option<&'a [ConfigReference]>,
    /// The effective configuration of the object that it is made from, if there is one.
    pub parent: Option<&'a [EffectiveConfig]>,
}

/// Names an object of ours.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for one that is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// Names an object of a kind.
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns `namespace/name`, or the name alone of what is in no namespace.
    pub fn path(&self) -> String {
        if self.namespace.is_empty() {
            return self.name.clone();
        }
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Returns the configuration that counts for an object, in its order.
///
/// Who states nothing has what the parent hands on. Who states something has that alone: secrets
/// and config maps, and what the named objects hand on, under the policy of the entry that names
/// them. `objects` has the effective configuration of each of [`references`].
///
/// # Errors
///
/// An entry names nothing, or an object of which nothing is known.
pub fn effective(
    referrer: Referrer<'_>,
    objects: &BTreeMap<ObjectKey, Vec<EffectiveConfig>>,
) -> Result<Vec<EffectiveConfig>, EffectiveError> {
    let stated = referrer.stated.unwrap_or_default();
    if stated.is_empty() {
        let inherited = referrer.parent.unwrap_or_default().iter();
        return Ok(inherited.filter(|it| is_handed_on(it)).cloned().collect());
    }
    let mut entries = Vec::new();
    for (index, entry) in stated.iter().enumerate() {
        match target(entry, index, referrer.namespace)? {
            Target::Source(source) => entries.push(source),
            Target::Object(key) => {
                let known = objects.get(&key);
                let known = known.ok_or_else(|| EffectiveError::Unknown { key: key.clone() })?;
                let handed_on = known.iter().filter(|it| is_handed_on(it)).cloned();
                entries.extend(handed_on.map(|it| EffectiveConfig {
                    policy: entry.policy,
                    ..it
                }));
            }
        }
    }
    Ok(entries)
}

/// Returns the objects of ours that the entries of an object name.
///
/// # Errors
///
/// An entry names nothing.
pub fn references(referrer: Referrer<'_>) -> Result<Vec<ObjectKey>, EffectiveError> {
    let stated = referrer.stated.unwrap_or_default().iter().enumerate();
    let mut keys = Vec::new();
    for (index, entry) in stated {
        if let Target::Object(key) = target(entry, index, referrer.namespace)?
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// What an entry names.
enum Target {
    Source(EffectiveConfig),
    Object(ObjectKey),
}

fn target(
    entry: &ConfigReference,
    index: usize,
    namespace: Option<&str>,
) -> Result<Target, EffectiveError> {
    let (kind, name, stated) = match entry {
        ConfigReference {
            secret_ref: Some(secret),
            ..
        } => ("Secret", secret.name.as_str(), None),
        ConfigReference {
            config_map_ref: Some(config_map),
            ..
        } => ("ConfigMap", config_map.name.as_str(), None),
        ConfigReference {
            kind: Some(kind),
            name: Some(name),
            namespace,
            ..
        } => (kind.as_str(), name.as_str(), namespace.as_deref()),
        _ => return Err(EffectiveError::Nothing { index }),
    };
    if name.is_empty() {
        return Err(EffectiveError::Nothing { index });
    }
    let namespace = stated.filter(|it| !it.is_empty()).or(namespace);
    let namespace = namespace.ok_or_else(|| EffectiveError::NoNamespace {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })?;
    let api_version = entry.api_version.as_deref().filter(|it| !it.is_empty());
    match (api_version, kind) {
        (None | Some("v1"), "Secret" | "ConfigMap") => Ok(Target::Source(EffectiveConfig {
            api_version: Some("v1".to_owned()),
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            policy: entry.policy,
        })),
        (Some(API_VERSION), "Repository" | "Component" | "Resource") => {
            Ok(Target::Object(ObjectKey::new(kind, namespace, name)))
        }
        _ => Err(EffectiveError::Kind {
            kind: kind.to_owned(),
        }),
    }
}

fn is_handed_on(entry: &EffectiveConfig) -> bool {
    entry.policy == ConfigPolicy::Propagate
}

/// Why it is not known what counts for an object.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum EffectiveError {
    /// An entry names no object.
    #[error("ocmConfig[{index}] names no object")]
    Nothing { index: usize },
    /// An object without a namespace does not say in which one its configuration is.
    #[error("ocmConfig: {kind} {name} needs a namespace, as this object has none")]
    NoNamespace { kind: String, name: String },
    /// Objects of this kind have no configuration.
    #[error("unsupported reference kind: {kind}")]
    Kind { kind: String },
    /// The object has not been found.
    #[error("{} {} has no effective configuration yet", key.kind, key.path())]
    Unknown { key: ObjectKey },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LocalRef;

    fn used(name: &str, namespace: &str, policy: ConfigPolicy) -> EffectiveConfig {
        EffectiveConfig {
            api_version: Some("v1".to_owned()),
            kind: "Secret".to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            policy,
        }
    }

    fn entry(kind: &str, name: &str, policy: ConfigPolicy) -> ConfigReference {
        let ours = !matches!(kind, "Secret" | "ConfigMap");
        ConfigReference {
            api_version: ours.then(|| API_VERSION.to_owned()),
            kind: Some(kind.to_owned()),
            name: Some(name.to_owned()),
            policy,
            ..ConfigReference::default()
        }
    }

    fn of(stated: &[ConfigReference], parent: &[EffectiveConfig]) -> Vec<EffectiveConfig> {
        let key = ObjectKey::new("Repository", "a", "r");
        let objects = BTreeMap::from([(
            key,
            vec![
                used("open", "a", ConfigPolicy::Propagate),
                used("own", "a", ConfigPolicy::DoNotPropagate),
            ],
        )]);
        let referrer = Referrer {
            namespace: Some("a"),
            stated: Some(stated),
            parent: Some(parent),
        };
        effective(referrer, &objects).expect("entries that name objects")
    }

    #[test]
    fn who_states_nothing_has_what_the_parent_hands_on() {
        let parent = [
            used("x", "a", ConfigPolicy::Propagate),
            used("y", "a", ConfigPolicy::DoNotPropagate),
        ];
        assert_eq!(of(&[], &parent), [parent[0].clone()]);
    }

    #[test]
    fn who_states_something_has_nothing_of_the_parent() {
        let parent = [used("x", "a", ConfigPolicy::Propagate)];
        let stated = [entry("Secret", "s", ConfigPolicy::DoNotPropagate)];
        let expected = [used("s", "a", ConfigPolicy::DoNotPropagate)];
        assert_eq!(of(&stated, &parent), expected);
    }

    #[test]
    fn what_an_object_hands_on_has_the_policy_of_the_entry_that_names_it() {
        let stated = [entry("Repository", "r", ConfigPolicy::DoNotPropagate)];
        let expected = [used("open", "a", ConfigPolicy::DoNotPropagate)];
        assert_eq!(of(&stated, &[]), expected);
    }

    #[test]
    fn order_and_duplicates_are_kept() {
        let secret = entry("Secret", "s", ConfigPolicy::Propagate);
        let stated = [
            secret.clone(),
            entry("Repository", "r", ConfigPolicy::Propagate),
            secret,
        ];
        let names: Vec<_> = of(&stated, &[]).into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["s", "open", "s"]);
    }

    #[test]
    fn short_forms_stand_for_kinds() {
        let stated = [
            ConfigReference {
                secret_ref: Some(LocalRef { name: "s".into() }),
                ..ConfigReference::default()
            },
            ConfigReference {
                config_map_ref: Some(LocalRef { name: "c".into() }),
                ..ConfigReference::default()
            },
        ];
        let found = of(&stated, &[]);
        let found: Vec<_> = found.iter().map(|it| (&*it.kind, &*it.name)).collect();
        assert_eq!(found, [("Secret", "s"), ("ConfigMap", "c")]);
    }

    #[test]
    fn an_object_without_a_namespace_must_state_one() {
        let stated = [entry("Secret", "s", ConfigPolicy::Propagate)];
        let referrer = Referrer {
            namespace: None,
            stated: Some(&stated),
            parent: None,
        };
        let error = effective(referrer, &BTreeMap::new()).expect_err("no namespace");
        assert_eq!(
            error.to_string(),
            "ocmConfig: Secret s needs a namespace, as this object has none"
        );
    }

    #[test]
    fn objects_of_other_kinds_and_unknown_ones_are_refused() {
        for (entry, message) in [
            // The definition admits it, as that of the Go controllers.
            (
                entry("Replication", "r", ConfigPolicy::Propagate),
                "unsupported reference kind: Replication",
            ),
            (
                entry("Component", "c", ConfigPolicy::Propagate),
                "Component a/c has no effective configuration yet",
            ),
            (ConfigReference::default(), "ocmConfig[0] names no object"),
        ] {
            let referrer = Referrer {
                namespace: Some("a"),
                stated: Some(std::slice::from_ref(&entry)),
                parent: None,
            };
            let error = effective(referrer, &BTreeMap::new()).expect_err("refused");
            assert_eq!(error.to_string(), message);
        }
    }
}
