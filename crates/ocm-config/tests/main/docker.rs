//! Docker's configuration: files, helpers, logging in.

use ocm_config::docker::{DockerConfigFile, HELPER_TIMEOUT};
use ocm_config::graph::CredentialGraph;
use ocm_config::{Config, ConfigDocument, ConsumerIdentity, Credentials};
use serde_json::{Value, json};

use crate::place::Place;

fn auths(host: &str, user: &str) -> String {
    json!({"auths": {host: {"username": user, "password": "p"}}}).to_string()
}

fn registry(url: &str) -> ConsumerIdentity {
    ConsumerIdentity::oci_registry(url).unwrap()
}

async fn user(graph: &CredentialGraph, url: &str) -> Option<String> {
    graph.resolve(&registry(url)).await.unwrap()?.username()
}

fn empty(place: &Place) -> CredentialGraph {
    CredentialGraph::new(&Config::default(), &place.env)
}

/// Builds a graph with one repository, configured in `home/conf/c.yaml`.
fn repository(place: &Place, spec: &str) -> CredentialGraph {
    let text =
        format!("type: credentials.config.ocm.software\nrepositories:\n- repository: {spec}\n");
    let document = ConfigDocument::parse(&text, place.path("home/conf/c.yaml")).unwrap();
    CredentialGraph::new(&Config::new([document]), &place.env)
}

#[tokio::test]
async fn without_any_configuration_dockers_own_is_read() {
    let mut place = Place::new();
    assert_eq!(user(&empty(&place), "h").await, None);
    place.write("home/.docker/config.json", auths("h", "home"));
    assert_eq!(
        user(&empty(&place), "https://h/x").await.as_deref(),
        Some("home")
    );
    place.write("other/config.json", auths("h", "variable"));
    place.set("DOCKER_CONFIG", place.path("other").display().to_string());
    assert_eq!(user(&empty(&place), "h").await.as_deref(), Some("variable"));
    place.set("OCM_DISABLE_AUTO_CONFIG", "1");
    assert_eq!(user(&empty(&place), "h").await, None);
}

#[tokio::test]
async fn the_files_of_podman_are_read_too() {
    let mut place = Place::new();
    place.write("home/.config/containers/auth.json", auths("h", "config"));
    assert_eq!(user(&empty(&place), "h").await.as_deref(), Some("config"));
    place.write("run/containers/auth.json", auths("h", "runtime"));
    place.set("XDG_RUNTIME_DIR", place.path("run").display().to_string());
    assert_eq!(user(&empty(&place), "h").await.as_deref(), Some("runtime"));
    let file = place.write("auth.json", auths("h", "file"));
    place.set("REGISTRY_AUTH_FILE", file.display().to_string());
    assert_eq!(user(&empty(&place), "h").await.as_deref(), Some("file"));
}

#[tokio::test]
async fn a_consumer_wins_over_a_store() {
    let place = Place::new();
    place.write("home/.docker/config.json", auths("h", "docker"));
    let text = "
type: credentials.config.ocm.software
consumers:
- identity: {type: OCIRegistry, hostname: h}
  credentials: [{type: Credentials, properties: {username: consumer}}]
- identity: {type: OCIRegistry, hostname: h, path: empty}
  credentials: [{type: Unheard}]
";
    let config = Config::new([ConfigDocument::parse(text, "test").unwrap()]);
    let graph = CredentialGraph::new(&config, &place.env);
    assert_eq!(user(&graph, "h/x").await.as_deref(), Some("consumer"));
    assert_eq!(user(&graph, "h/empty").await.as_deref(), Some("docker"));
}

#[tokio::test]
async fn a_configured_file_is_found_like_any_other() {
    let place = Place::new();
    place.write("home/d.json", auths("h", "home"));
    place.write("home/conf/d.json", auths("h", "beside"));
    let tilde = repository(
        &place,
        "{type: DockerConfig/v1, dockerConfigFile: ~/d.json}",
    );
    assert_eq!(user(&tilde, "h").await.as_deref(), Some("home"));
    let relative = repository(&place, "{type: DockerConfig, dockerConfigFile: d.json}");
    assert_eq!(user(&relative, "h").await.as_deref(), Some("beside"));
    let missing = repository(&place, "{type: DockerConfig, dockerConfigFile: none.json}");
    assert_eq!(user(&missing, "h").await, None);
}

#[tokio::test]
async fn a_configuration_may_stand_in_the_document() {
    let place = Place::new();
    for spec in [
        r#"{type: DockerConfig/v1, dockerConfig: '{"auths": {"h": {"auth": "dTpw"}}}'}"#,
        "{type: DockerConfig/v1, dockerConfig: {auths: {h: {auth: dTpw}}}}",
    ] {
        assert_eq!(
            user(&repository(&place, spec), "h").await.as_deref(),
            Some("u")
        );
    }
    let broken = repository(&place, "{type: DockerConfig/v1, dockerConfig: '{'}");
    assert_eq!(broken.warnings().len(), 1);
}

#[tokio::test]
async fn a_broken_file_is_an_error_only_where_it_is_configured() {
    let place = Place::new();
    place.write("home/.docker/config.json", "{");
    assert_eq!(user(&empty(&place), "h").await, None);
    let configured = repository(&place, "{type: DockerConfig/v1}");
    let error = configured.resolve(&registry("h")).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("c.yaml:3:15: repositories[0].repository"),
        "{error}"
    );
}

#[cfg(unix)]
mod helpers {
    use super::*;

    async fn ask(place: &Place, file: Value, url: &str) -> Result<Option<Credentials>, String> {
        let file = DockerConfigFile::parse(&file.to_string(), "test").unwrap();
        let found = file.resolve(&registry(url), &place.env).await;
        found.map_err(|error| error.to_string())
    }

    /// Answers with the name of the helper and the server that it was asked for.
    const ECHO: &str = r#"read server
test "$1" = get || exit 9
echo "{\"ServerURL\":\"$server\",\"Username\":\"${0##*-}\",\"Secret\":\"$server\"}""#;

    #[tokio::test]
    async fn the_helper_of_a_host_wins_over_the_general_one() {
        let place = Place::new();
        place.helper("one", ECHO);
        place.helper("all", ECHO);
        let file = json!({"credHelpers": {"h:5000": "one"}, "credsStore": "all", "auths": {
            "h:5000": {}, "k/team": {"auth": "dTpw"}, "k": {"auth": "eDpw"},
        }});
        let found = |url: &'static str| {
            let (place, file) = (&place, file.clone());
            async move {
                let found = ask(place, file, url).await.unwrap().unwrap();
                (
                    found.username().unwrap(),
                    found.password().unwrap().into_exposed(),
                )
            }
        };
        assert_eq!(found("h:5000/x").await, ("one".into(), "h:5000".into()));
        assert_eq!(found("k/x").await, ("all".into(), "k".into()));
        assert_eq!(found("k/team/x").await, ("u".into(), "p".into()));
        let hub = ("all".into(), "https://index.docker.io/v1/".into());
        assert_eq!(found("docker.io/library/x").await, hub);
    }

    #[tokio::test]
    async fn a_helper_may_answer_with_an_identity_token() {
        let place = Place::new();
        place.helper("t", r#"echo '{"Username":"<token>","Secret":"tok"}'"#);
        let found = ask(&place, json!({"credsStore": "t"}), "h")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.identity_token().unwrap().expose(), "tok");
        assert_eq!(found.username(), None);
    }

    #[tokio::test]
    async fn a_helper_that_knows_nothing_leaves_it_to_the_file() {
        let place = Place::new();
        place.helper("n", "echo credentials not found in native keychain; exit 1");
        let file = json!({"credsStore": "n", "auths": {"h": {"auth": "dTpw"}}});
        let found = ask(&place, file.clone(), "h").await.unwrap();
        assert_eq!(found.unwrap().username().as_deref(), Some("u"));
        assert_eq!(ask(&place, file, "other").await, Ok(None));
    }

    #[tokio::test]
    async fn a_helper_that_fails_says_why() {
        let place = Place::new();
        place.helper("f", "echo locked >&2; exit 3");
        place.helper("q", "exit 3");
        place.helper("g", "echo hunter2");
        place.helper("big", "yes | head -c 200000");
        let check = |name: &'static str| {
            let place = &place;
            async move {
                ask(place, json!({"credsStore": name}), "h")
                    .await
                    .unwrap_err()
            }
        };
        assert_eq!(
            check("f").await,
            "credential helper docker-credential-f failed to get: locked"
        );
        assert_eq!(
            check("q").await,
            "credential helper docker-credential-q failed to get: exit status: 3"
        );
        let no_answer = "did not answer with a user and a secret in JSON";
        assert!(check("g").await.ends_with(no_answer));
        assert!(check("big").await.ends_with(no_answer));
        assert_eq!(
            check("absent").await,
            "credential helper docker-credential-absent is not on the PATH"
        );
        assert_eq!(
            check("../x").await,
            "`../x` is not the name of a credential helper"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_that_waits_is_given_up() {
        let place = Place::new();
        // Waits for a writer that never comes; the paused clock runs ahead meanwhile.
        place.helper("w", "mkfifo \"$HOME/pipe\"; read x < \"$HOME/pipe\"");
        let mut place = place;
        place.set("HOME", place.path("home").display().to_string());
        let before = tokio::time::Instant::now();
        let error = ask(&place, json!({"credsStore": "w"}), "h")
            .await
            .unwrap_err();
        assert_eq!(
            error,
            "credential helper docker-credential-w did not answer within 10 seconds"
        );
        assert!(before.elapsed() >= HELPER_TIMEOUT);
    }

    #[tokio::test]
    async fn a_helper_sees_only_the_environment_that_is_handed_in() {
        let mut place = Place::new();
        place.set("GIVEN", "yes");
        place.helper(
            "e",
            r#"echo "{\"Username\":\"$GIVEN\",\"Secret\":\"${CARGO_MANIFEST_DIR:-unset}\"}""#,
        );
        let found = ask(&place, json!({"credsStore": "e"}), "h")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.username().as_deref(), Some("yes"));
        assert_eq!(found.password().unwrap().expose(), "unset");
    }

    #[tokio::test]
    async fn a_helper_keeps_and_forgets() {
        let mut place = Place::new();
        place.set("LOG", place.path("log").display().to_string());
        place.helper("k", "echo \"$1 $(cat)\" >> \"$LOG\"");
        let text = json!({"credsStore": "k"}).to_string();
        let file = DockerConfigFile::parse(&text, "test").unwrap();
        let helper = file.helper_for("docker.io", &place.env).unwrap().unwrap();
        helper.store("docker.io", "u", "p").await.unwrap();
        helper.erase("docker.io").await.unwrap();
        let server = "https://index.docker.io/v1/";
        assert_eq!(
            place.read("log"),
            format!(
                "store {{\"ServerURL\":\"{server}\",\"Username\":\"u\",\"Secret\":\"p\"}}\nerase {server}\n"
            )
        );
    }

    #[tokio::test]
    async fn a_login_is_written_for_its_owner_alone_and_a_link_stays_one() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let place = Place::new();
        let real = place.write("dotfiles/docker.json", r#"{"psFormat": "x", "auths": {}}"#);
        let link = place.path("home/config.json");
        symlink(&real, &link).unwrap();

        let mut file = DockerConfigFile::open(&link).await.unwrap();
        file.set("ghcr.io", "u", "p");
        file.save(&link).await.unwrap();

        assert!(link.symlink_metadata().unwrap().is_symlink());
        let mode = real.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let written: Value = serde_json::from_str(&place.read("dotfiles/docker.json")).unwrap();
        let expected = json!({"psFormat": "x", "auths": {"ghcr.io": {"auth": "dTpw"}}});
        assert_eq!(written, expected);
        let left = std::fs::read_dir(place.path("dotfiles")).unwrap().count();
        assert_eq!(left, 1);
    }
}

#[tokio::test]
async fn a_first_login_creates_the_file() {
    let place = Place::new();
    let path = DockerConfigFile::default_path(&place.env).unwrap();
    let mut file = DockerConfigFile::open(&path).await.unwrap();
    file.set("docker.io", "u", "p");
    file.save(&path).await.unwrap();
    assert_eq!(
        user(&empty(&place), "docker.io/library/x").await.as_deref(),
        Some("u")
    );
}

#[tokio::test]
async fn a_login_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    place.write("home/file", "");
    let path = place.path("home/file/config.json");
    let error = DockerConfigFile::default().save(&path).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
}
