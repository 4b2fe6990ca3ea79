//! What happens to component versions that the target has.

use std::sync::{Arc, Mutex};

use ocm_model::{Descriptor, Label, NormalisationAlgorithm, Provider};
use ocm_repository::RepositoryRef;
use ocm_transfer::plan::Action;
use ocm_transfer::{Policy, TransferOptions};

use crate::watched::Watched;
use crate::world::{Build, ID, Place, check_only_access_differs, notes, sign, transfer};

fn policy(existing: Policy) -> TransferOptions {
    TransferOptions {
        existing,
        ..TransferOptions::default()
    }
}

fn names(descriptor: &Descriptor) -> Vec<String> {
    descriptor
        .signatures()
        .into_iter()
        .map(|signature| signature.name)
        .collect()
}

async fn both() -> (Place, Place, Descriptor) {
    let (source, target) = (Place::new(), Place::new());
    let descriptor = notes(&source, "hello").await;
    transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    (source, target, descriptor)
}

#[tokio::test]
async fn the_same_is_skipped_without_any_write() {
    let (source, target, _) = both().await;
    let (watched, shared) = Watched::new(&target).shared();
    let report = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!((report.skipped, report.added), (1, 0));
    assert_eq!(
        (watched.writes(), watched.reads()),
        (0, 1),
        "one look at what is stored"
    );
}

#[tokio::test]
async fn a_source_at_hand_is_read_once_the_target_has_answered() {
    let (source, target, _) = both().await;
    let (source, from) = Watched::new(&source).shared();
    let read_before = Arc::new(Mutex::new(Vec::new()));
    let (watched, looks) = (Arc::clone(&source), Arc::clone(&read_before));
    let look = move || looks.lock().unwrap().push(watched.descriptors());
    let (_, to) = Watched::telling(&target, look).shared();
    transfer(&from, &to, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!(*read_before.lock().unwrap(), [0]);
    assert_eq!(source.descriptors(), 1);

    // What it lacks is not asked for at the target, which may be far away.
    let missing = "acme.org/notes:9.9.9";
    let error = transfer(&from, &to, TransferOptions::default(), &[missing])
        .await
        .unwrap_err();
    assert!(error.to_string().contains(missing), "{error}");
    assert_eq!(read_before.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_with_accesses_of_its_own_is_known_without_reading_it() {
    let (source, target) = (Place::new(), Place::reachable());
    let build = Build::new(&source, ID).blob("notes", "hello").await;
    let build = build.source("code", "fn main() {}").await;
    let descriptor = build.signed().await;
    transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    let copy = target.read(ID).await;
    assert_ne!(copy.to_document(), descriptor.to_document());

    let (watched, shared) = Watched::new(&target).shared();
    let report = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!(report.skipped, 1);
    assert_eq!(
        (watched.writes(), watched.reads()),
        (0, 1),
        "one look at what is stored"
    );

    // What is not the copy is read.
    let mut signed = copy.clone();
    sign(
        &mut signed,
        "operator",
        NormalisationAlgorithm::JsonV4Alpha1,
    );
    target.put(&signed).await;
    let (watched, shared) = Watched::new(&target).shared();
    let report = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!((report.skipped, report.updated), (1, 0));
    assert!(watched.reads() > 1);
    assert_eq!(target.read(ID).await.to_document(), signed.to_document());
}

#[tokio::test]
async fn signatures_are_united() {
    let (source, target, mut incoming) = both().await;
    let mut existing = target.read(ID).await;
    sign(
        &mut existing,
        "operator",
        NormalisationAlgorithm::JsonV4Alpha1,
    );
    target.put(&existing).await;
    sign(&mut incoming, "auditor", NormalisationAlgorithm::JsonV1);
    source.put(&incoming).await;

    let report = transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!(report.updated, 1);
    assert_eq!(report.blobs.moved, 0, "content does not move again");
    let merged = target.read(ID).await;
    let v3_and_v4 = ["jsonNormalisation/v3", "jsonNormalisation/v4alpha1"];
    assert_eq!(
        names(&merged),
        [&v3_and_v4[..], &["operator", "auditor"]].concat()
    );
    check_only_access_differs(&merged, &merged);

    let again = transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!(again.skipped, 1);
}

#[tokio::test]
async fn unsigned_labels_are_brought() {
    let (source, target, mut incoming) = both().await;
    incoming.set_labels(&[Label::new("note", "new")]);
    source.put(&incoming).await;
    let report = transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!(report.updated, 1);
    assert_eq!(target.read(ID).await.labels(), [Label::new("note", "new")]);
}

#[tokio::test]
async fn other_content_is_refused_and_left_as_it_is() {
    let (source, target, before) = both().await;
    let second = "acme.org/second:1.0.0";
    notes(&source, "other").await;
    Build::new(&source, second).stored().await;
    Build::new(&target, second)
        .blob("x", "x")
        .await
        .stored()
        .await;
    let error = transfer(&source, &target, TransferOptions::default(), &[ID, second]).await;
    let error = error.unwrap_err();
    assert!(error.is_conflict());
    let message = error.to_string();
    assert!(
        message.contains(ID) && message.contains(second),
        "{message}"
    );
    assert!(
        message.contains("component.resources[0].digest.value"),
        "{message}"
    );
    check_only_access_differs(&before, &target.read(ID).await);
}

#[tokio::test]
async fn other_content_is_replaced_when_asked_to() {
    for existing in [Policy::Overwrite, Policy::Enforce] {
        let (source, target, _) = both().await;
        let incoming = notes(&source, "other").await;
        let report = transfer(&source, &target, policy(existing), &[ID])
            .await
            .unwrap();
        assert_eq!(report.replaced, 1);
        check_only_access_differs(&incoming, &target.read(ID).await);
    }
}

#[tokio::test]
async fn the_same_is_written_again_only_when_enforced() {
    for (existing, action) in [
        (Policy::Overwrite, Action::Skip),
        (Policy::Enforce, Action::Replace),
    ] {
        let (source, target, _) = both().await;
        let report = transfer(&source, &target, policy(existing), &[ID])
            .await
            .unwrap();
        assert_eq!(report.component_versions[0].action, action);
    }
}

#[tokio::test]
async fn whatever_is_there_stays_when_asked_to() {
    let (source, target, before) = both().await;
    notes(&source, "other").await;
    let report = transfer(&source, &target, policy(Policy::Skip), &[ID])
        .await
        .unwrap();
    assert_eq!(report.skipped, 1);
    check_only_access_differs(&before, &target.read(ID).await);
}

#[tokio::test]
async fn somebody_elses_write_is_looked_at_once_more() {
    let (source, target) = (Place::new(), Place::new());
    let incoming = notes(&source, "hello").await;
    let mut theirs = Build::new(&target, ID)
        .blob("text", "hello")
        .await
        .descriptor;
    sign(&mut theirs, "theirs", NormalisationAlgorithm::JsonV4Alpha1);
    let watched = Watched::new(&target);
    watched.intruders.lock().unwrap().push(theirs);
    let shared: RepositoryRef = Arc::new(watched);
    let report = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    assert_eq!((report.updated, report.added), (1, 0));
    let merged = target.read(ID).await;
    assert_eq!(names(&merged)[0], "theirs");
    assert_eq!(merged.signatures().len(), incoming.signatures().len() + 1);
}

#[tokio::test]
async fn somebody_who_writes_other_content_is_not_overwritten() {
    let (source, target) = (Place::new(), Place::new());
    notes(&source, "hello").await;
    let id = crate::world::id(ID);
    let theirs = Descriptor::new(id.name, id.version, &Provider::new("other.org"));
    let watched = Watched::new(&target);
    watched.intruders.lock().unwrap().push(theirs.clone());
    let shared: RepositoryRef = Arc::new(watched);
    let error = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap_err();
    assert!(error.is_conflict());
    check_only_access_differs(&theirs, &target.read(ID).await);
}

#[tokio::test]
async fn somebody_who_always_writes_first_is_a_conflict() {
    let (source, target) = (Place::new(), Place::new());
    let build = Build::new(&source, ID).blob("text", "hello").await;
    let mut theirs = build.descriptor.clone();
    build.signed().await;
    Build::new(&target, ID).blob("text", "hello").await;
    let watched = Watched::new(&target);
    let mut intruders = Vec::new();
    for name in ["first", "second"] {
        sign(&mut theirs, name, NormalisationAlgorithm::JsonV3);
        intruders.push(theirs.clone());
    }
    *watched.intruders.lock().unwrap() = intruders;
    let shared: RepositoryRef = Arc::new(watched);
    let error = transfer(&source, &shared, TransferOptions::default(), &[ID])
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{}", crate::world::chain(&error));
}
