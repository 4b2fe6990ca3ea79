//! Lists as sets: the extension that the interpreter lacks.

use std::sync::Arc;

use cel::{Context, DeclarationError, Value};

type List = Arc<Vec<Value>>;

/// Declares `sets.contains`, `sets.equivalent` and `sets.intersects`.
pub(crate) fn declare(context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
    context.add_function("sets.contains", |list: List, part: List| {
        contains(&list, &part)
    })?;
    context.add_function("sets.equivalent", |left: List, right: List| {
        contains(&left, &right) && contains(&right, &left)
    })?;
    context.add_function("sets.intersects", |left: List, right: List| {
        left.iter().any(|item| right.contains(item))
    })
}

fn contains(list: &List, part: &List) -> bool {
    part.iter().all(|item| list.contains(item))
}
