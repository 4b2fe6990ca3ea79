//! Changes of a descriptor, each of which touches only the place it is about.

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Descriptor, Schema};
use crate::access::Access;
use crate::digest_spec::DigestSpec;
use crate::element::{Element, ElementKind, Reference, Resource, Source};
use crate::label::Label;
use crate::signature::{NestedDigest, Signature};
use crate::typed::TypedSpec;

impl Descriptor {
    /// Adds a resource at the end.
    pub fn push_resource(&mut self, resource: &Resource) {
        self.push(resource);
    }

    /// Adds a source at the end.
    pub fn push_source(&mut self, source: &Source) {
        self.push(source);
    }

    /// Adds a reference at the end.
    pub fn push_reference(&mut self, reference: &Reference) {
        self.push(reference);
    }

    /// Replaces the access of a resource.
    ///
    /// # Errors
    ///
    /// There are not so many resources.
    pub fn set_resource_access(
        &mut self,
        index: usize,
        access: Access,
    ) -> Result<(), NoSuchElement> {
        self.set(ElementKind::Resource, index, "access", access.into_json())
    }

    /// Replaces the access of a source.
    ///
    /// # Errors
    ///
    /// There are not so many sources.
    pub fn set_source_access(&mut self, index: usize, access: Access) -> Result<(), NoSuchElement> {
        self.set(ElementKind::Source, index, "access", access.into_json())
    }

    /// Replaces the digest of a resource.
    ///
    /// # Errors
    ///
    /// There are not so many resources.
    pub fn set_resource_digest(
        &mut self,
        index: usize,
        digest: &DigestSpec,
    ) -> Result<(), NoSuchElement> {
        self.set(ElementKind::Resource, index, "digest", to_value(digest))
    }

    /// Replaces the digest of a reference.
    ///
    /// # Errors
    ///
    /// There are not so many references.
    pub fn set_reference_digest(
        &mut self,
        index: usize,
        digest: &DigestSpec,
    ) -> Result<(), NoSuchElement> {
        self.set(ElementKind::Reference, index, "digest", to_value(digest))
    }

    /// Replaces the labels of an element.
    ///
    /// # Errors
    ///
    /// There are not so many elements of the kind.
    pub fn set_element_labels(
        &mut self,
        kind: ElementKind,
        index: usize,
        labels: &[Label],
    ) -> Result<(), NoSuchElement> {
        let element = self.element_mut(kind, index)?;
        if labels.is_empty() {
            element.remove("labels");
        } else {
            element.insert("labels".to_owned(), to_value(&labels));
        }
        Ok(())
    }

    /// Adds a signature at the end.
    ///
    /// # Errors
    ///
    /// There is one of its name.
    pub fn add_signature(&mut self, signature: &Signature) -> Result<(), SignatureExists> {
        if self.signature(&signature.name).is_some() {
            return Err(SignatureExists {
                name: signature.name.clone(),
            });
        }
        list_in(&mut self.document, "signatures").push(to_value(signature));
        Ok(())
    }

    /// Puts a signature in the place of the one of its name, or at the end, and returns the old.
    pub fn replace_signature(&mut self, signature: &Signature) -> Option<Signature> {
        let index = self
            .signatures()
            .iter()
            .position(|old| old.name == signature.name);
        let signatures = list_in(&mut self.document, "signatures");
        let Some(index) = index else {
            signatures.push(to_value(signature));
            return None;
        };
        let old = std::mem::replace(&mut signatures[index], to_value(signature));
        Some(super::read(&old))
    }

    /// Removes a signature and returns it. Without signatures the whole field goes.
    pub fn remove_signature(&mut self, name: &str) -> Option<Signature> {
        let index = self.signatures().iter().position(|old| old.name == name)?;
        let signatures = list_in(&mut self.document, "signatures");
        let old = signatures.remove(index);
        if signatures.is_empty() {
            self.document.remove("signatures");
        }
        Some(super::read(&old))
    }

    /// Replaces the digests of component versions below.
    pub fn set_nested_digests(&mut self, digests: &[NestedDigest]) {
        if digests.is_empty() {
            self.document.remove("nestedDigests");
        } else {
            self.document
                .insert("nestedDigests".to_owned(), to_value(&digests));
        }
    }

    /// Replaces the labels of the component version.
    pub fn set_labels(&mut self, labels: &[Label]) {
        if labels.is_empty() {
            self.component_mut().remove("labels");
        } else {
            self.component_mut()
                .insert("labels".to_owned(), to_value(&labels));
        }
    }

    /// Sets when the component version was made (RFC 3339, in UTC with seconds).
    pub fn set_creation_time(&mut self, time: &str) {
        self.component_mut()
            .insert("creationTime".to_owned(), time.into());
    }

    /// Adds a repository that the component version has been in, at the end, unless it is the
    /// last one already.
    pub fn push_repository_context(&mut self, context: TypedSpec) {
        let holder = match self.schema {
            Schema::V2 => self.component_mut(),
            Schema::V3Alpha1 => &mut self.document,
        };
        let contexts = list_in(holder, "repositoryContexts");
        let context = context.into_json();
        if contexts.last() != Some(&context) {
            contexts.push(context);
        }
    }

    fn push<E: Element + Serialize>(&mut self, element: &E) {
        let (holder, key) = self.schema.list(E::KIND);
        list_in(object_in(&mut self.document, holder), key).push(to_value(element));
    }

    fn set(
        &mut self,
        kind: ElementKind,
        index: usize,
        field: &str,
        value: Value,
    ) -> Result<(), NoSuchElement> {
        self.element_mut(kind, index)?
            .insert(field.to_owned(), value);
        Ok(())
    }

    fn element_mut(
        &mut self,
        kind: ElementKind,
        index: usize,
    ) -> Result<&mut Map<String, Value>, NoSuchElement> {
        let (holder, key) = self.schema.list(kind);
        self.document
            .get_mut(holder)
            .and_then(|holder| holder.get_mut(key)?.get_mut(index)?.as_object_mut())
            .ok_or(NoSuchElement { kind, index })
    }

    fn component_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.document, self.schema.component())
    }
}

/// The object in a field, made if it is absent.
fn object_in<'a>(holder: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = holder.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value
        .as_object_mut()
        .expect("the schema has asked for an object")
}

/// The list in a field, made if it is absent or `null`.
fn list_in<'a>(holder: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let value = holder.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value
        .as_array_mut()
        .expect("the schema has asked for a list")
}

fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("text and JSON values can be written")
}

/// An index is beyond the end of a list.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("there is no {kind} {index}")]
#[expect(missing_docs, reason = "the message names its fields")]
pub struct NoSuchElement {
    pub kind: ElementKind,
    pub index: usize,
}

/// A signature of that name is there already.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("component version already has a signature `{name}`")]
#[expect(missing_docs, reason = "the message names its field")]
pub struct SignatureExists {
    pub name: String,
}
