//! Processing one input, as building does.

use std::path::Path;

use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{Constructor, InputContext, InputMethod};
use ocm_model::ElementKind;

/// Processes an input that stands in a file of a directory.
pub(crate) async fn process(
    method: &dyn InputMethod,
    directory: &Path,
    input: &str,
) -> Result<InputResult, InputError> {
    let text = format!(
        "name: acme.org/x\nversion: 1.0.0\nprovider: acme.org\nresources:\n- name: data\n  type: blob\n  input: {input}\n"
    );
    let component = Constructor::parse(&text, "c.yaml")
        .unwrap()
        .components
        .remove(0);
    let context = InputContext {
        component: component.id.clone(),
        kind: ElementKind::Resource,
        name: "data".to_owned(),
        version: component.id.version.clone(),
        directory: directory.to_owned(),
    };
    let input = component.resources[0].input.as_ref().unwrap();
    assert!(method.types().contains(&input.spec.type_text()));
    method.process(input, &context).await
}

/// Returns the messages of an error and of what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(source) = current {
        text = format!("{text}\n  caused by: {source}");
        current = source.source();
    }
    text
}
