//! Plans that are stored and carried out later.

use std::collections::BTreeMap;
use std::sync::Arc;

use ocm_repository::{AccessMethods, RepositoryRef};
use ocm_transfer::plan::Action;
use ocm_transfer::{ExecuteOptions, Step, Transfer, TransferOptions, TransferPlan};

use crate::world::{Build, ID, Place, check_only_access_differs, plan};

async fn stored_plan(source: &Place, target: &Place) -> TransferPlan {
    Build::new(source, ID)
        .blob("text", "hello")
        .await
        .source("code", "fn main")
        .await
        .signed()
        .await;
    let planned = plan(source, target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    TransferPlan::read(planned.plan().write_json().as_bytes()).unwrap()
}

fn again(
    plan: TransferPlan,
    source: &Place,
    target: &Place,
) -> Result<Transfer, ocm_transfer::Error> {
    let sources: BTreeMap<String, RepositoryRef> =
        [("memory".to_owned(), Arc::clone(&source.repository))].into();
    Transfer::from_plan(
        plan,
        Arc::clone(&target.repository),
        sources,
        AccessMethods::new(),
    )
}

#[tokio::test]
async fn a_stored_plan_is_carried_out() {
    let (source, target) = (Place::new(), Place::new());
    let plan = stored_plan(&source, &target).await;
    let version = &plan.component_versions[0];
    assert_eq!((version.action, plan.totals.size), (Action::Add, 12));
    assert_eq!(version.resources[0].step, Step::CopyLocalBlob);
    let report = again(plan, &source, &target)
        .unwrap()
        .execute(&ExecuteOptions::default())
        .await
        .unwrap();
    assert_eq!(report.added, 1);
    check_only_access_differs(&source.read(ID).await, &target.read(ID).await);
}

#[tokio::test]
async fn a_plan_that_was_carried_out_already_finds_nothing_to_do() {
    let (source, target) = (Place::new(), Place::new());
    let plan = stored_plan(&source, &target).await;
    for (added, skipped) in [(1, 0), (0, 1)] {
        let transfer = again(plan.clone(), &source, &target).unwrap();
        let report = transfer.execute(&ExecuteOptions::default()).await.unwrap();
        assert_eq!((report.added, report.skipped), (added, skipped));
    }
}

#[tokio::test]
async fn a_plan_whose_source_is_not_at_hand_is_refused() {
    let (source, target) = (Place::new(), Place::new());
    let mut plan = stored_plan(&source, &target).await;
    "elsewhere".clone_into(&mut plan.component_versions[0].source);
    let error = again(plan, &source, &target).unwrap_err();
    assert!(error.to_string().contains("elsewhere"));
}

#[tokio::test]
async fn a_plan_that_waits_for_itself_is_refused() {
    let (source, target) = (Place::new(), Place::new());
    let mut plan = stored_plan(&source, &target).await;
    let id = plan.component_versions[0].id.clone();
    plan.component_versions[0].references.push(id);
    again(plan, &source, &target).unwrap_err();
}

#[tokio::test]
async fn steps_that_do_not_fit_are_refused() {
    let (source, target) = (Place::new(), Place::new());
    let plan = stored_plan(&source, &target).await;
    let mut fewer = plan.clone();
    fewer.component_versions[0].resources.clear();
    let mut swapped = plan;
    swapped.component_versions[0].resources[0].identity = "name=other".parse().unwrap();
    for plan in [fewer, swapped] {
        let transfer = again(plan, &source, &target).unwrap();
        let error = transfer
            .execute(&ExecuteOptions::default())
            .await
            .unwrap_err();
        assert!(matches!(error, ocm_transfer::Error::Plan { .. }));
    }
}

#[tokio::test]
async fn a_local_blob_must_not_be_left_behind() {
    let (source, target) = (Place::new(), Place::new());
    let mut plan = stored_plan(&source, &target).await;
    plan.component_versions[0].resources[0].step = Step::Keep;
    let transfer = again(plan, &source, &target).unwrap();
    let error = transfer
        .execute(&ExecuteOptions::default())
        .await
        .unwrap_err();
    assert!(crate::world::chain(&error).contains("has no local blob"));
}

#[tokio::test]
async fn a_plan_stands_until_its_source_changes() {
    let (source, target) = (Place::new(), Place::new());
    let transfer = again(stored_plan(&source, &target).await, &source, &target).unwrap();
    transfer.check_standing().await.unwrap();
    Build::new(&source, ID)
        .blob("text", "other")
        .await
        .stored()
        .await;
    let error = transfer.check_standing().await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(
        error.to_string(),
        format!("{ID} in memory has changed since the transfer was planned")
    );
}

#[tokio::test]
async fn a_plan_stands_where_it_was_carried_out_before() {
    let (source, target) = (Place::new(), Place::new());
    let transfer = again(stored_plan(&source, &target).await, &source, &target).unwrap();
    transfer.execute(&ExecuteOptions::default()).await.unwrap();
    transfer.check_standing().await.unwrap();
}

#[tokio::test]
async fn a_plan_falls_where_the_target_has_got_something_else() {
    let (source, target) = (Place::new(), Place::new());
    let transfer = again(stored_plan(&source, &target).await, &source, &target).unwrap();
    Build::new(&target, ID)
        .blob("text", "other")
        .await
        .stored()
        .await;
    let error = transfer.check_standing().await.unwrap_err();
    assert!(matches!(error, ocm_transfer::Error::ChangedSince { .. }));
}

#[tokio::test]
async fn a_plan_falls_where_what_it_replaces_is_gone_or_another() {
    let (source, target) = (Place::new(), Place::new());
    Build::new(&source, ID)
        .blob("text", "new")
        .await
        .stored()
        .await;
    Build::new(&target, ID)
        .blob("text", "old")
        .await
        .stored()
        .await;
    let options = TransferOptions {
        existing: ocm_transfer::Policy::Overwrite,
        ..TransferOptions::default()
    };
    let planned = plan(&source, &target, options, &[ID]).await.unwrap();
    let stored = planned.plan().clone();
    assert_eq!(stored.component_versions[0].action, Action::Replace);
    let transfer = again(stored.clone(), &source, &target).unwrap();
    transfer.check_standing().await.unwrap();
    Build::new(&target, ID)
        .blob("text", "third")
        .await
        .stored()
        .await;
    transfer.check_standing().await.unwrap_err();
    let transfer = again(stored, &source, &Place::new()).unwrap();
    transfer.check_standing().await.unwrap_err();
}
