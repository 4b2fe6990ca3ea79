//! Every target on its corpus, and on mutations of it that are the same on every run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod corpus;
mod mutate;
mod random;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ocm_fuzz::{TARGETS, Target};

use crate::corpus::{File, corpus_of};
use crate::mutate::mutate;
use crate::random::Random;

/// How often each file is mutated: with all targets a few seconds without optimisation.
const MUTATIONS: u64 = 24;

/// How long one input may take on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn no_target_fails_on_its_corpus_or_on_mutations_of_it() {
    let work = Mutex::new(TARGETS.iter());
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, target)) = { work.lock().unwrap().next() } {
                    let found = failures_of(name, *target);
                    failures.lock().unwrap().extend(found);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Returns the first failure of each file.
fn failures_of(name: &str, target: Target) -> Vec<String> {
    let files = corpus_of(name);
    let mut failures = Vec::new();
    for file in &files {
        let as_it_is = failure(target, &file.bytes).map(|why| (None, file.bytes.clone(), why));
        let first = as_it_is.or_else(|| {
            (0..MUTATIONS).find_map(|seed| {
                let bytes = mutated(file, &files, seed);
                failure(target, &bytes).map(|why| (Some(seed), bytes, why))
            })
        });
        if let Some((seed, bytes, why)) = first {
            let kept = keep(name, &file.name, &bytes);
            let seed = seed.map_or("as it is".to_owned(), |seed| format!("seed {seed}"));
            let File { name: file, .. } = file;
            failures.push(format!(
                "target {name}, file {file}, {seed}: {why}\n  see {kept}"
            ));
        }
    }
    failures
}

fn mutated(file: &File, others: &[File], seed: u64) -> Vec<u8> {
    let mut random = Random::new(&file.name, seed);
    let other = &others[random.below(others.len())];
    mutate(&file.bytes, &other.bytes, &mut random)
}

/// Runs a target and says why it failed, if it did.
fn failure(target: Target, bytes: &[u8]) -> Option<String> {
    let started = Instant::now();
    let result = catch_unwind(|| target(bytes));
    let spent = started.elapsed();
    match result {
        Ok(()) if spent > PATIENCE => Some(format!("{} bytes took {spent:?}", bytes.len())),
        Ok(()) => None,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Some(text.unwrap_or("it panicked").to_owned())
        }
    }
}

/// Keeps an input for whoever looks into it.
fn keep(target: &str, file: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-{file}"));
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn every_target_has_a_corpus_and_a_fuzz_target() {
    let manifest = fs::read_to_string(corpus::directory().join("Cargo.toml")).unwrap();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(corpus_of(name).len() > 3, "{name} needs more files");
        let source = corpus::directory().join(format!("fuzz_targets/{name}.rs"));
        let source = fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("::{name}(bytes)")), "{name}");
        let bin = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&bin), "{name} is not in fuzz/Cargo.toml");
    }
    names.sort_unstable();
    assert_eq!(corpus::directories(), names, "a corpus has no target");
}

#[test]
fn mutations_are_the_same_on_every_run() {
    let files = corpus_of("json");
    assert_eq!(mutated(&files[0], &files, 7), mutated(&files[0], &files, 7));
    assert_ne!(mutated(&files[0], &files, 7), mutated(&files[0], &files, 8));
}
