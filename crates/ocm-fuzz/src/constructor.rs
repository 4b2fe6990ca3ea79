//! Constructor files and the variables in them.

use ocm_constructor::Constructor;
use ocm_constructor::template::{Expanded, Undefined, Variables, expand};
use ocm_model::yaml::Position;

/// A constructor file.
pub fn constructor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(expanded) = expand(text, &variables(), Undefined::Empty) else {
        return;
    };
    let constructor = match Constructor::read(&expanded, "fuzz") {
        Ok(constructor) => constructor,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains("the parser has stopped"), "{message}");
            return;
        }
    };
    let lines = lines(text);
    for component in &constructor.components {
        assert!(component.place.position.line <= lines);
        let resources = component.resources.iter();
        let inputs = resources.map(|entry| (&entry.place, &entry.input));
        let sources = component.sources.iter();
        let inputs = inputs.chain(sources.map(|entry| (&entry.place, &entry.input)));
        for (place, input) in inputs {
            assert!(place.position.line <= lines);
            if let Some(input) = input {
                assert!(input.place_of("path").position.line <= lines);
            }
        }
    }
}

/// The text of a file with variables, and of a file with their values.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for undefined in [Undefined::Empty, Undefined::Refuse] {
        if let Ok(expanded) = expand(text, &variables(), undefined) {
            check_places(text, &expanded);
            if !text.contains('$') {
                assert_eq!(expanded.text, text);
            }
        }
    }
    let _ = Variables::new().with_settings(text, "fuzz").is_ok();
    let _ = Variables::new().with_argument(text).is_ok();
}

fn check_places(text: &str, expanded: &Expanded) {
    let lines = lines(text);
    for (name, position) in &expanded.undefined {
        assert!(!name.is_empty() && position.line <= lines);
    }
    for line in 1..=self::lines(&expanded.text).min(50) {
        for column in [1, 2, 7, 1000] {
            let original = expanded.original(Position { line, column });
            assert!(original.line <= lines, "{line}:{column} was at {original}");
        }
    }
}

fn lines(text: &str) -> u64 {
    text.split(['\n', '\r']).count() as u64
}

fn variables() -> Variables {
    Variables::new().with_environment([("A", "1"), ("B", ""), ("C", "${A}\n$B"), ("D", "€")])
}
