//! What is asked of every parser of foreign bytes.
//!
//! A target takes any bytes, hands them to one parser, and panics where the parser does not keep
//! its promises: what has been read is written such that it reads the same, what is found lies
//! within the input, limits hold. That nothing panics is asked of all.
//!
//! `cargo fuzz` runs the targets from `fuzz/`, where their corpora are, too. The test of this
//! crate runs each on its corpus and on mutations of it.

pub mod access;
pub mod archives;
pub mod bucket;
pub mod cel;
pub mod components;
pub mod config;
pub mod constructor;
pub mod kube;
pub mod model;
pub mod oci;
pub mod openpgp;
pub mod registry;
pub mod requests;
pub mod signing;
pub mod sigstore;
pub mod text;
pub mod transfer;
pub mod web;

/// What takes any bytes and panics if the parser is at fault.
pub type Target = fn(&[u8]);

/// Every target under its name, which is that of its fuzz target and of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_rules", access::access_rules),
    ("authorization", access::authorization),
    ("bucket_answer", bucket::bucket_answer),
    ("bucket_place", bucket::bucket_place),
    ("challenge", oci::challenge),
    ("certificates", signing::certificates),
    ("chart_index", web::chart_index),
    ("component_archive", components::component_archive),
    ("component_layer", components::component_layer),
    ("component_reference", text::component_reference),
    ("config_document", config::config_document),
    ("constraint", text::constraint),
    ("constructor", constructor::constructor),
    ("consumer_url", config::consumer_url),
    ("ctf_index", archives::ctf_index),
    ("descriptor_json", model::descriptor_json),
    ("descriptor_yaml", model::descriptor_yaml),
    ("digest", text::digest),
    ("distinguished_name", signing::distinguished_name),
    ("docker_archive", archives::docker_archive),
    ("docker_config", config::docker_config),
    ("expression", cel::expression),
    ("gzip", archives::gzip),
    ("htpasswd", access::htpasswd),
    ("identity", text::identity),
    ("image_reference", oci::image_reference),
    ("json", model::json),
    ("key", signing::key),
    ("link", oci::link),
    ("lookup", oci::lookup),
    ("manifest", oci::manifest),
    ("manifest_stream", kube::manifest_stream),
    ("maven_listing", web::maven_listing),
    ("npm_document", web::npm_document),
    ("oci_layout", archives::oci_layout),
    ("openpgp_keys", openpgp::openpgp_keys),
    ("openpgp_signature", openpgp::openpgp_signature),
    ("sigstore_bundle", sigstore::sigstore_bundle),
    ("sigstore_entry", sigstore::sigstore_entry),
    ("identity_token", sigstore::identity_token),
    ("part_list", archives::part_list),
    ("range", registry::range),
    ("repository", text::repository),
    ("requests", requests::requests),
    ("route", registry::route),
    ("signature_value", signing::signature_value),
    ("tar", archives::tar),
    ("template", constructor::template),
    ("timestamp", signing::timestamp),
    ("transfer_plan", transfer::transfer_plan),
    ("transformation_graph", transfer::transformation_graph),
    ("place_state", transfer::place_state),
    ("delta_record", transfer::delta_record),
    ("chunk_recipe", transfer::chunk_recipe),
    ("version", text::version),
    ("yaml", model::yaml),
];

/// Cuts the first line off, for parsers that take a text and something beside it.
fn first_line(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    (std::str::from_utf8(line).unwrap_or_default(), rest)
}

/// Runs what needs a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without sockets needs nothing");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
