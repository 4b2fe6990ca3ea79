//! Plans of transfers.

use ocm_transfer::TransferPlan;

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
