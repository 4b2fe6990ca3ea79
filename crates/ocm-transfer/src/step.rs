//! What is to be done with the content of one resource or source.

use ocm_ctf::{is_artifact_set, is_oci_layout};
use ocm_model::access::{AccessKind, Helm, LocalBlob, OciImage};
use ocm_model::{Access, DigestSpec, TypeName};
use ocm_oci::{ImageReference, RepositoryName, Tag, media_type};
use serde::{Deserialize, Serialize};

use crate::options::{ResourceCopy, TransferOptions, UploadAs};

/// What is to be done with the content of one resource or source.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Step {
    /// The access stays as it is; no content moves.
    Keep,
    /// The target has the content where it is asked for.
    Present,
    /// A local blob becomes a local blob at the target.
    CopyLocalBlob,
    /// Content from elsewhere becomes a local blob at the target.
    CopyByValue {
        /// The name under which it may be uploaded elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference_name: Option<String>,
    },
    /// An OCI artifact gets a repository of its own beside the components.
    UploadArtifact {
        /// The repository, below the prefix of the target.
        path: RepositoryName,
        /// The tag there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
    },
}

impl Step {
    /// Returns whether content moves.
    pub const fn moves(&self) -> bool {
        !matches!(self, Self::Keep | Self::Present)
    }
}

/// A step, and what the user should know about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// The step.
    pub step: Step,
    /// Why it is not what one would expect.
    pub note: Option<String>,
    /// Whether the content was to be copied, and cannot be: the note says why.
    pub is_beyond_reach: bool,
}

/// Chooses what is to be done with a resource. `fetchable` tells whether there is a way to read
/// content with this access, apart from local blobs.
pub fn resource_step(
    name: &str,
    access: Option<&Access>,
    digest: Option<&DigestSpec>,
    fetchable: bool,
    options: &TransferOptions,
) -> Choice {
    let copy = options.copy_resources;
    choose(name, access, digest, fetchable, options, copy)
}

/// Takes a step that has been chosen already, if it can be done.
pub(crate) fn given_step(given: &Step, access: Option<&Access>, fetchable: bool) -> Choice {
    match access {
        Some(access) if given.moves() && !access.is_local() && !fetchable => unreadable(access),
        _ => step(given.clone()),
    }
}

fn unreadable(access: &Access) -> Choice {
    let reason = format!("access type `{}` cannot be read", access.type_text());
    Choice {
        is_beyond_reach: true,
        ..noted(Step::Keep, reason)
    }
}

/// Chooses what is to be done with a source, as [`resource_step`] does.
pub fn source_step(
    name: &str,
    access: Option<&Access>,
    fetchable: bool,
    options: &TransferOptions,
) -> Choice {
    choose(name, access, None, fetchable, options, options.copy_sources)
}

fn choose(
    name: &str,
    access: Option<&Access>,
    digest: Option<&DigestSpec>,
    fetchable: bool,
    options: &TransferOptions,
    copy: ResourceCopy,
) -> Choice {
    let Some(access) = access else {
        return step(Step::Keep);
    };
    let kind = match access.kind() {
        Ok(kind) => kind,
        Err(error) => {
            let reason = format!("its access cannot be read: {error}");
            return Choice {
                is_beyond_reach: copy == ResourceCopy::All
                    && !is_omitted(access, &options.omit_access_types),
                ..noted(Step::Keep, reason)
            };
        }
    };
    if let Some(blob) = access.as_local_blob() {
        return local_step(&blob, digest, options.upload_as);
    }
    match &kind {
        AccessKind::None => return step(Step::Keep),
        // It would hold nowhere else.
        AccessKind::RelativeOciReference(reference) => {
            let name = reference.split('@').next().unwrap_or_default();
            return artifact_step(name, options.upload_as);
        }
        _ => {}
    }
    if copy == ResourceCopy::LocalOnly || is_omitted(access, &options.omit_access_types) {
        return step(Step::Keep);
    }
    if !fetchable {
        return unreadable(access);
    }
    match &kind {
        AccessKind::OciImage(image) => image_step(name, image, options.upload_as),
        AccessKind::Helm(chart) => artifact_step(&chart_name(chart), options.upload_as),
        // The names by which the first generation of the tools uploads them again.
        AccessKind::Npm(npm) => by_value(&format!("{}:{}", npm.package, npm.version)),
        AccessKind::Maven(maven) if maven.classifier.is_none() && maven.extension.is_none() => {
            by_value(&format!(
                "{}:{}:{}",
                maven.group_id, maven.artifact_id, maven.version
            ))
        }
        _ => by_value(name),
    }
}

fn local_step(blob: &LocalBlob, digest: Option<&DigestSpec>, upload_as: UploadAs) -> Choice {
    let (Some(name), UploadAs::OciArtifact, true) = (
        &blob.reference_name,
        upload_as,
        holds_artifact(&blob.media_type),
    ) else {
        return step(Step::CopyLocalBlob);
    };
    if is_artifact_set(&blob.media_type) && digest.is_some_and(is_of_bytes) {
        let note = "its digest is that of an archive with an artifact, so it stays one";
        return noted(Step::CopyLocalBlob, note.to_owned());
    }
    match upload(name) {
        Some(upload) => step(upload),
        None => noted(Step::CopyLocalBlob, not_a_repository(name)),
    }
}

/// Returns whether a local blob of a media type is an OCI artifact, or an archive with one.
pub(crate) fn holds_artifact(media_type: &str) -> bool {
    media_type::is_manifest(media_type) || is_oci_layout(media_type) || is_artifact_set(media_type)
}

/// Returns whether a digest is that of the bytes of a blob.
fn is_of_bytes(digest: &DigestSpec) -> bool {
    digest.normalisation_algorithm == DigestSpec::GENERIC_BLOB
}

fn image_step(name: &str, image: &OciImage, upload_as: UploadAs) -> Choice {
    match image.image_reference.parse::<ImageReference>() {
        Ok(reference) => {
            let tag = reference
                .tag
                .map(|tag| format!(":{tag}"))
                .unwrap_or_default();
            artifact_step(&format!("{}{tag}", reference.repository), upload_as)
        }
        // Whoever fetches it may understand what is no reference here.
        Err(_) => by_value(name),
    }
}

fn artifact_step(reference_name: &str, upload_as: UploadAs) -> Choice {
    let copy = Step::CopyByValue {
        reference_name: Some(reference_name.to_owned()),
    };
    match upload_as {
        UploadAs::LocalBlob => step(copy),
        UploadAs::OciArtifact => match upload(reference_name) {
            Some(upload) => step(upload),
            None => noted(copy, not_a_repository(reference_name)),
        },
    }
}

fn by_value(name: &str) -> Choice {
    step(Step::CopyByValue {
        reference_name: Some(name.to_owned()),
    })
}

/// Returns the name of a chart as OCI registries have it: the path of its repository, its name,
/// and its version, whose `+` a tag cannot have (Helm, "OCI-based registries").
fn chart_name(chart: &Helm) -> String {
    let rest = chart
        .repository
        .split_once("://")
        .map_or(chart.repository.as_str(), |(_, rest)| rest);
    let path = rest
        .split_once('/')
        .map_or("", |(_, path)| path)
        .trim_matches('/');
    let separator = if path.is_empty() { "" } else { "/" };
    let version = chart
        .chart_version()
        .map(|version| format!(":{}", version.replace('+', "_")));
    format!(
        "{path}{separator}{}{}",
        chart.chart_name(),
        version.unwrap_or_default()
    )
}

/// Reads `path[:tag][@digest]`.
pub(crate) fn upload(reference_name: &str) -> Option<Step> {
    let name = reference_name
        .split_once('@')
        .map_or(reference_name, |(name, _)| name);
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag.parse().ok()?)),
        _ => (name, None),
    };
    let path = path.parse().ok()?;
    Some(Step::UploadArtifact { path, tag })
}

fn not_a_repository(name: &str) -> String {
    format!("`{name}` names no OCI repository, so it becomes a local blob")
}

/// Compares the names of types; one without version stands for all of its versions.
fn is_omitted(access: &Access, omitted: &[String]) -> bool {
    let text = access.type_text();
    let name = text.parse::<TypeName>().ok();
    omitted
        .iter()
        .any(|omitted| omitted == text || name.as_ref().is_some_and(|name| name.name() == omitted))
}

const fn step(step: Step) -> Choice {
    Choice {
        step,
        note: None,
        is_beyond_reach: false,
    }
}

const fn noted(step: Step, note: String) -> Choice {
    Choice {
        step,
        note: Some(note),
        is_beyond_reach: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const IMAGE: &str = media_type::IMAGE_MANIFEST;

    fn options(copy: ResourceCopy, upload_as: UploadAs) -> TransferOptions {
        TransferOptions {
            copy_resources: copy,
            upload_as,
            ..TransferOptions::default()
        }
    }

    fn choice(access: Value, options: &TransferOptions) -> Choice {
        let access = Access::from_json(access).unwrap();
        resource_step("image", Some(&access), None, true, options)
    }

    /// Checks the step without copying, copied as local blob, and copied as OCI artifact.
    #[track_caller]
    fn check(access: &Value, kept: &Step, local: &Step, artifact: &Step) {
        for (copy, upload_as, expected) in [
            (ResourceCopy::LocalOnly, UploadAs::LocalBlob, kept),
            (ResourceCopy::All, UploadAs::LocalBlob, local),
            (ResourceCopy::All, UploadAs::OciArtifact, artifact),
        ] {
            let choice = choice(access.clone(), &options(copy, upload_as));
            assert_eq!(choice.step, *expected, "{access} {copy:?} {upload_as:?}");
        }
    }

    fn by_value(name: &str) -> Step {
        Step::CopyByValue {
            reference_name: Some(name.to_owned()),
        }
    }

    fn upload(path: &str, tag: &str) -> Step {
        Step::UploadArtifact {
            path: path.parse().unwrap(),
            tag: Some(tag.parse().unwrap()),
        }
    }

    fn local(media_type: &str, reference_name: Option<&str>) -> Value {
        let mut access =
            json!({"type": "localBlob", "localReference": "sha256:0", "mediaType": media_type});
        if let Some(name) = reference_name {
            access["referenceName"] = name.into();
        }
        access
    }

    #[test]
    fn packages_keep_the_names_of_their_registries() {
        let options = options(ResourceCopy::All, UploadAs::LocalBlob);
        let npm =
            json!({"type": "npm", "registry": "https://r", "package": "@a/b", "version": "1"});
        assert_eq!(choice(npm, &options).step, by_value("@a/b:1"));
        let mut maven = json!({"type": "maven", "repoUrl": "https://r", "groupId": "g",
            "artifactId": "a", "version": "1"});
        assert_eq!(choice(maven.clone(), &options).step, by_value("g:a:1"));
        maven["extension"] = "jar".into();
        assert_eq!(choice(maven, &options).step, by_value("image"));
    }

    #[test]
    fn local_blobs_are_always_copied() {
        let copy = &Step::CopyLocalBlob;
        check(&local("text/plain", Some("a/b:1")), copy, copy, copy);
        check(&local(IMAGE, None), copy, copy, copy);
        check(
            &local(IMAGE, Some("a/b:1")),
            copy,
            copy,
            &upload("a/b", "1"),
        );
        check(
            &json!({"type": "localOciBlob", "digest": "sha256:0"}),
            copy,
            copy,
            copy,
        );
        check(
            &json!({"type": "localFilesystemBlob", "fileName": "sha256.0"}),
            copy,
            copy,
            copy,
        );
    }

    #[test]
    fn artifact_sets_are_uploaded_where_their_digest_is_not_that_of_their_bytes() {
        let set = local("application/vnd.oci.image.index.v1+tar+gzip", Some("a/b:1"));
        let access = Access::from_json(set).unwrap();
        let digest = ocm_digest::Digest::sha256("");
        let options = options(ResourceCopy::LocalOnly, UploadAs::OciArtifact);
        for (spec, expected) in [
            (None, upload("a/b", "1")),
            (Some(DigestSpec::oci_artifact(&digest)), upload("a/b", "1")),
            (Some(DigestSpec::generic_blob(&digest)), Step::CopyLocalBlob),
        ] {
            let choice = resource_step("image", Some(&access), spec.as_ref(), true, &options);
            assert_eq!(choice.step, expected, "{spec:?}");
            assert_eq!(choice.note.is_some(), expected == Step::CopyLocalBlob);
        }
    }

    #[test]
    fn images_are_named_without_their_host() {
        let image = |reference: &str| json!({"type": "OCIImage", "imageReference": reference});
        let digest = ocm_digest::Digest::sha256("");
        check(
            &image(&format!("ghcr.io/acme/notes:1.0@{digest}")),
            &Step::Keep,
            &by_value("acme/notes:1.0"),
            &upload("acme/notes", "1.0"),
        );
        check(
            &image(&format!("ghcr.io:443/acme/notes@{digest}")),
            &Step::Keep,
            &by_value("acme/notes"),
            &Step::UploadArtifact {
                path: "acme/notes".parse().unwrap(),
                tag: None,
            },
        );
    }

    #[test]
    fn charts_are_named_by_the_path_of_their_repository() {
        let chart = |repository: &str, chart: &str| json!({"type": "helm", "helmRepository": repository, "helmChart": chart});
        check(
            &chart("https://charts.acme.org/stable/", "notes:1.0.0+1"),
            &Step::Keep,
            &by_value("stable/notes:1.0.0_1"),
            &upload("stable/notes", "1.0.0_1"),
        );
        check(
            &chart("https://charts.acme.org", "Notes:1.0.0"),
            &Step::Keep,
            &by_value("Notes:1.0.0"),
            &by_value("Notes:1.0.0"),
        );
    }

    #[test]
    fn other_content_becomes_a_local_blob_named_by_the_resource() {
        for access in [
            json!({"type": "wget", "url": "https://acme.org/x"}),
            json!({"type": "gitHub", "repoUrl": "https://github.com/acme/x"}),
            json!({"type": "acme.org/own/v1"}),
            json!({"type": "acmeOwn/v1"}),
        ] {
            check(&access, &Step::Keep, &by_value("image"), &by_value("image"));
        }
    }

    #[test]
    fn nothing_is_kept_as_nothing() {
        check(
            &json!({"type": "none"}),
            &Step::Keep,
            &Step::Keep,
            &Step::Keep,
        );
    }

    #[test]
    fn what_nobody_can_read_is_beyond_reach_where_it_is_asked_for() {
        let malformed = json!({"type": "ociArtifact/v1"});
        for (access, named) in [
            (json!({"type": "acmeOwn/v1"}), "`acmeOwn/v1`"),
            (malformed, "imageReference"),
        ] {
            let access = Access::from_json(access).unwrap();
            let mut options = options(ResourceCopy::All, UploadAs::LocalBlob);
            let choice = |options: &_| resource_step("image", Some(&access), None, false, options);
            let wanted = choice(&options);
            assert_eq!((wanted.step, wanted.is_beyond_reach), (Step::Keep, true));
            assert!(wanted.note.unwrap().contains(named));
            options.omit_access_types = vec![access.type_text().to_owned()];
            assert!(!choice(&options).is_beyond_reach);
            options = TransferOptions::default();
            assert!(!choice(&options).is_beyond_reach);
        }
    }

    #[test]
    fn omitted_types_are_kept_with_or_without_version() {
        let image = json!({"type": "ociArtifact/v1", "imageReference": "ghcr.io/a:1"});
        for (omitted, expected) in [
            ("ociArtifact", Step::Keep),
            ("ociArtifact/v1", Step::Keep),
            ("ociArtifact/v2", by_value("a:1")),
        ] {
            let mut options = options(ResourceCopy::All, UploadAs::LocalBlob);
            options.omit_access_types = vec![omitted.to_owned()];
            assert_eq!(choice(image.clone(), &options).step, expected);
            assert_eq!(
                choice(local(IMAGE, None), &options).step,
                Step::CopyLocalBlob
            );
        }
    }

    #[test]
    fn sources_have_a_switch_of_their_own() {
        let access =
            Access::from_json(json!({"type": "wget", "url": "https://acme.org/x"})).unwrap();
        let mut options = options(ResourceCopy::All, UploadAs::LocalBlob);
        assert_eq!(
            source_step("src", Some(&access), true, &options).step,
            Step::Keep
        );
        options.copy_sources = ResourceCopy::All;
        assert_eq!(
            source_step("src", Some(&access), true, &options).step,
            by_value("src")
        );
    }

    #[test]
    fn names_that_are_no_repository_stay_local_with_a_note() {
        let options = options(ResourceCopy::LocalOnly, UploadAs::OciArtifact);
        let choice = choice(local(IMAGE, Some("No Repository")), &options);
        assert_eq!(choice.step, Step::CopyLocalBlob);
        assert!(choice.note.is_some());
    }
}
