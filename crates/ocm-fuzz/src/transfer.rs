//! Plans of transfers, and what they leave out.

use ocm_transfer::delta::{Base, DeltaRecord, PlaceState, Recipe, RecipeStep};
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

/// What another place has, as a state or as a list of digests.
pub fn place_state(bytes: &[u8]) {
    if let Ok(digests) = PlaceState::read_digests(bytes) {
        let base = Base::of_digests("list", digests.iter().copied());
        assert!(digests.iter().all(|digest| base.has(digest)));
    }
    let Ok(state) = PlaceState::read(bytes) else {
        return;
    };
    let again = PlaceState::read(state.write().as_bytes()).expect("what was written is a state");
    assert_eq!(again, state);
    let base = Base::of_state("state", &state);
    let blobs = state.repositories.values().flatten();
    assert!(blobs.into_iter().all(|(digest, _)| base.has(digest)));
}

/// What a delta archive leaves out.
pub fn delta_record(bytes: &[u8]) {
    let Ok(record) = DeltaRecord::read(bytes) else {
        return;
    };
    let again = DeltaRecord::read(&record.write()).expect("what was written is a record");
    assert_eq!(again, record);
    let mut base = Base::default();
    base.add_record(&record);
    assert!(record.left_out.keys().all(|digest| base.has(digest)));
}

/// How a blob is put together.
pub fn chunk_recipe(bytes: &[u8]) {
    let Ok(recipe) = Recipe::read(bytes) else {
        return;
    };
    let again = Recipe::read(&recipe.write()).expect("what was written is a recipe");
    assert_eq!(again, recipe);
    let sum: u128 = recipe
        .steps
        .iter()
        .map(|step| u128::from(step.size()))
        .sum();
    assert_eq!(sum, u128::from(recipe.size));
    assert!(recipe.new_bytes() <= recipe.size);
    for step in &recipe.steps {
        if let RecipeStep::Copy(source, offset, len) = step {
            assert!((*source as usize) < recipe.sources.len(), "{step:?}");
            assert!(offset.checked_add(*len).is_some(), "{step:?}");
        }
    }
}
