//! Distinguished names are read and compared as the table in `conformance` says.

use ocm_signing::dn::{DistinguishedName, MAX_TEXT};

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
