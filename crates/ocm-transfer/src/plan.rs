//! A transfer as data, before anything is written.
//!
//! ```yaml
//! type: transferPlan.ocm.software/v1alpha1
//! target: ./shop.ctf
//! options: {recursive: unlimited, copyResources: all, …}
//! componentVersions:                # children before those that refer to them
//! - componentVersion: acme.org/notes:1.0.0
//!   source: ghcr.io/acme
//!   sourceDigest: sha256:…          # of the stored form, to notice a change
//!   digest: {hashAlgorithm: SHA-256, normalisationAlgorithm: jsonNormalisation/v4alpha1, value: …}
//!   action: add                     # add | update | replace | skip
//!   reason: the target does not have it
//!   references: [acme.org/base:1.0.0]
//!   resources:
//!   - identity: {name: image, version: 1.0.0}
//!     accessType: ociArtifact/v1
//!     digest: {…}
//!     step: {type: copyByValue, referenceName: "acme/notes:1.0.0"}
//!   sources: []
//! totals: {componentVersions: 1, add: 1, contents: 1, …}
//! ```

use std::collections::BTreeSet;

use ocm_digest::Digest;
use ocm_model::{ComponentVersionId, DigestSpec, Identity};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::options::TransferOptions;
use crate::step::Step;

/// The largest plan that is read, in bytes.
pub const MAX_SIZE: usize = 64 * 1024 * 1024;

/// What is going to be transferred, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferPlan {
    /// Always [`TransferPlan::TYPE`].
    pub r#type: String,
    /// The repository that is written, as messages name it.
    pub target: String,
    /// What was asked for.
    pub options: TransferOptions,
    /// The component versions, children before those that refer to them.
    pub component_versions: Vec<VersionPlan>,
    /// How much there is to do.
    #[serde(default)]
    pub totals: Totals,
}

impl TransferPlan {
    /// The type of the document.
    pub const TYPE: &str = "transferPlan.ocm.software/v1alpha1";

    /// Reads a plan from JSON or YAML.
    ///
    /// # Errors
    ///
    /// [`Error::Plan`] if the bytes are too many or no plan, if a component version is planned
    /// twice, or before one that it refers to.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        // What is written here is JSON, some of which is no YAML: control characters in texts.
        if let Some(plan) = Self::from_json(bytes)? {
            return Ok(plan);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| Error::plan(error.to_string()))?;
        let plan: Self =
            ocm_model::yaml::from_str(text).map_err(|error| Error::plan(error.to_string()))?;
        plan.checked()
    }

    /// Reads a plan from JSON; `None` if it is none.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Option<Self>, Error> {
        if bytes.len() > MAX_SIZE {
            return Err(Error::plan(format!("it has more than {MAX_SIZE} bytes")));
        }
        match serde_json::from_slice::<Self>(bytes) {
            Ok(plan) => plan.checked().map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Checks a plan that was read, and counts anew.
    pub(crate) fn checked(mut self) -> Result<Self, Error> {
        self.check()?;
        self.totals = Totals::of(&self.component_versions);
        Ok(self)
    }

    /// Writes the plan as JSON, indented.
    pub fn write_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("text, numbers and lists can be written")
    }

    /// Returns the names of the repositories that are read.
    pub fn sources(&self) -> BTreeSet<&str> {
        let versions = self.component_versions.iter();
        versions.map(|version| version.source.as_str()).collect()
    }

    /// Checks what the types of the fields cannot say.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.r#type != Self::TYPE {
            return Err(Error::plan(format!(
                "its type is `{}`, not `{}`",
                self.r#type,
                Self::TYPE
            )));
        }
        let mut seen = BTreeSet::new();
        for version in &self.component_versions {
            let id = &version.id;
            if let Some(child) = version
                .references
                .iter()
                .find(|child| !seen.contains(*child))
            {
                return Err(Error::plan(format!(
                    "{id} stands before {child}, to which it refers"
                )));
            }
            if !seen.insert(id) {
                return Err(Error::plan(format!("{id} is planned twice")));
            }
            let has_digest = version.target_digest.is_some();
            if has_digest != matches!(version.action, Action::Update | Action::Replace) {
                return Err(Error::plan(format!(
                    "the target digest of {id} does not fit its action"
                )));
            }
        }
        Ok(())
    }
}

/// What is going to be done with one component version.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VersionPlan {
    /// The component version.
    #[serde(rename = "componentVersion", with = "id_text")]
    pub id: ComponentVersionId,
    /// The repository it comes from, as messages name it.
    pub source: String,
    /// What names its stored form there.
    pub source_digest: Digest,
    /// The digest of the component version, which a transfer never changes.
    pub digest: DigestSpec,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// What names the stored form at the target that is updated or replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_digest: Option<Digest>,
    /// The component versions of the plan to which this one refers.
    #[serde(with = "id_list")]
    pub references: Vec<ComponentVersionId>,
    /// The resources, in the order of the descriptor; none if the version is skipped.
    pub resources: Vec<ElementPlan>,
    /// The sources, in the order of the descriptor; none if the version is skipped.
    pub sources: Vec<ElementPlan>,
}

/// What is done with a component version.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is new at the target.
    Add,
    /// The target has it, and gains signatures, unsigned parts or content.
    Update,
    /// The target has it, and gets another in its place.
    Replace,
    /// Nothing.
    Skip,
}

/// What is going to be done with one resource or source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ElementPlan {
    /// Name, version and extra identity.
    pub identity: Identity,
    /// The type of the access at the source; empty if there is none.
    pub access_type: String,
    /// The digest that the descriptor states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestSpec>,
    /// The size of the content in bytes, if known before it is read; that of artifacts is, with
    /// everything they consist of, if the planner was told to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What is done.
    pub step: Step,
    /// Why that is not what one would expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Totals {
    /// Component versions.
    pub component_versions: u64,
    /// Component versions that are new.
    pub add: u64,
    /// Component versions that gain something.
    pub update: u64,
    /// Component versions that are replaced.
    pub replace: u64,
    /// Component versions that are left alone.
    pub skip: u64,
    /// Resources and sources whose content moves, if it is not there.
    pub contents: u64,
    /// The bytes of those whose size is known.
    pub size: u64,
}

impl Totals {
    pub(crate) fn of(versions: &[VersionPlan]) -> Self {
        let mut totals = Self::default();
        for version in versions {
            totals.component_versions += 1;
            *match version.action {
                Action::Add => &mut totals.add,
                Action::Update => &mut totals.update,
                Action::Replace => &mut totals.replace,
                Action::Skip => &mut totals.skip,
            } += 1;
            for element in version.resources.iter().chain(&version.sources) {
                if element.step.moves() {
                    totals.contents += 1;
                    totals.size = totals.size.saturating_add(element.size.unwrap_or_default());
                }
            }
        }
        totals
    }
}

/// Component versions as text.
pub(crate) mod id_text {
    use ocm_model::ComponentVersionId;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(
        id: &ComponentVersionId,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<ComponentVersionId, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Lists of component versions as text.
mod id_list {
    use ocm_model::ComponentVersionId;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        ids: &[ComponentVersionId],
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Vec<ComponentVersionId>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        texts
            .iter()
            .map(|text| text.parse().map_err(de::Error::custom))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, references: &[&str]) -> VersionPlan {
        VersionPlan {
            id: id.parse().unwrap(),
            source: "memory".to_owned(),
            source_digest: Digest::sha256(id),
            digest: DigestSpec::generic_blob(&Digest::sha256(id)),
            action: Action::Add,
            reason: "the target does not have it".to_owned(),
            target_digest: None,
            references: references.iter().map(|id| id.parse().unwrap()).collect(),
            resources: vec![ElementPlan {
                identity: "name=image,version=1.0.0".parse().unwrap(),
                access_type: "ociArtifact/v1".to_owned(),
                digest: None,
                size: Some(7),
                step: Step::CopyByValue {
                    reference_name: Some("acme/notes:1.0.0".to_owned()),
                },
                note: None,
            }],
            sources: Vec::new(),
        }
    }

    fn plan(component_versions: Vec<VersionPlan>) -> TransferPlan {
        TransferPlan {
            r#type: TransferPlan::TYPE.to_owned(),
            target: "memory".to_owned(),
            options: TransferOptions::default(),
            totals: Totals::of(&component_versions),
            component_versions,
        }
    }

    #[track_caller]
    fn check_refused(plan: &TransferPlan, message: &str) {
        let error = TransferPlan::read(plan.write_json().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn a_plan_reads_as_it_is_written() {
        let plan = plan(vec![
            version("a.org/b:1", &[]),
            version("a.org/a:1", &["a.org/b:1"]),
        ]);
        assert_eq!((plan.totals.contents, plan.totals.size), (2, 14));
        assert_eq!(
            TransferPlan::read(plan.write_json().as_bytes()).unwrap(),
            plan
        );
        let yaml = ocm_model::yaml::to_string(&plan).unwrap();
        assert_eq!(TransferPlan::read(yaml.as_bytes()).unwrap(), plan);
    }

    #[test]
    fn parents_before_their_children_are_refused() {
        check_refused(
            &plan(vec![
                version("a.org/a:1", &["a.org/b:1"]),
                version("a.org/b:1", &[]),
            ]),
            "a.org/a:1 stands before a.org/b:1",
        );
        check_refused(
            &plan(vec![version("a.org/a:1", &["a.org/a:1"])]),
            "stands before",
        );
    }

    #[test]
    fn a_version_planned_twice_is_refused() {
        check_refused(
            &plan(vec![version("a.org/a:1", &[]), version("a.org/a:1", &[])]),
            "planned twice",
        );
    }

    #[test]
    fn an_update_needs_what_it_updates() {
        let mut update = version("a.org/a:1", &[]);
        update.action = Action::Update;
        check_refused(&plan(vec![update]), "does not fit its action");
    }

    #[test]
    fn bytes_that_are_no_plan_are_refused() {
        for bytes in [
            &b""[..],
            b"{",
            b"[]",
            b"{}",
            b"\xff",
            b"type: x",
            b"{\"type\": 1}",
        ] {
            assert!(TransferPlan::read(bytes).is_err());
        }
        let mut other = plan(Vec::new());
        other.r#type = "transferPlan.ocm.software/v9".to_owned();
        check_refused(&other, "v9");
        let too_large = vec![b' '; MAX_SIZE + 1];
        assert!(TransferPlan::read(&too_large).is_err());
    }
}
