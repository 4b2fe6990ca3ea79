//! Keys from secrets of the cluster.

use ocm_controllers::api::{LocalRef, Verification};
use ocm_controllers::keys;

use crate::world::{apply, client, cluster};

fn verification(secret: &str) -> Verification {
    Verification {
        signature: "acme".to_owned(),
        secret_ref: Some(LocalRef {
            name: secret.to_owned(),
        }),
        value: None,
    }
}

#[tokio::test]
async fn a_key_is_in_a_secret_of_the_namespace() {
    let (namespace, other) = (cluster().namespace(), cluster().namespace());
    apply(
        &namespace,
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {acme: pem, other: x}\n",
    );
    let client = client().await;
    let found = keys::read(&client, &namespace, &[verification("keys")]).await;
    let found = found.unwrap();
    assert_eq!(found[0].signature, "acme");
    assert_eq!(found[0].key.bytes.expose(), b"pem");
    let error = keys::read(&client, &other, &[verification("keys")]).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "secret \"keys\" does not exist"
    );
}
