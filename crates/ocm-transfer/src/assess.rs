//! From two descriptors to what is to be done: the decision, and a step for each content.

use ocm_model::access::AccessKind;
use ocm_model::element::Element as _;
use ocm_model::{Access, Descriptor, DigestSpec, ElementKind, Identity};
use ocm_oci::{ImageReference, PlatformFilter};
use ocm_repository::{AccessMethods, platforms_of};
use serde_json::Value;

use crate::contents::{Accesses, Incoming};
use crate::decide::{Decision, Difference, decide};
use crate::error::{BeyondReach, ElementId};
use crate::options::{TransferOptions, UploadAs};
use crate::plan::{Action, ElementPlan};
use crate::platforms::asked_of;
use crate::step::{Choice, Step, given_step, holds_artifact, resource_step, source_step};

/// What is to be done with a component version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assessment {
    pub(crate) action: Action,
    pub(crate) reason: String,
    pub(crate) resources: Vec<ElementPlan>,
    pub(crate) sources: Vec<ElementPlan>,
    /// What was to be copied and cannot be.
    pub(crate) beyond_reach: Vec<BeyondReach>,
    /// The artifacts that the target has.
    pub(crate) held: Vec<Held>,
}

/// An artifact that the target has. Something may have been attached to it at the source since.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) kind: ElementKind,
    /// The place of the element among those of its kind.
    pub(crate) index: usize,
    /// How the target has got it.
    pub(crate) step: Step,
    /// Where the target has it.
    pub(crate) there: Access,
}

/// Decides what is to be done. `given` has steps for resources for which it is not the options
/// that say it, in the order of the descriptor.
///
/// # Errors
///
/// The target has other content, which must not be replaced.
pub(crate) fn assess(
    existing: Option<&Descriptor>,
    incoming: &Incoming<'_>,
    options: &TransferOptions,
    access: &AccessMethods,
    given: &[Option<Step>],
) -> Result<Assessment, Difference> {
    let decision = decide(existing, incoming.descriptor, options.existing);
    let (action, reason) = match decision {
        Decision::Refuse(difference) => return Err(difference),
        Decision::Add => (Action::Add, "the target does not have it".to_owned()),
        Decision::Replace(None) => (Action::Replace, "it is written again as asked".to_owned()),
        Decision::Replace(Some(difference)) => {
            let reason = format!("the target has another, which differs in {difference}");
            (Action::Replace, reason)
        }
        Decision::Skip { same: false } => {
            return Ok(skip("the target has a component version of this name"));
        }
        Decision::Skip { same: true } => (Action::Skip, String::new()),
        Decision::Update(merged) => (Action::Update, news(existing, &merged)),
    };
    // What the target has is only of use where it is the same content.
    let same = existing.filter(|_| matches!(action, Action::Skip | Action::Update));
    let same = same.map(Accesses::of).unwrap_or_default();
    let elements = elements(&same, incoming, options, access, given);
    if action == Action::Skip {
        return Ok(same_at_target(elements));
    }
    Ok(elements.with(action, reason))
}

/// Decides what is to be done where the target has a copy of what comes, in which nothing but
/// accesses differs. That need not be found out once more, which takes most of the time of a
/// transfer that has nothing to do.
pub(crate) fn assess_copy(
    copy: &Accesses,
    incoming: &Incoming<'_>,
    options: &TransferOptions,
    access: &AccessMethods,
    given: &[Option<Step>],
) -> Assessment {
    if given.is_empty() && stays_local(copy, options) {
        return skip(SAME);
    }
    same_at_target(elements(copy, incoming, options, access, given))
}

/// Tells whether a copy has all content in local blobs, where it is to stay: the usual case, in which
/// nothing has to be chosen element by element. What comes has local blobs where a copy has them.
fn stays_local(copy: &Accesses, options: &TransferOptions) -> bool {
    let holds_no_artifact = |access: &Access| {
        let media_type = access.as_spec().field("mediaType").and_then(Value::as_str);
        media_type.is_some_and(|media_type| !holds_artifact(media_type))
    };
    let is_plain = |access: &Access| {
        access.is_local_blob()
            && access.kind().is_ok()
            && access.platforms().is_none()
            && holds_no_artifact(access)
    };
    let mut all = copy.resources.iter().chain(&copy.sources);
    options.upload_as == UploadAs::LocalBlob
        && all.all(|access| access.as_ref().is_some_and(is_plain))
}

/// Says what is to be done where the target has all but maybe some content.
fn same_at_target(elements: Elements) -> Assessment {
    let mut all = elements.resources.iter().chain(&elements.sources);
    if all.any(|element| element.step.moves()) {
        let reason = "the target has the same, but not all content by value";
        return elements.with(Action::Update, reason.to_owned());
    }
    if elements.held.is_empty() {
        return Assessment {
            beyond_reach: elements.beyond_reach,
            ..skip(SAME)
        };
    }
    elements.with(Action::Skip, SAME.to_owned())
}

/// Why nothing is done.
const SAME: &str = "the target has the same";

fn skip(reason: &str) -> Assessment {
    Assessment {
        action: Action::Skip,
        reason: reason.to_owned(),
        resources: Vec::new(),
        sources: Vec::new(),
        beyond_reach: Vec::new(),
        held: Vec::new(),
    }
}

/// Says what an update brings.
fn news(existing: Option<&Descriptor>, merged: &Descriptor) -> String {
    let old = existing.map(Descriptor::signatures).unwrap_or_default();
    let new: Vec<String> = merged
        .signatures()
        .iter()
        .filter(|signature| !old.contains(signature))
        .map(|signature| format!("`{}`", signature.name))
        .collect();
    if new.is_empty() {
        "the target has the same content, but other parts that are not signed".to_owned()
    } else {
        format!(
            "the target has the same content without the signatures {}",
            new.join(", ")
        )
    }
}

/// What is to be done with the content of a component version.
#[derive(Default)]
struct Elements {
    resources: Vec<ElementPlan>,
    sources: Vec<ElementPlan>,
    beyond_reach: Vec<BeyondReach>,
    held: Vec<Held>,
}

impl Elements {
    fn with(self, action: Action, reason: String) -> Assessment {
        let Self {
            resources,
            sources,
            beyond_reach,
            held,
        } = self;
        Assessment {
            action,
            reason,
            resources,
            sources,
            beyond_reach,
            held,
        }
    }
}

/// Says what is to be done with the content, given what of it the target has.
fn elements(
    there: &Accesses,
    incoming: &Incoming<'_>,
    options: &TransferOptions,
    methods: &AccessMethods,
    given: &[Option<Step>],
) -> Elements {
    let fetchable = |access: Option<&Access>| {
        // What is local is read from the source itself.
        let elsewhere = access.filter(|access| !access.is_local());
        elsewhere.is_some_and(|access| methods.method(access, "reading").is_ok())
    };
    let mut beyond_reach = Vec::new();
    let mut check = |kind, element: &ElementPlan, is_beyond_reach: bool| {
        if is_beyond_reach && element.step != Step::Present {
            beyond_reach.push(BeyondReach {
                id: incoming.id().clone(),
                element: ElementId {
                    kind,
                    identity: element.identity.clone(),
                },
                access_type: element.access_type.clone(),
                reason: element.note.clone().unwrap_or_default(),
            });
        }
    };
    let mut held = Vec::new();
    let mut note_held =
        |kind, index, element: &ElementPlan, step: Step, at_target: Option<&Access>| {
            if let Some(there) = at_target
                && element.step == Step::Present
                && step.moves()
                && may_be_artifact(there)
            {
                let there = there.clone();
                held.push(Held {
                    kind,
                    index,
                    step,
                    there,
                });
            }
        };
    let mut resources = Vec::with_capacity(incoming.resources().len());
    for (index, resource) in incoming.resources().iter().enumerate() {
        let access = resource.access.as_ref();
        let digest = resource.digest.as_ref();
        let fetchable = fetchable(access);
        let choice = match given.get(index) {
            Some(Some(step)) => given_step(step, access, fetchable),
            _ => resource_step(&resource.name, access, digest, fetchable, options),
        };
        let is_beyond_reach = choice.is_beyond_reach;
        let step = choice.step.clone();
        // Where the same is covered by signatures, element by element corresponds.
        let at_target = there.resources.get(index).and_then(Option::as_ref);
        let element = element(
            resource.identity(),
            access,
            digest,
            choice,
            at_target,
            options,
        );
        check(ElementKind::Resource, &element, is_beyond_reach);
        note_held(ElementKind::Resource, index, &element, step, at_target);
        resources.push(element);
    }
    let mut sources = Vec::with_capacity(incoming.sources().len());
    for (index, source) in incoming.sources().iter().enumerate() {
        let access = source.access.as_ref();
        let choice = source_step(&source.name, access, fetchable(access), options);
        let is_beyond_reach = choice.is_beyond_reach;
        let step = choice.step.clone();
        let at_target = there.sources.get(index).and_then(Option::as_ref);
        let element = element(source.identity(), access, None, choice, at_target, options);
        check(ElementKind::Source, &element, is_beyond_reach);
        note_held(ElementKind::Source, index, &element, step, at_target);
        sources.push(element);
    }
    Elements {
        resources,
        sources,
        beyond_reach,
        held,
    }
}

/// Returns whether there may be an OCI artifact behind an access.
fn may_be_artifact(access: &Access) -> bool {
    match access.kind() {
        Ok(AccessKind::OciImage(_)) => true,
        Ok(AccessKind::LocalBlob(blob)) => holds_artifact(&blob.media_type),
        _ => false,
    }
}

fn element(
    identity: Identity,
    access: Option<&Access>,
    digest: Option<&DigestSpec>,
    choice: Choice,
    at_target: Option<&Access>,
    options: &TransferOptions,
) -> ElementPlan {
    let is_present = match (at_target, access) {
        // Whoever brought it could read it.
        (Some(at_target), _) if choice.is_beyond_reach => at_target.is_local_blob(),
        (Some(at_target), Some(access)) => {
            is_satisfied(&choice.step, access, at_target)
                && has_platforms(access, at_target, &options.platforms)
        }
        _ => false,
    };
    let (step, note) = if is_present {
        (
            Step::Present,
            choice.note.filter(|_| !choice.is_beyond_reach),
        )
    } else {
        (choice.step, choice.note)
    };
    ElementPlan {
        identity,
        access_type: access.map(Access::type_text).unwrap_or_default().to_owned(),
        digest: digest.cloned(),
        size: None,
        step,
        note,
    }
}

/// Tells whether the target has the content of an element where a step would put it.
fn is_satisfied(step: &Step, access: &Access, at_target: &Access) -> bool {
    match step {
        Step::Keep | Step::Present => false,
        Step::CopyLocalBlob | Step::CopyByValue { .. } => at_target.is_local_blob(),
        Step::UploadArtifact { path, .. } => {
            let image = match at_target.kind() {
                Ok(AccessKind::OciImage(image)) => image,
                // What turned out to be no artifact was not uploaded, and will not be.
                Ok(AccessKind::LocalBlob(blob)) => return !holds_artifact(&blob.media_type),
                _ => return false,
            };
            let Ok(reference) = image.image_reference.parse::<ImageReference>() else {
                return false;
            };
            let repository = reference.repository.as_str();
            // The same access at both would be the place it came from.
            at_target != access
                && repository
                    .strip_suffix(path.as_str())
                    .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('/'))
        }
    }
}

/// Tells whether the target has the images that are wanted of an index: of what the source has, as
/// far as it is asked for.
fn has_platforms(access: &Access, at_target: &Access, wanted: &[PlatformFilter]) -> bool {
    let Some(there) = platforms_of(at_target) else {
        return at_target.platforms().is_none();
    };
    let needed = asked_of(access, wanted).unwrap_or_default();
    let is_there = |needed: &PlatformFilter| {
        let mut there = there.iter();
        there.any(|there| there.meet(needed).as_ref() == Some(needed))
    };
    !needed.is_empty() && needed.iter().all(is_there)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{component, descriptor};
    use crate::options::{Policy, ResourceCopy, UploadAs};

    fn with_access(access: &Value) -> Descriptor {
        descriptor(&component(json!({
            "resources": [{"name": "image", "version": "1.0.0", "type": "ociImage",
                "relation": "local", "access": access}],
        })))
    }

    fn local() -> Descriptor {
        let media_type = ocm_oci::media_type::IMAGE_MANIFEST;
        with_access(
            &json!({"type": "localBlob", "localReference": "sha256:0", "mediaType": media_type,
            "referenceName": "acme/notes:1"}),
        )
    }

    fn image(reference: &str) -> Descriptor {
        with_access(&json!({"type": "ociArtifact", "imageReference": reference}))
    }

    #[track_caller]
    fn check(existing: &Descriptor, incoming: &Descriptor, upload_as: UploadAs, action: Action) {
        let options = TransferOptions {
            copy_resources: ResourceCopy::All,
            upload_as,
            ..TransferOptions::default()
        };
        let assessment = assess(
            Some(existing),
            &Incoming::new(incoming),
            &options,
            &AccessMethods::new(),
            &[],
        )
        .unwrap();
        assert_eq!(assessment.action, action, "{}", assessment.reason);
        // What is known to be a copy need not be compared.
        let copy = Accesses::of(existing);
        let methods = AccessMethods::new();
        let known = assess_copy(&copy, &Incoming::new(incoming), &options, &methods, &[]);
        assert_eq!(known, assessment);
    }

    #[test]
    fn content_that_is_where_it_is_asked_for_is_skipped() {
        check(&local(), &local(), UploadAs::LocalBlob, Action::Skip);
        let plain = with_access(
            &json!({"type": "localBlob", "localReference": "sha256:0", "mediaType": "text/plain"}),
        );
        for upload_as in [UploadAs::LocalBlob, UploadAs::OciArtifact] {
            check(&plain, &plain, upload_as, Action::Skip);
        }
        check(&local(), &plain, UploadAs::LocalBlob, Action::Skip);
        check(
            &image("a.io/b:1"),
            &plain,
            UploadAs::LocalBlob,
            Action::Update,
        );
        let unreadable = with_access(&json!({"type": "localBlob", "mediaType": "text/plain"}));
        check(&plain, &unreadable, UploadAs::LocalBlob, Action::Skip);
        let uploaded = image("target.io/prefix/acme/notes:1");
        check(&uploaded, &local(), UploadAs::OciArtifact, Action::Skip);
    }

    #[test]
    fn content_that_is_elsewhere_is_brought() {
        check(&local(), &local(), UploadAs::OciArtifact, Action::Update);
        let elsewhere = image("ghcr.io/acme/other:1");
        check(&elsewhere, &local(), UploadAs::LocalBlob, Action::Update);
        check(&elsewhere, &local(), UploadAs::OciArtifact, Action::Update);
        let only_looks_so = image("ghcr.io/my-acme/notes:1");
        check(
            &only_looks_so,
            &local(),
            UploadAs::OciArtifact,
            Action::Update,
        );
    }

    #[test]
    fn what_cannot_be_read_is_beyond_reach_unless_the_target_has_it() {
        let incoming = with_access(&json!({"type": "acmeOwn/v1"}));
        let options = TransferOptions {
            copy_resources: ResourceCopy::All,
            ..TransferOptions::default()
        };
        let beyond_reach = |existing: Option<&Descriptor>| {
            let incoming = Incoming::new(&incoming);
            let assessment = assess(existing, &incoming, &options, &AccessMethods::new(), &[]);
            assessment.unwrap().beyond_reach.len()
        };
        assert_eq!(beyond_reach(None), 1);
        assert_eq!(beyond_reach(Some(&incoming)), 1);
        assert_eq!(beyond_reach(Some(&local())), 0);
    }

    #[test]
    fn images_that_were_left_out_are_brought_when_they_are_asked_for() {
        let some = |platforms: &[&str]| {
            let media_type = ocm_oci::media_type::IMAGE_INDEX;
            with_access(&json!({"type": "localBlob", "localReference": "sha256:0",
                "mediaType": media_type, "platforms": platforms}))
        };
        let action = |existing: &Descriptor, incoming: &Descriptor, wanted: &[&str]| {
            let options = TransferOptions {
                platforms: wanted.iter().map(|text| text.parse().unwrap()).collect(),
                ..TransferOptions::default()
            };
            let methods = AccessMethods::new();
            let incoming = Incoming::new(incoming);
            assess(Some(existing), &incoming, &options, &methods, &[])
                .unwrap()
                .action
        };
        let (amd, both) = (
            some(&["linux/amd64"]),
            some(&["linux/amd64", "linux/arm64"]),
        );
        assert_eq!(action(&amd, &local(), &["linux/amd64"]), Action::Skip);
        assert_eq!(action(&both, &local(), &["linux/amd64"]), Action::Skip);
        assert_eq!(action(&amd, &local(), &["linux/arm64"]), Action::Update);
        assert_eq!(action(&amd, &local(), &[]), Action::Update);
        assert_eq!(action(&amd, &amd, &[]), Action::Skip);
        assert_eq!(action(&amd, &both, &[]), Action::Update);
        let arm = some(&["linux/arm"]);
        assert_eq!(action(&arm, &local(), &["linux/arm/v7"]), Action::Skip);
        let v7 = some(&["linux/arm/v7"]);
        assert_eq!(action(&v7, &local(), &["linux/arm"]), Action::Update);
        assert_eq!(action(&v7, &v7, &["linux/arm"]), Action::Skip);
        assert_eq!(action(&v7, &both, &["linux/s390x"]), Action::Update);
        assert_eq!(action(&local(), &local(), &["linux/amd64"]), Action::Skip);
    }

    #[test]
    fn whatever_is_there_is_left_alone_when_asked_to() {
        let options = TransferOptions {
            existing: Policy::Skip,
            ..TransferOptions::default()
        };
        let other = descriptor(&component(json!({"provider": "other.org"})));
        let incoming = local();
        let incoming = Incoming::new(&incoming);
        let methods = AccessMethods::new();
        let assessment = assess(Some(&other), &incoming, &options, &methods, &[]).unwrap();
        assert_eq!(
            (assessment.action, assessment.resources.len()),
            (Action::Skip, 0)
        );
    }
}
