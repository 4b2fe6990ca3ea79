//! Credentials that stand in files.

use ocm_config::graph::CredentialGraph;
use ocm_config::{Config, ConsumerIdentity, Credentials};

use crate::place::Place;

/// Writes a configuration with RSA credentials, and returns what the graph makes of them.
async fn rsa(place: &Place, credentials: &str) -> Credentials {
    let path = place.write(
        "home/conf/sign.yaml",
        format!(
            "type: credentials.config.ocm.software
consumers:
- identity: {{type: RSA/v1alpha1, algorithm: RSASSA-PSS, signature: default}}
  credentials: [{credentials}]
"
        ),
    );
    let config = Config::load(&[path], &place.env).await.unwrap();
    CredentialGraph::new(&config, &place.env)
        .resolve(&ConsumerIdentity::rsa("RSASSA-PSS", "default"))
        .await
        .unwrap()
        .unwrap()
}

const UNTYPED: &str = "{type: Credentials/v1, properties: {private_key_pem_file: ../keys/k.pem}}";
const TYPED: &str = "{type: RSACredentials/v1, privateKeyPEMFile: ../keys/k.pem}";

#[tokio::test]
async fn a_key_file_is_looked_for_in_the_working_directory_first() {
    for credentials in [UNTYPED, TYPED] {
        let place = Place::new();
        let found = rsa(&place, credentials).await;
        let error = found.private_key_pem().await.unwrap_err();
        assert!(error.is_not_found());
        assert!(error.to_string().contains("cwd/../keys/k.pem"), "{error}");

        place.write("home/keys/k.pem", "beside the configuration");
        let key = found.private_key_pem().await.unwrap().unwrap();
        assert_eq!(key.expose(), b"beside the configuration");

        place.write("keys/k.pem", "beside the working directory");
        let key = found.private_key_pem().await.unwrap().unwrap();
        assert_eq!(key.expose(), b"beside the working directory");
        assert_eq!(found.public_key_pem().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_key_in_the_configuration_needs_no_file() {
    let place = Place::new();
    let text = "{type: Credentials/v1, properties: {public_key_pem: P, private_key_pem: K}}";
    let found = rsa(&place, text).await;
    assert_eq!(
        found.public_key_pem().await.unwrap().unwrap().expose(),
        b"P"
    );
    assert_eq!(
        found.private_key_pem().await.unwrap().unwrap().expose(),
        b"K"
    );
}

#[tokio::test]
async fn a_key_file_in_the_home_directory_or_too_large() {
    let place = Place::new();
    place.write("home/k.pem", "home");
    let found = rsa(&place, "{type: RSACredentials, privateKeyPEMFile: ~/k.pem}").await;
    assert_eq!(
        found.private_key_pem().await.unwrap().unwrap().expose(),
        b"home"
    );
    place.write("home/k.pem", vec![b'x'; (1 << 20) + 1]);
    let error = found.private_key_pem().await.unwrap_err();
    assert!(
        error.to_string().ends_with("is larger than 1048576 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn every_kind_of_credentials_has_its_accessor() {
    let s3 = Credentials::untyped([
        ("awsAccessKeyID", "i"),
        ("awsSecretAccessKey", "s"),
        ("token", "t"),
    ]);
    assert_eq!(s3.access_key_id().as_deref(), Some("i"));
    assert_eq!(s3.secret_access_key().unwrap().expose(), "s");
    assert_eq!(s3.session_token().unwrap().expose(), "t");

    let gpg = Credentials::new(
        "GPGCredentials/v1alpha1",
        [("privateKeyPGP", "k"), ("passphrase", "p")],
    );
    assert_eq!(gpg.private_key_pgp().await.unwrap().unwrap().expose(), b"k");
    assert_eq!(gpg.passphrase().unwrap().expose(), "p");

    let place = Place::new();
    let file = place.write("t", "tok").display().to_string();
    let oidc = Credentials::new("OIDCIdentityToken/v1alpha1", [("tokenFile", file.clone())]);
    assert_eq!(oidc.oidc_token().await.unwrap().unwrap().expose(), b"tok");
    let helm = Credentials::new(
        "HelmHTTPCredentials/v1",
        [
            ("certFile", file.clone()),
            ("keyFile", file.clone()),
            ("keyring", file),
        ],
    );
    assert_eq!(
        helm.client_certificate().await.unwrap().unwrap().expose(),
        b"tok"
    );
    assert_eq!(helm.client_key().await.unwrap().unwrap().expose(), b"tok");
    assert_eq!(helm.keyring().await.unwrap().unwrap().expose(), b"tok");

    let wget = Credentials::new(
        "WgetCredentials/v1",
        [("identityToken", "t"), ("certificateAuthority", "ca")],
    );
    assert_eq!(wget.identity_token().unwrap().expose(), "t");
    assert_eq!(wget.certificate_authority().unwrap().expose(), "ca");
    let oci = Credentials::new(
        "OCICredentials/v1",
        [("accessToken", "a"), ("refreshToken", "r")],
    );
    assert_eq!(oci.access_token().unwrap().expose(), "a");
    assert_eq!(oci.identity_token().unwrap().expose(), "r");
    let github = Credentials::new("GitHubCredentials/v1", [("token", "g")]);
    assert_eq!(github.token().unwrap().expose(), "g");
    let root = Credentials::new("TrustedRoot/v1alpha1", [("trustedRootJSON", "{}")]);
    assert_eq!(
        root.trusted_root_json().await.unwrap().unwrap().expose(),
        b"{}"
    );
}
