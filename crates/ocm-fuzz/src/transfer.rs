//! Plans of transfers.

use ocm_transfer::{TransferPlan, read_transformation_graph};

/// A plan that was stored to be carried out later.
pub fn transfer_plan(bytes: &[u8]) {
    let Ok(plan) = TransferPlan::read(bytes) else {
        return;
    };
    let written = plan.write_json();
    let again = TransferPlan::read(written.as_bytes()).expect("what was written is a plan");
    assert_eq!(again, plan, "{written}");
    assert_eq!(
        plan.totals.component_versions,
        plan.component_versions.len() as u64
    );
}

/// A transfer that the second Go tool has stored as a graph.
pub fn transformation_graph(bytes: &[u8]) {
    let Ok(transfers) = read_transformation_graph(bytes) else {
        return;
    };
    assert!(!transfers.is_empty());
    for version in transfers.iter().flat_map(|transfer| &transfer.versions) {
        assert_eq!(version.steps.len(), version.descriptor.resources().len());
    }
}
