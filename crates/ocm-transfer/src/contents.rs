//! What a component version that comes consists of, read once for all that is to be decided.

use ocm_model::element::{Resource, Source};
use ocm_model::{Access, ComponentVersionId, Descriptor};

/// A descriptor that comes, with the elements that have content.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) resources: Vec<Resource>,
    pub(crate) sources: Vec<Source>,
}

/// Where the content of elements is, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accesses {
    pub(crate) resources: Vec<Option<Access>>,
    pub(crate) sources: Vec<Option<Access>>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new(descriptor: &'a Descriptor) -> Self {
        Self {
            resources: descriptor.resources(),
            sources: descriptor.sources(),
            descriptor,
        }
    }

    pub(crate) const fn id(&self) -> &ComponentVersionId {
        self.descriptor.id()
    }

    /// Returns where the content is that comes.
    pub(crate) fn accesses(&self) -> Accesses {
        let resources = self.resources.iter().map(|it| it.access.clone());
        let sources = self.sources.iter().map(|it| it.access.clone());
        Accesses {
            resources: resources.collect(),
            sources: sources.collect(),
        }
    }
}

impl Accesses {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        let resources = descriptor.resources().into_iter().map(|it| it.access);
        let sources = descriptor.sources().into_iter().map(|it| it.access);
        Self {
            resources: resources.collect(),
            sources: sources.collect(),
        }
    }
}
