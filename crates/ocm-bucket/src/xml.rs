//! What S3 answers in XML.
//!
//! Elements are found by their names, whatever their namespace: servers differ in it.

use std::fmt;

use jiff::Timestamp;
use roxmltree::{Document, Node, ParsingOptions};

/// How large an answer may be, in bytes. A page of a list has 1000 keys of at most 1024 bytes.
pub(crate) const LIMIT: u64 = 8 * 1024 * 1024;

/// How many nodes an answer may have.
const MAX_NODES: u32 = 200_000;

/// An object in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, by the clock of the server.
    pub modified: Timestamp,
    /// The tag by which the server knows this very content; empty if it does not say.
    pub tag: String,
}

/// A page of a list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// The objects, sorted by key.
    pub objects: Vec<Listed>,
    /// How the next page is asked for, if there is one.
    pub next: Option<String>,
}

/// A multipart upload in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unfinished {
    /// The key of the object to be.
    pub key: String,
    /// The name of the upload.
    pub id: String,
    /// When it was started, by the clock of the server.
    pub started: Timestamp,
}

/// A page of a list of multipart uploads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnfinishedPage {
    /// The uploads.
    pub uploads: Vec<Unfinished>,
    /// Key and upload after which the next page begins, if there is one.
    pub next: Option<(String, String)>,
}

/// What went wrong, as a server says it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    /// The code, such as `SlowDown`.
    pub code: String,
    /// The message, for people.
    pub message: String,
}

/// Reads a page of a list of objects (`ListObjectsV2`).
///
/// # Errors
///
/// Why it is none.
pub fn page(text: &str) -> Result<Page, String> {
    let document = parse(text)?;
    let root = root(&document, "ListBucketResult")?;
    let objects = children(root, "Contents")
        .map(|node| {
            Ok(Listed {
                key: required(node, "Key")?,
                size: number(&required(node, "Size")?)?,
                modified: time(&required(node, "LastModified")?)?,
                tag: required(node, "ETag").unwrap_or_default(),
            })
        })
        .collect::<Result<_, String>>()?;
    let next = is_truncated(root).then(|| required(root, "NextContinuationToken"));
    let next = next.transpose()?;
    Ok(Page { objects, next })
}

/// Reads a page of a list of multipart uploads (`ListMultipartUploads`).
///
/// # Errors
///
/// Why it is none.
pub fn unfinished(text: &str) -> Result<UnfinishedPage, String> {
    let document = parse(text)?;
    let root = root(&document, "ListMultipartUploadsResult")?;
    let uploads = children(root, "Upload")
        .map(|node| {
            Ok(Unfinished {
                key: required(node, "Key")?,
                id: required(node, "UploadId")?,
                started: time(&required(node, "Initiated")?)?,
            })
        })
        .collect::<Result<_, String>>()?;
    let next = is_truncated(root).then(|| {
        let upload = child(root, "NextUploadIdMarker").unwrap_or_default();
        required(root, "NextKeyMarker").map(|key| (key, upload))
    });
    let next = next.transpose()?;
    Ok(UnfinishedPage { uploads, next })
}

/// Reads the name of a multipart upload that has been started (`CreateMultipartUpload`).
///
/// # Errors
///
/// Why there is none.
pub fn started(text: &str) -> Result<String, String> {
    let document = parse(text)?;
    required(
        root(&document, "InitiateMultipartUploadResult")?,
        "UploadId",
    )
}

/// Reads what went wrong; what is no such document says nothing.
pub fn refusal(text: &str) -> Option<Refusal> {
    let document = parse(text).ok()?;
    let root = root(&document, "Error").ok()?;
    Some(Refusal {
        code: child(root, "Code")?,
        message: child(root, "Message").unwrap_or_default(),
    })
}

/// Keys that are good for a while.
#[derive(Clone, Eq, PartialEq)]
pub struct Session {
    /// The access key.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The token that goes with them.
    pub token: String,
    /// Until when.
    pub expires: Timestamp,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Reads the keys of a session (`AssumeRoleWithWebIdentity`).
///
/// # Errors
///
/// Why there are none.
pub fn session(text: &str) -> Result<Session, String> {
    let document = parse(text)?;
    let root = root(&document, "AssumeRoleWithWebIdentityResponse")?;
    let result = children(root, "AssumeRoleWithWebIdentityResult").next();
    let keys = result.and_then(|result| children(result, "Credentials").next());
    let keys = keys.ok_or_else(|| "it has no `Credentials`".to_owned())?;
    Ok(Session {
        id: required(keys, "AccessKeyId")?,
        secret: required(keys, "SecretAccessKey")?,
        token: required(keys, "SessionToken")?,
        expires: time(&required(keys, "Expiration")?)?,
    })
}

/// Reads the code of what went wrong at a token service.
pub fn nested_refusal(text: &str) -> Option<String> {
    let document = parse(text).ok()?;
    let root = root(&document, "ErrorResponse").ok()?;
    child(children(root, "Error").next()?, "Code")
}

/// Writes the parts that become an object (`CompleteMultipartUpload`), by their tags.
pub(crate) fn parts<'a>(tags: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("<CompleteMultipartUpload>");
    for (at, tag) in tags.enumerate() {
        let number = at + 1;
        let tag = tag.replace('&', "&amp;").replace('<', "&lt;");
        text.push_str("<Part><PartNumber>");
        text.push_str(&number.to_string());
        text.push_str("</PartNumber><ETag>");
        text.push_str(&tag);
        text.push_str("</ETag></Part>");
    }
    text.push_str("</CompleteMultipartUpload>");
    text
}

fn parse(text: &str) -> Result<Document<'_>, String> {
    let options = ParsingOptions {
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    // Some servers send spaces first, to say that they are at it.
    Document::parse_with_options(text.trim_start(), options).map_err(|error| error.to_string())
}

fn root<'a, 'b>(document: &'a Document<'b>, name: &str) -> Result<Node<'a, 'b>, String> {
    let root = document.root_element();
    let found = root.tag_name().name();
    if found == name {
        Ok(root)
    } else {
        Err(format!("it is `{found}`, not `{name}`"))
    }
}

fn children<'a, 'b>(
    parent: Node<'a, 'b>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'b>> {
    parent
        .children()
        .filter(move |node| node.is_element() && node.tag_name().name() == name)
}

fn child(parent: Node<'_, '_>, name: &'static str) -> Option<String> {
    let node = children(parent, name).next()?;
    Some(node.text().unwrap_or_default().to_owned())
}

fn required(parent: Node<'_, '_>, name: &'static str) -> Result<String, String> {
    child(parent, name).ok_or_else(|| format!("it has no `{name}`"))
}

fn is_truncated(root: Node<'_, '_>) -> bool {
    child(root, "IsTruncated").is_some_and(|text| text == "true")
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|error| format!("`{text}` is no size: {error}"))
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|error| format!("`{text}` is no time: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>acme</Name>
<IsTruncated>true</IsTruncated><NextContinuationToken>1&amp;2</NextContinuationToken>
<Contents><Key>a/b</Key><LastModified>2026-11-28T13:00:00.000Z</LastModified><ETag>"x"</ETag>
<Size>5</Size><StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"#;

    #[test]
    fn a_page_of_objects_is_read() {
        let page = page(LIST).unwrap();
        assert_eq!(page.next.as_deref(), Some("1&2"));
        let [object] = &page.objects[..] else {
            panic!("{page:?}")
        };
        assert_eq!((object.key.as_str(), object.size), ("a/b", 5));
        assert_eq!(object.modified.to_string(), "2026-11-28T13:00:00Z");
    }

    #[test]
    fn uploads_are_read() {
        let text = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload>\
            <Key>a</Key><UploadId>u</UploadId><Initiated>2026-11-28T13:00:00Z</Initiated></Upload>\
            </ListMultipartUploadsResult>";
        let page = unfinished(text).unwrap();
        assert_eq!(page.next, None);
        assert_eq!((&*page.uploads[0].key, &*page.uploads[0].id), ("a", "u"));
        let text = "  <InitiateMultipartUploadResult><UploadId>u</UploadId>\
            </InitiateMultipartUploadResult>";
        assert_eq!(started(text).as_deref(), Ok("u"));
    }

    #[test]
    fn what_is_something_else_is_refused() {
        for (text, reason) in [
            ("", ""),
            ("<Error><Code>x</Code></Error>", "it is `Error`"),
            (
                "<ListBucketResult><Contents/></ListBucketResult>",
                "no `Key`",
            ),
            (
                "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
                "no `NextContinuationToken`",
            ),
            (&LIST.replace(">5<", ">-5<"), "no size"),
            (&LIST.replace("2026-11-28T", "yesterday"), "no time"),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><ListBucketResult/>", "DTD"),
        ] {
            let error = page(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(refusal("<html>"), None);
        let many = "<a/>".repeat(MAX_NODES as usize + 1);
        assert!(page(&format!("<ListBucketResult>{many}</ListBucketResult>")).is_err());
    }

    #[test]
    fn a_refusal_has_a_code() {
        let text = "<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>";
        let expected = Refusal {
            code: "SlowDown".to_owned(),
            message: "Reduce".to_owned(),
        };
        assert_eq!(refusal(text), Some(expected));
    }

    #[test]
    fn keys_of_a_session_are_read_and_do_not_show() {
        let text = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>\
            <Credentials><AccessKeyId>i</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey>\
            <SessionToken>hidden</SessionToken><Expiration>2026-11-28T13:00:00Z</Expiration>\
            </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        let keys = session(text).unwrap();
        assert_eq!((&*keys.id, &*keys.token), ("i", "hidden"));
        assert!(!format!("{keys:?}").contains("hidden"));
        assert!(session(&text.replace("Credentials", "Other")).is_err());
        let text = "<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>";
        assert_eq!(nested_refusal(text).as_deref(), Some("ExpiredToken"));
    }

    #[test]
    fn parts_are_numbered() {
        assert_eq!(
            parts(["\"a\"", "<b>"].into_iter()),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part>\
             <Part><PartNumber>2</PartNumber><ETag>&lt;b></ETag></Part></CompleteMultipartUpload>"
        );
    }
}
