//! Loading: which files count, and how strong they are.

use std::error::Error as _;

use ocm_config::{Config, LoadError, Warning};

use crate::place::Place;

fn working_directory(name: &str) -> String {
    format!("type: filesystem.config.ocm.software/v1alpha1\nworkingDirectory: {name}\n")
}

async fn strongest(place: &Place) -> Option<String> {
    let config = Config::load(&[], &place.env).await.unwrap();
    config.filesystem().unwrap().working_directory
}

#[tokio::test]
async fn each_place_is_stronger_than_the_one_before() {
    let mut place = Place::new();
    assert_eq!(strongest(&place).await, None);
    for name in [
        "exe/.ocm/config",
        "exe/.ocmconfig",
        "home/.config/ocm/config",
        "home/.ocm/config",
        "home/.ocmconfig",
        "cwd/.ocm/config",
        "cwd/.ocmconfig",
    ] {
        place.write(name, working_directory(name));
        assert_eq!(strongest(&place).await.as_deref(), Some(name));
    }
    let first = place.write("first", working_directory("first"));
    let second = place.write("second", working_directory("second"));
    place.set(
        "OCM_CONFIG",
        format!("{}:{}", first.display(), second.display()),
    );
    assert_eq!(strongest(&place).await.as_deref(), Some("second"));

    let config = Config::load(&[first], &place.env).await.unwrap();
    let found = config.filesystem().unwrap().working_directory;
    assert_eq!(found.as_deref(), Some("first"));
    assert_eq!(config.documents().len(), 1);
}

#[tokio::test]
async fn a_named_file_has_to_be_there() {
    let mut place = Place::new();
    let missing = Config::load(&["nowhere".into()], &place.env).await;
    assert!(matches!(missing, Err(LoadError::NotFound { .. })));
    place.set("OCM_CONFIG", "nowhere");
    let missing = Config::load(&[], &place.env).await.unwrap_err();
    assert!(missing.to_string().contains("cwd/nowhere"), "{missing}");
}

#[tokio::test]
async fn a_found_file_that_cannot_be_opened_is_skipped_with_a_warning() {
    let place = Place::new();
    place.write("cwd/.ocm/config/directory", "");
    let config = Config::load(&[], &place.env).await.unwrap();
    assert!(matches!(config.warnings(), [Warning::Unreadable { .. }]));
}

#[tokio::test]
async fn a_malformed_file_is_named_with_line_and_column() {
    let place = Place::new();
    let path = place.write("cwd/.ocmconfig", "a: [\n");
    let error = Config::load(&[], &place.env).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}:", path.display())),
        "{error}"
    );
    assert!(error.source().is_none());
}

#[tokio::test]
async fn a_file_that_is_too_large_or_no_text_is_refused() {
    let place = Place::new();
    let large = place.write("large", vec![b'#'; (1 << 20) + 1]);
    let error = Config::load(&[large], &place.env).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is larger than 1048576 bytes"),
        "{error}"
    );
    let binary = place.write("binary", [0xff, 0xfe]);
    let error = Config::load(&[binary], &place.env).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is not a text in UTF-8"),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn an_endless_file_is_refused() {
    let place = Place::new();
    assert!(
        Config::load(&["/dev/zero".into()], &place.env)
            .await
            .is_err()
    );
}
