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
