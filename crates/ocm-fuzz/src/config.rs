//! Configuration files, Docker's and ours.

use ocm_config::docker::DockerConfigFile;
use ocm_config::graph::CredentialGraph;
use ocm_config::{Config, ConfigDocument, ConfigEntry, ConsumerIdentity, Environment};

/// A configuration document with all sections that it may have.
pub fn config_document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let document = match ConfigDocument::parse(text, "fuzz") {
        Ok(document) => document,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains("the parser has stopped"), "{message}");
            return;
        }
    };
    for entry in document.entries() {
        assert!(entry.kind().starts_with(entry.name()));
        let _ = (entry.location().to_string(), entry.masked());
        let alone = ConfigDocument::from_value(entry.exposed(), "fuzz");
        let alone = alone.expect("an entry is a document by itself");
        let kinds: Vec<_> = alone.entries().iter().map(ConfigEntry::kind).collect();
        assert_eq!(kinds, [entry.kind()]);
    }
    let config = Config::new([document]);
    let _ = (config.filesystem().is_ok(), config.http().is_ok());
    let _ = (config.transfer().is_ok(), config.signing("default").is_ok());
    let _ = (
        config.resolvers().is_ok(),
        config.prefix_resolvers().is_ok(),
    );
    // It is not asked anything: that might run a program which the document names.
    let graph = CredentialGraph::new(&config, &Environment::default());
    let _ = graph.near_misses(&registry());
}

/// Docker's configuration file.
pub fn docker_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(mut file) = DockerConfigFile::parse(text, "fuzz") else {
        return;
    };
    let env = Environment::default();
    for host in [
        "ghcr.io",
        "https://index.docker.io/v1/",
        "localhost:5000/a",
        "",
    ] {
        let _ = file.helper_for(host, &env).is_ok();
    }
    // A helper would be run.
    if matches!(file.helper_for("ghcr.io", &env), Ok(None)) {
        let _ = crate::block_on(file.resolve(&registry(), &env));
    }
    file.set("ghcr.io", "robot", "secret");
    if matches!(file.helper_for("ghcr.io", &env), Ok(None)) {
        let bare = ConsumerIdentity::oci_registry("ghcr.io").expect("it is a host");
        let found = crate::block_on(file.resolve(&bare, &env));
        let found = found.expect("it was just set").expect("it was just set");
        assert_eq!(found.username().as_deref(), Some("robot"));
    }
    assert!(file.remove("ghcr.io"));
    assert!(!file.remove("ghcr.io"));
}

/// The URL of who needs credentials.
pub fn consumer_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(identity) = ConsumerIdentity::oci_registry(text) {
        assert!(
            identity
                .get(ConsumerIdentity::HOSTNAME)
                .is_some_and(|host| !host.is_empty())
        );
        let _ = identity.to_string();
    }
}

fn registry() -> ConsumerIdentity {
    ConsumerIdentity::oci_registry("https://ghcr.io/acme/shop").expect("it is a URL")
}
