//! Signatures of Sigstore, as far as nobody else is needed for them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ocm_testkit::Cli;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{SMALL, empty};

const VERSION: &str = "shop//acme.org/small:1.0.0";

const TEST_ONLY_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbUjKaqW4c6WNSKIU
aNBuzk83N++liwUvx+Jad3zebcChRANCAARYvH6MZMESOQb0KMvWmRBlspjZ7ujy
V1EDJoodJXxoDwfMK+ppcC3kjeYGgG/fgYZ6wjWkNXZIL2Xu4R8FUpH9
-----END PRIVATE KEY-----
";

const TEST_ONLY_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWLx+jGTBEjkG9CjL1pkQZbKY2e7o
8ldRAyaKHSV8aA8HzCvqaXAt5I3mBoBv34GGesI1pDV2SC9l7uEfBVKR/Q==
-----END PUBLIC KEY-----
";

const WITHOUT_LOG: &str =
    "type: SigstoreVerificationConfiguration/v1alpha1\nprivateInfrastructure: true\n";

fn world() -> Cli {
    let cli = empty();
    cli.write("small.yaml", SMALL);
    cli.ok("add cv -r shop small.yaml");
    cli
}

/// A token of an issuer that nobody knows, which ends at this second of the epoch.
fn token(expires: i64) -> String {
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"iss":"https://id.test","sub":"ann","exp":{expires}}}"#);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"ES256"}"#.to_owned()),
        part(claims)
    )
}

/// Signs with services that are all at one address.
fn sign_at(cli: &mut Cli, address: &str) -> ocm_testkit::Run {
    let service = |version: u32| {
        format!(
            r#"{{"url":"http://{address}","majorApiVersion":{version},"operator":"test","validFor":{{"start":"2024-01-01T00:00:00Z"}}}}"#
        )
    };
    let one = service(1);
    cli.write(
        "services.json",
        format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{one}],"rekorTlogUrls":[{one}],"rekorTlogConfig":{{"selector":"ANY"}}}}"#
        ),
    );
    cli.write(
        "how.yaml",
        "type: SigstoreSigningConfiguration/v1alpha1\nsigningConfig: services.json\n",
    );
    cli.set("SIGSTORE_ID_TOKEN", &token(9_999_999_999));
    cli.name(address, "address");
    cli.run(&format!("sign cv {VERSION} --signer-spec how.yaml"))
}

/// Signs with a service that answers everything with this status.
fn sign_refused(status: &str) -> ocm_testkit::Run {
    let mut cli = world();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0)));
    let listener = listener.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    runtime.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole request comes before the answer, so that the connection is not reset.
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    sign_at(&mut cli, &address)
}

#[test]
fn a_key_signs_without_services() {
    let cli = world();
    cli.write("key", TEST_ONLY_KEY);
    cli.write("key.pub", TEST_ONLY_PUBLIC_KEY);
    cli.write("rules.yaml", WITHOUT_LOG);
    cli.ok(&format!("sign cv {VERSION} -S Sigstore/v1alpha1 -K key"));
    cli.ok(&format!(
        "verify cv {VERSION} -k key.pub --verifier-spec rules.yaml"
    ));
    // Unless it is said otherwise, a signature must be in a log.
    let strict = cli.run(&format!("verify cv {VERSION} -k key.pub"));
    assert_eq!(strict.code, Some(4), "{strict}");
    cli.ok("create keypair other other.pub");
    let other = cli.run(&format!(
        "verify cv {VERSION} -k other.pub --verifier-spec rules.yaml"
    ));
    assert_eq!(other.code, Some(4), "{other}");
}

#[test]
fn who_must_have_signed_has_to_be_said() {
    let cli = world();
    cli.write("key", TEST_ONLY_KEY);
    cli.ok(&format!("sign cv {VERSION} -S Sigstore/v1alpha1 -K key"));
    insta::assert_snapshot!(cli.run(&format!("verify cv {VERSION}")), @r#"
    $ ocm verify cv shop//acme.org/small:1.0.0
    exit 2
    --- stderr
    error: no rule says who must have made signature `default`

    hint: say who must have signed: a SigstoreVerificationConfiguration, configured for the signature or given with --verifier-spec
    "#);
    cli.write(
        "rules.yaml",
        "type: SigstoreVerificationConfiguration/v1alpha1\ncertificateIdentity: ann@acme.org\n",
    );
    insta::assert_snapshot!(cli.run(&format!("verify cv {VERSION} --verifier-spec rules.yaml")), @r#"
    $ ocm verify cv shop//acme.org/small:1.0.0 --verifier-spec rules.yaml
    exit 2
    --- stderr
    error: shop//acme.org/small:1.0.0 is not verified
      caused by: cannot prepare signature `default` of Sigstore
      caused by: a verification without rule means nothing: set `certificateOIDCIssuer` or `certificateOIDCIssuerRegexp`
    "#);
    cli.write(
        "rules.yaml",
        "type: SigstoreVerificationConfiguration/v1alpha1\ncertificateIdentity: ann@acme.org\n\
         certificateOIDCIssuer: https://id.acme.org\n",
    );
    let run = cli.run(&format!("verify cv {VERSION} --verifier-spec rules.yaml"));
    assert_eq!(run.code, Some(4), "{run}");
}

#[test]
fn who_signs_has_to_be_known() {
    let mut cli = world();
    insta::assert_snapshot!(cli.run(&format!("sign cv {VERSION} -S Sigstore/v1alpha1")), @r#"
    $ ocm sign cv shop//acme.org/small:1.0.0 -S Sigstore/v1alpha1
    exit 5
    --- stderr
    error: no identity token for signature `default`

    hint: set SIGSTORE_ID_TOKEN, run as a job that may have a token, configure one for the consumer SigstoreSigner/v1alpha1, or log in at a terminal
    "#);
    cli.set("SIGSTORE_ID_TOKEN", &token(1_700_000_000));
    insta::assert_snapshot!(cli.run(&format!("sign cv {VERSION} -S Sigstore/v1alpha1")), @r#"
    $ ocm sign cv shop//acme.org/small:1.0.0 -S Sigstore/v1alpha1
    exit 5
    --- stderr
    error: cannot prepare signature `default` of Sigstore
      caused by: the identity token has expired at 2023-11-14T22:13:20Z
    "#);
    cli.set("SIGSTORE_ID_TOKEN", "secret");
    let run = cli.run(&format!("sign cv {VERSION} -S Sigstore/v1alpha1"));
    assert_eq!(run.code, Some(2), "{run}");
    assert!(!run.to_string().contains("secret"), "{run}");
}

#[test]
fn services_that_fail_are_told_apart() {
    let mut cli = world();
    // Nothing listens on this port of the loopback interface.
    let nobody = sign_at(&mut cli, "127.0.0.1:9");
    assert_eq!(nobody.code, Some(7), "{nobody}");
    for (status, code) in [
        ("401 Unauthorized", 5),
        ("403 Forbidden", 5),
        ("400 Bad Request", 5),
        ("500 Internal Server Error", 7),
        ("503 Service Unavailable", 7),
    ] {
        let run = sign_refused(status);
        assert_eq!(run.code, Some(code), "{run}");
    }
    insta::assert_snapshot!(sign_refused("403 Forbidden"), @r#"
    $ ocm sign cv shop//acme.org/small:1.0.0 --signer-spec how.yaml
    exit 5
    --- stderr
    error: cannot make signature `default`
      caused by: Fulcio at http://<address>/ refuses with 403 Forbidden
    "#);
}
