//! Expressions that are meant to harm.

use ocm_cel::{Error, Expression, Subject, evaluate_fields};
use serde_json::{Map, Value, json};

use crate::{subject, try_evaluate};

#[track_caller]
fn exceeds(source: &str, limit: &str) {
    match try_evaluate(source) {
        Err(Error::Limit(message)) => assert!(message.contains(limit), "{message}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn loops_in_loops_end() {
    let range = "lists.range(1000)";
    for body in ["true", "z >= 0", "x + y + z >= 0"] {
        let nested = format!("{range}.all(x, {range}.all(y, {range}.all(z, {body})))");
        exceeds(&nested, "it takes ");
    }
    exceeds(
        &format!("{range}.exists(x, {range}.exists(y, {range}.exists(z, false)))"),
        "it takes ",
    );
    exceeds(
        &format!("{range}.map(x, {range}.map(y, {range}.map(z, 1)))"),
        "it takes ",
    );
    exceeds(
        &format!("{range}.filter(x, {range}.filter(y, false) == [1])"),
        "it takes ",
    );
    exceeds(
        &format!("{range}.exists_one(x, {range}.exists_one(y, {range}.exists_one(z, true)))"),
        "it takes ",
    );
}

#[test]
fn texts_do_not_grow_without_end() {
    let mut doubled = "'0123456789'".to_owned();
    for level in 0..40 {
        doubled = format!("cel.bind(v{level}, {doubled}, v{level} + v{level})");
    }
    exceeds(&doubled, "bytes of text");
    exceeds(
        "lists.range(1000).map(i, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa').join('')",
        "bytes of text",
    );
    exceeds(
        "cel.bind(a, lists.range(900).map(i, 'aaaaaaaa').join(''), a.replace('a', a))",
        "bytes of text",
    );
}

#[test]
fn lists_have_a_limit() {
    exceeds("lists.range(1001)", "elements");
    exceeds("cel.bind(l, lists.range(900), l + l)", "elements");
}

#[test]
fn what_is_in_itself_many_times_costs_as_much_as_it_looks() {
    // Each has the one before ten times: with eighteen of them no memory is enough for the result.
    let levels = |open: &str, close: &str, entry: &dyn Fn(usize, &str) -> String, last: &str| {
        let mut source = last.to_owned();
        for level in (1..10).rev() {
            let before = format!("v{}", level - 1);
            let entries: Vec<_> = (0..10).map(|index| entry(index, &before)).collect();
            let entries = entries.join(",");
            source = format!("cel.bind(v{level}, {open}{entries}{close}, {source})");
        }
        format!("cel.bind(v0, 'x', {source})")
    };
    let plain = |_: usize, before: &str| before.to_owned();
    let keyed = |index: usize, before: &str| format!("{index}: {before}");
    for last in [
        "v9",
        "v9 == v9",
        "size(v9)",
        "lists.flatten(v9, 9)",
        "v9.flatten(9)",
        "true",
    ] {
        exceeds(&levels("[", "]", &plain, last), "it takes ");
        exceeds(&levels("{", "}", &keyed, last), "it takes ");
    }
    exceeds(
        &levels("[", "]", &plain, "{'imageReference': v9}.toOCI()"),
        "it takes ",
    );
    // By loops instead of by writing it down.
    let mut source = "v9".to_owned();
    for level in (1..10).rev() {
        let before = level - 1;
        source = format!("cel.bind(v{level}, lists.range(10).map(i, v{before}), {source})");
    }
    exceeds(&format!("cel.bind(v0, 'x', {source})"), "it takes ");
}

#[test]
fn a_large_part_of_the_subject_is_not_worked_on() {
    let resource = json!({"labels": [{"value": "a".repeat(10_000)}]});
    let subject = Subject::new(&resource, "acme.org/a", &Value::Null).expect("a subject");
    let evaluate = |source| {
        Expression::compile(source)
            .expect(source)
            .evaluate(&subject)
    };
    assert!(matches!(
        evaluate("resource.labels[0].value.replace('a', 'b')"),
        Err(Error::Limit(_))
    ));
    // It can be had.
    let value = evaluate("resource.labels[0].value").expect("the value");
    assert_eq!(value.as_str().map(str::len), Some(10_000));
}

#[test]
fn patterns_cost_more_than_other_calls() {
    exceeds(
        "lists.range(1000).all(x, 'a'.matches('^[a-z]{1,100}$'))",
        "steps",
    );
}

#[test]
fn sources_and_subjects_have_limits() {
    assert!(matches!(
        Expression::compile(&"1+".repeat(5000)),
        Err(Error::Limit(_))
    ));
    let large = json!({"name": "a".repeat(300_000)});
    assert!(matches!(
        Subject::new(&large, "acme.org/a", &Value::Null),
        Err(Error::Limit(_))
    ));
}

/// What a source looks like that is as deep as it can be, and one that is deeper.
fn deep(open: &str, core: &str, close: &str, levels: usize) -> String {
    format!("{}{core}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn deep_sources_do_not_exhaust_the_stack() {
    for (open, core, close, signs) in [
        ("(", "1", ")", 2),
        ("[", "1", "]", 2),
        ("!", "true", "", 1),
        ("-", "1", "", 1),
        ("", "resource", ".a", 1),
        ("", "resource", "[0]", 2),
        ("1+", "1", "", 1),
        ("true?1:", "1", "", 2),
        ("true&&", "true", "", 2),
        ("{1:", "1", "}", 3),
        ("[1].all(x,", "true", ")", 6),
    ] {
        let levels = 500 / signs;
        let deepest = deep(open, core, close, levels);
        // Whether it means something is not asked.
        let _ = Expression::compile(&deepest).and_then(|it| it.evaluate(&subject()));
        let deeper = deep(open, core, close, levels + 2);
        assert!(
            matches!(Expression::compile(&deeper), Err(Error::Limit(_))),
            "{open}{close}"
        );
    }
}

#[test]
fn fields_have_limits() {
    let many: Map<_, _> = (0..300).map(|i| (i.to_string(), json!("1"))).collect();
    assert!(matches!(
        evaluate_fields(&many, &subject()),
        Err(Error::Limit(_))
    ));
    let mut deep = json!({"a": "1"});
    for _ in 0..20 {
        deep = json!({"a": deep});
    }
    let deep = deep.as_object().expect("an object");
    assert!(matches!(
        evaluate_fields(deep, &subject()),
        Err(Error::Limit(_))
    ));
}
