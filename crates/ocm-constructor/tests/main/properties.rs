//! What holds for any text.

use ocm_constructor::Constructor;
use ocm_constructor::template::{Undefined, Variables, expand};
use proptest::prelude::*;

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("$".to_owned()),
        Just("$$".to_owned()),
        Just("${".to_owned()),
        Just("}".to_owned()),
        Just(":-".to_owned()),
        Just(":=".to_owned()),
        Just("A".to_owned()),
        Just("\n".to_owned()),
        "[a-z: -]{0,5}",
        "\\PC{0,3}",
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn yaml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("components:\n- "),
        Just("name: acme.org/x\n"),
        Just("  version: 1.0.0\n"),
        Just("  provider: acme.org\n"),
        Just("  resources:\n"),
        Just("  - "),
        Just("    input: {type: utf8, text: x}\n"),
        Just("labels: [{name: a, value: [1]}]\n"),
        Just("---\n"),
        Just("...\n"),
        Just("? "),
        Just("&a "),
        Just("*a\n"),
        Just("|\n"),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn text_without_variables_is_not_changed(text in "[^$]*") {
        let expanded = expand(&text, &Variables::new(), Undefined::Refuse).unwrap();
        prop_assert_eq!(expanded.text, text);
    }

    #[test]
    fn escaped_text_is_what_it_was(text in "\\PC*") {
        let expanded = expand(&text.replace('$', "$$"), &Variables::new(), Undefined::Refuse);
        prop_assert_eq!(expanded.unwrap().text, text);
    }

    #[test]
    fn any_template_is_expanded_or_refused(text in pieces()) {
        let variables = Variables::new().with_environment([("A", "x\ny")]);
        let _ = expand(&text, &variables, Undefined::Empty);
    }

    #[test]
    fn any_text_is_read_or_refused(text in yaml(), noise in "\\PC{0,8}") {
        let _ = Constructor::parse(&text, "c.yaml");
        let _ = Constructor::parse(&format!("{text}{noise}"), "c.yaml");
    }
}
