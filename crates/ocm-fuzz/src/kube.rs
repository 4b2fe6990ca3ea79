//! What is applied to clusters.

use ocm_kube::manifest::{Limits, parse};

/// Manifests: what was read is read again from what is written, in a stream of JSON.
pub fn manifest_stream(bytes: &[u8]) {
    let limits = Limits {
        bytes: 1 << 20,
        documents: 64,
        objects: 256,
        values: 10_000,
    };
    let Ok(objects) = on_large_stack(|| parse(bytes, limits)) else {
        return;
    };
    assert!(objects.len() <= limits.objects);
    let mut stream = Vec::new();
    for object in &objects {
        serde_json::to_writer(&mut stream, object).expect("what was read can be written");
        stream.push(b'\n');
    }
    let limits = Limits {
        values: usize::MAX,
        bytes: u64::MAX,
        ..limits
    };
    let again = on_large_stack(|| parse(&stream, limits));
    assert_eq!(again.expect("what was written can be read"), objects);
}

/// The parser is deep where its input is.
fn on_large_stack<T: Send>(parse: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new()
            .stack_size(16 * 1024 * 1024)
            .spawn_scoped(scope, parse);
        match parser.expect("a thread").join() {
            Ok(parsed) => parsed,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
