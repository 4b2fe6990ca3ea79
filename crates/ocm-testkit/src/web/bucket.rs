//! A bucket of S3 that can be written to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{Method, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::s3::{Query, Signers, decoded, refusal};
use super::{Answer, Asked, hex};

/// The smallest part that S3 takes unless it is the last.
const MIN_PART: usize = 5 * 1024 * 1024;

/// A bucket that keeps what is put into it: objects, whole and in parts, with conditions; lists in
/// pages. Addresses have the bucket in their path; those who ask sign in their address.
///
/// Clones share what is in it, so that a test can look, and disturb.
#[derive(Clone, Debug)]
pub struct Bucket {
    name: String,
    key: (String, String),
    has_conditions: bool,
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    started: usize,
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    media_type: String,
    tag: String,
    modified: Timestamp,
}

#[derive(Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<usize, (String, Bytes)>,
    started: Timestamp,
}

impl Bucket {
    /// The region of the bucket.
    pub const REGION: &'static str = "eu-central-1";

    /// Makes an empty bucket, for those who sign with a key.
    pub fn new(name: &str, id: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            key: (id.to_owned(), secret.to_owned()),
            has_conditions: true,
            content: Arc::default(),
        }
    }

    /// Has the server overlook conditions, as some do.
    #[must_use]
    pub fn without_conditions(self) -> Self {
        Self {
            has_conditions: false,
            ..self
        }
    }

    /// Returns the keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.content().objects.keys().cloned().collect()
    }

    /// Returns an object.
    pub fn object(&self, key: &str) -> Option<Bytes> {
        let content = self.content();
        content.objects.get(key).map(|object| object.bytes.clone())
    }

    /// Writes an object behind the back of everybody.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.content().put(key, bytes.into(), "binary/octet-stream");
    }

    /// Removes an object behind the back of everybody; returns whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.content().objects.remove(key).is_some()
    }

    /// Returns how many uploads in parts are unfinished.
    pub fn unfinished(&self) -> usize {
        self.content().uploads.len()
    }

    /// Makes everything that is there older.
    pub fn age(&self, by: SignedDuration) {
        let mut content = self.content();
        for object in content.objects.values_mut() {
            object.modified -= by;
        }
        for upload in content.uploads.values_mut() {
            upload.started -= by;
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers as the server does.
    pub fn answer(self) -> impl Fn(&Asked) -> Answer + Send + Sync + 'static {
        move |asked| {
            let query = Query::of(asked);
            let signers = Signers {
                id: &self.key.0,
                secret: &self.key.1,
                token: None,
                region: Self::REGION,
            };
            if let Err(answer) = signers.admit(asked, &query) {
                return answer;
            }
            let path = asked.path().strip_prefix('/').unwrap_or_default();
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            if bucket != self.name {
                return refusal(404, "NoSuchBucket");
            }
            let key = decoded(key);
            if key.is_empty() {
                return self.list(&query);
            }
            match (query.get("uploadId"), query.get("uploads")) {
                (Some(upload), _) => self.part(asked, &query, &key, upload),
                (None, Some(_)) if asked.method == Method::POST => self.start(&key),
                _ => self.whole(asked, &key),
            }
        }
    }

    fn whole(&self, asked: &Asked, key: &str) -> Answer {
        let mut content = self.content();
        let there = content.objects.get(key).cloned();
        let wanted = |name: http::HeaderName| {
            let value = asked.header(name);
            (self.has_conditions && !value.is_empty()).then(|| value.to_owned())
        };
        if asked.method == Method::PUT || asked.method == Method::DELETE {
            if wanted(IF_NONE_MATCH).is_some() && there.is_some() {
                return refusal(412, "PreconditionFailed");
            }
            if let Some(tag) = wanted(IF_MATCH) {
                match &there {
                    Some(object) if object.tag == tag => {}
                    Some(_) => return refusal(412, "PreconditionFailed"),
                    None if asked.method == Method::DELETE => {}
                    None => return refusal(404, "NoSuchKey"),
                }
            }
        }
        match asked.method {
            Method::PUT => {
                if asked.header(CONTENT_LENGTH).is_empty() {
                    return refusal(411, "MissingContentLength");
                }
                let media_type = asked.header(CONTENT_TYPE).to_owned();
                let tag = content.put(key, asked.body.clone(), &media_type);
                Answer::status(200).with(ETAG, &tag)
            }
            Method::DELETE => {
                content.objects.remove(key);
                Answer::status(204)
            }
            Method::GET | Method::HEAD => match there {
                None => refusal(404, "NoSuchKey"),
                Some(object) => {
                    let mut answer = Answer::file(object.bytes.clone())
                        .with(ETAG, &object.tag)
                        .with(CONTENT_TYPE, &object.media_type);
                    if asked.header(http::header::RANGE) == format!("bytes={}-", object.bytes.len())
                    {
                        answer = refusal(416, "InvalidRange");
                    }
                    answer
                }
            },
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn start(&self, key: &str) -> Answer {
        let mut content = self.content();
        content.started += 1;
        let id = format!("upload-{}", content.started);
        let upload = Upload {
            key: key.to_owned(),
            parts: BTreeMap::new(),
            started: Timestamp::now(),
        };
        content.uploads.insert(id.clone(), upload);
        document(
            "InitiateMultipartUploadResult",
            &format!("<UploadId>{id}</UploadId>"),
        )
    }

    fn part(&self, asked: &Asked, query: &Query, key: &str, id: &str) -> Answer {
        let mut content = self.content();
        let Some(upload) = content.uploads.get_mut(id).filter(|it| it.key == key) else {
            return refusal(404, "NoSuchUpload");
        };
        match asked.method {
            Method::PUT => {
                let number = query.get("partNumber").and_then(|text| text.parse().ok());
                let Some(number) = number.filter(|number| (1..=10_000).contains(number)) else {
                    return refusal(400, "InvalidArgument");
                };
                let tag = tag_of(&asked.body);
                upload
                    .parts
                    .insert(number, (tag.clone(), asked.body.clone()));
                Answer::status(200).with(ETAG, &tag)
            }
            Method::DELETE => {
                content.uploads.remove(id);
                Answer::status(204)
            }
            Method::POST => {
                let text = String::from_utf8_lossy(&asked.body).into_owned();
                let parts = match upload.chosen(&text) {
                    Ok(parts) => parts,
                    Err(code) => return refusal(400, code),
                };
                let bytes = parts.concat();
                content.uploads.remove(id);
                content.put(key, bytes.into(), "binary/octet-stream");
                document("CompleteMultipartUploadResult", "<ETag>x</ETag>")
            }
            _ => refusal(405, "MethodNotAllowed"),
        }
    }

    fn list(&self, query: &Query) -> Answer {
        let content = self.content();
        let prefix = query.get("prefix").unwrap_or_default();
        if query.get("uploads").is_some() {
            let mut text = "<IsTruncated>false</IsTruncated>".to_owned();
            for (id, upload) in &content.uploads {
                if upload.key.starts_with(prefix) {
                    write!(
                        text,
                        "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>{}</Initiated>\
                         </Upload>",
                        upload.key, upload.started
                    )
                    .expect("texts grow");
                }
            }
            return document("ListMultipartUploadsResult", &text);
        }
        let after = query.get("continuation-token").unwrap_or_default();
        let limit = query.get("max-keys").and_then(|text| text.parse().ok());
        let limit: usize = limit.unwrap_or(1000);
        let all = content.objects.iter();
        let mut found = all.filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let mut text = String::new();
        let mut last = String::new();
        for (key, object) in found.by_ref().take(limit) {
            write!(
                text,
                "<Contents><Key>{key}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                 <Size>{}</Size></Contents>",
                object.modified,
                object.tag.replace('"', "&quot;"),
                object.bytes.len()
            )
            .expect("texts grow");
            last.clone_from(key);
        }
        let more = found.next().is_some();
        write!(text, "<IsTruncated>{more}</IsTruncated>").expect("texts grow");
        if more {
            write!(
                text,
                "<NextContinuationToken>{last}</NextContinuationToken>"
            )
            .expect("texts grow");
        }
        document("ListBucketResult", &text)
    }
}

impl Content {
    fn put(&mut self, key: &str, bytes: Bytes, media_type: &str) -> String {
        let tag = tag_of(&bytes);
        let object = Object {
            bytes,
            media_type: media_type.to_owned(),
            tag: tag.clone(),
            modified: Timestamp::now(),
        };
        self.objects.insert(key.to_owned(), object);
        tag
    }
}

impl Upload {
    /// Returns the parts that a request to complete the upload names, or why it is refused.
    fn chosen(&self, text: &str) -> Result<Vec<Bytes>, &'static str> {
        let within = |text: &str, name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (inner, _) = rest.split_once(&format!("</{name}>"))?;
            Some(inner.replace("&quot;", "\"").replace("&amp;", "&"))
        };
        let mut chosen = Vec::new();
        for part in text.split("<Part>").skip(1) {
            let number = within(part, "PartNumber").and_then(|text| text.parse().ok());
            let stored = number.and_then(|number: usize| self.parts.get(&number));
            match (stored, within(part, "ETag")) {
                (Some((tag, bytes)), Some(stated)) if *tag == stated => chosen.push(bytes.clone()),
                _ => return Err("InvalidPart"),
            }
        }
        match chosen.split_last() {
            None => Err("MalformedXML"),
            Some((_, first)) if first.iter().any(|part| part.len() < MIN_PART) => {
                Err("EntityTooSmall")
            }
            Some(_) => Ok(chosen),
        }
    }
}

fn tag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", &hex(digest(&SHA256, bytes).as_ref())[..32])
}

fn document(name: &str, inner: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{name}>"
    );
    let mut answer = Answer::text("application/xml", text);
    answer.status = StatusCode::OK;
    answer
}
