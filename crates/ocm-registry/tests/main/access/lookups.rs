//! Whose rights count where many manifests are looked up in one request.

use futures::future::join_all;
use ocm_oci::lookup::{self, Lookup, Wanted};
use ocm_oci::{Error, Fetch as _, RepositoryName};
use reqwest::{Method, Response};

use super::{World, basic, push, token, world};
use crate::support::{expect_error, header, json};

#[tokio::test]
async fn each_repository_that_is_looked_up_needs_its_right() {
    let basic = basic().await;
    let names = ["acme/shop", "acme/public", "acme/secret", "bob/x"];
    let manifests = names.map(|name| Wanted {
        repository: name.parse().unwrap(),
        reference: "v1".parse().unwrap(),
    });
    let body = serde_json::to_vec(&Lookup {
        manifests: manifests.to_vec(),
    });
    let body = body.unwrap();
    let request = |world: &World| {
        let request = world.registry.request(Method::POST, lookup::PATH);
        request.body(body.clone())
    };
    let statuses = async |response: Response| -> Vec<u64> {
        let answer = json(response).await;
        let found = answer["manifests"].as_array().unwrap();
        found
            .iter()
            .map(|it| it["status"].as_u64().unwrap())
            .collect()
    };
    for (user, expected) in [
        ("alice", [404, 404, 404, 403]),
        ("bob", [404, 404, 403, 404]),
        ("", [403, 404, 403, 403]),
    ] {
        let request = match user {
            "" => request(&basic),
            user => request(&basic).basic_auth(user, Some(user)),
        };
        let found = statuses(request.send().await.unwrap()).await;
        assert_eq!(found, expected, "{user}");
    }
    let wrong = request(&basic).basic_auth("alice", Some("wrong"));
    expect_error(wrong.send().await.unwrap(), 401, "UNAUTHORIZED").await;
    let nobody = world(|options| options.rules = None).await;
    let response = request(&nobody).send().await.unwrap();
    expect_error(response, 401, "UNAUTHORIZED").await;

    // A token is good for what it names.
    let world = token().await;
    let response = request(&world).send().await.unwrap();
    assert!(header(&response, "www-authenticate").starts_with("Bearer realm="));
    expect_error(response, 401, "UNAUTHORIZED").await;
    let scope = "repository:acme/shop:pull&scope=repository:acme/secret:pull";
    let token = world.token("bob", scope).await;
    let response = request(&world).bearer_auth(token).send().await.unwrap();
    assert_eq!(statuses(response).await, [404, 403, 403, 403]);
}

#[tokio::test]
async fn clients_look_up_what_they_may_pull() {
    for world in [basic().await, token().await] {
        let owner = world.client("alice");
        let names = ["acme/shop", "acme/public", "acme/secret"];
        let names = names.map(|name| name.parse::<RepositoryName>().unwrap());
        for name in &names {
            push(&owner, name).await.unwrap();
        }
        let client = world.client("bob");
        let tag = "v1".parse().unwrap();
        client.resolve(&names[0], &tag).await.unwrap();
        let found = join_all(names.iter().map(|name| client.resolve(name, &tag))).await;
        assert!(found[0].is_ok() && found[1].is_ok(), "{found:?}");
        assert!(matches!(found[2], Err(Error::Denied { .. })), "{found:?}");
        let entry = world.log.entry(lookup::PATH).await;
        assert_eq!(entry.method, "POST");
        let asked = world.log.entries().into_iter();
        let alone =
            asked.filter(|it| it.method == "HEAD" && it.path == "/v2/acme/public/manifests/v1");
        assert_eq!(
            alone.count(),
            0,
            "what was answered together is not asked again"
        );
    }
}
