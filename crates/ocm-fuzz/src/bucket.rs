//! What the server of a bucket answers.

use ocm_bucket::{Place, xml};

/// An answer in XML, taken for each kind there is.
pub fn bucket_answer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(page) = xml::page(text) {
        for object in page.objects {
            assert!(object.key.len() <= text.len());
        }
    }
    if let Ok(page) = xml::unfinished(text) {
        assert!(page.uploads.len() <= text.len());
    }
    if let Ok(session) = xml::session(text)
        && session.secret.len() > 3
    {
        assert!(!format!("{session:?}").contains(&format!("secret: \"{}\"", session.secret)));
    }
    let _ = xml::started(text);
    let _ = xml::refusal(text);
    let _ = xml::nested_refusal(text);
}

/// The address of a bucket.
pub fn bucket_place(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(place) = text.parse::<Place>() {
        let again: Place = place
            .to_string()
            .parse()
            .expect("an address as it is shown");
        assert_eq!(
            (&again.bucket, &again.prefix),
            (&place.bucket, &place.prefix)
        );
        place.endpoint().expect("an address of a server");
    }
}
