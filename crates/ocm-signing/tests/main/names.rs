//! Distinguished names are read and compared as the table in `conformance` says.

use ocm_signing::dn::{DistinguishedName, MAX_TEXT};
use proptest::prelude::*;

use crate::data::conformance;

fn rows(file: &str) -> Vec<[String; 3]> {
    let path = conformance("distinguished-names").join(file);
    let table = std::fs::read_to_string(path).unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('%'));
    let rows = lines.map(|line| {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        columns.try_into().expect("three columns")
    });
    rows.collect()
}

fn name(text: &str) -> DistinguishedName {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_text_is_written_back_as_the_table_says() {
    for [text, expected, _] in rows("parse.tsv") {
        match (
            text.parse::<DistinguishedName>(),
            expected.strip_prefix('!'),
        ) {
            (Ok(name), None) => assert_eq!(name.to_string(), expected, "{text}"),
            (Err(error), Some(reason)) => assert_eq!(error.to_string(), reason, "{text}"),
            (outcome, _) => panic!("{text}: {outcome:?}"),
        }
    }
}

#[test]
fn what_is_written_reads_as_the_same_name() {
    for [_, written, _] in rows("parse.tsv") {
        if !written.starts_with('!') {
            assert_eq!(name(&written).to_string(), written);
        }
    }
}

#[test]
fn names_are_compared_as_the_table_says() {
    for [one, other, expected] in rows("compare.tsv") {
        let (a, b) = (name(&one), name(&other));
        let found = match (a.is_same(&b), a.includes(&b)) {
            (true, true) => "same",
            (false, true) => "includes",
            (false, false) => "differ",
            (true, false) => "the same, but not included",
        };
        assert_eq!(found, expected, "{one} and {other}");
        assert_eq!(a.is_same(&b), b.is_same(&a), "{one} and {other}");
    }
}

#[test]
fn a_name_that_is_far_too_long_is_refused() {
    let text = "x".repeat(MAX_TEXT + 1);
    assert_eq!(
        text.parse::<DistinguishedName>().unwrap_err().to_string(),
        "16385 bytes are too much for a distinguished name, the limit is 16384"
    );
}

proptest! {
    #[test]
    fn any_value_can_be_written_and_read(values in prop::collection::vec("\\PC{0,20}|[ -~]{0,20}", 1..4)) {
        let attributes: Vec<String> = values
            .iter()
            .map(|value| format!("CN={}", DistinguishedName::escape(value)))
            .collect();
        let text = attributes.join(",");
        let name: DistinguishedName = text.parse().unwrap();
        let read: Vec<&str> = name.attributes().map(|(_, value)| value).collect();
        prop_assert_eq!(read, values);
        prop_assert_eq!(name.to_string(), text);
    }

    #[test]
    fn any_text_may_be_handed_in(text in "[ -~]{0,40}|\\PC{0,40}") {
        if let Ok(name) = text.parse::<DistinguishedName>() {
            let again: DistinguishedName = name.to_string().parse().unwrap();
            prop_assert!(again.is_same(&name));
        }
    }
}
