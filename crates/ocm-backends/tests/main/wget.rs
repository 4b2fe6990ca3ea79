//! Access and input `wget`.

use std::path::Path;

use ocm_backends::HttpSource;
use ocm_backends::wget::{WgetAccess, WgetInput};
use ocm_blob::{BlobRef, read_to_end};
use ocm_constructor::input::Produced;
use ocm_model::Access;
use ocm_repository::{AccessMethod as _, Content, Error};
use serde_json::{Value, json};

use crate::input::{chain, process};
use crate::web;

async fn content(http: HttpSource, mut access: Value) -> Result<BlobRef, Error> {
    access["type"] = "Wget/v1".into();
    let access = Access::from_json(access).unwrap();
    let method = WgetAccess::new(http);
    assert!(method.handles(&access));
    match method.content(&access).await? {
        Content::Blob(blob) => Ok(blob),
        Content::Artifact(_) => panic!("not a blob"),
    }
}

async fn text(blob: &BlobRef) -> String {
    let bytes = read_to_end(blob.as_ref(), u64::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn refused(address: &str, path: &str, access: Value) -> String {
    let mut access = access;
    access["url"] = format!("{address}{path}").into();
    let error = content(web::client(), access).await.unwrap_err();
    chain(&error).replace(address, "<server>")
}

#[tokio::test]
async fn content_is_asked_for_once_and_again_only_when_read_again() {
    let (address, log) = web::start(vec![("/hello.txt", b"hello".to_vec())]);
    let blob = content(
        web::client(),
        json!({"url": format!("{address}/hello.txt")}),
    )
    .await
    .unwrap();
    assert_eq!((blob.size(), blob.digest()), (Some(5), None));
    assert_eq!(blob.media_type(), Some("application/octet-stream"));
    assert_eq!(text(&blob).await, "hello");
    assert_eq!(log.take_requests().len(), 1);
    assert_eq!(text(&blob).await, "hello");
    assert_eq!(log.take_requests().len(), 1);
}

#[tokio::test]
async fn the_request_is_the_one_described() {
    let (address, _server) = web::start(vec![]);
    let url = format!("{address}/echo");
    let access =
        json!({"url": url, "verb": "POST", "body": "Ym9keQ==", "header": {"X-Extra": ["x"]}});
    let blob = content(web::client(), access).await.unwrap();
    assert_eq!(blob.media_type(), Some("text/echo"));
    assert_eq!(text(&blob).await, "POST x body");
    let given = content(web::client(), json!({"URL": url, "mediaType": "a/b"}))
        .await
        .unwrap();
    assert_eq!(given.media_type(), Some("a/b"));
}

#[tokio::test]
async fn redirects_are_followed_unless_forbidden() {
    let (address, _server) = web::start(vec![("/hello.txt", b"hello".to_vec())]);
    let url = format!("{address}/moved");
    let blob = content(web::client(), json!({"url": url})).await.unwrap();
    assert_eq!(text(&blob).await, "hello");
    insta::assert_snapshot!(refused(&address, "/moved", json!({"noRedirect": true})).await, @r"
    cannot read from 127.0.0.1
      caused by: <server>/moved: the server answered 302 Found
    ");
}

#[tokio::test]
async fn anything_but_success_is_an_error() {
    let (address, _server) = web::start(vec![]);
    insta::assert_snapshot!(refused(&address, "/missing", json!({})).await, @r"
    cannot read from 127.0.0.1
      caused by: <server>/missing not found
    ");
    insta::assert_snapshot!(refused(&address, "/broken?token=secret", json!({})).await, @r"
    cannot read from 127.0.0.1
      caused by: <server>/broken: the server answered 502 Bad Gateway
    ");
    insta::assert_snapshot!(refused(&address, "/secret", json!({})).await, @r"
    cannot read from 127.0.0.1
      caused by: <server>/secret: not authenticated
    ");
    insta::assert_snapshot!(refused(&address, "/", json!({"verb": "A B"})).await, @r"
    cannot address <server>/
      caused by: method `A B` is malformed: HTTP does not allow it
    ");
}

#[tokio::test]
async fn credentials_are_sent_to_their_server() {
    let (address, _server) = web::start(vec![]);
    let blob = content(
        web::client_at("Wget", &address, "username: user, password: pass"),
        json!({"url": format!("{address}/secret")}),
    );
    assert_eq!(text(&blob.await.unwrap()).await, "Basic dXNlcjpwYXNz");
}

#[tokio::test]
async fn an_input_becomes_what_the_server_has() {
    let (address, _server) = web::start(vec![("/hello.txt", b"hello".to_vec())]);
    let method = WgetInput::new(web::client());
    let here = Path::new(".");
    let input = format!("{{type: wget, url: '{address}/hello.txt', mediaType: text/plain}}");
    let result = process(&method, here, &input).await.unwrap();
    let Produced::Content(Content::Blob(blob)) = result.produced else {
        panic!("not a blob")
    };
    assert_eq!(
        (blob.media_type(), text(&blob).await.as_str()),
        (Some("text/plain"), "hello")
    );
    let refused = async |input: String| {
        let error = process(&method, here, &input).await.unwrap_err();
        chain(&error).replace(&address, "<server>")
    };
    insta::assert_snapshot!(refused(format!("{{type: wget, url: '{address}/x'}}")).await, @r"
    c.yaml:7:28: resources[0].input.url: cannot read the address
      caused by: cannot read from 127.0.0.1
      caused by: <server>/x not found
    ");
    insta::assert_snapshot!(refused("{type: wget}".to_owned()).await, @"c.yaml:7:10: resources[0].input: field `url` of `wget` is missing");
    insta::assert_snapshot!(refused("{type: wget, url: x, method: GET}".to_owned()).await, @"c.yaml:7:39: resources[0].input.method: is not a field of `wget`; known are `url`, `URL`, `mediaType`, `header`, `verb`, `body`, `noRedirect`");
}
