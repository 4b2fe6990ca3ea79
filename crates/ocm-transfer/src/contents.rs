//! What a component version that comes consists of, as far as it is needed to decide about it.

use std::sync::OnceLock;

use ocm_model::element::{Resource, Source};
use ocm_model::{Access, ComponentVersionId, Descriptor, ElementKind};

/// A descriptor that comes, with the elements that have content. They are read once somebody asks:
/// nobody does if the target has a copy.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) descriptor: &'a Descriptor,
    resources: OnceLock<Vec<Resource>>,
    sources: OnceLock<Vec<Source>>,
}

impl<'a> Incoming<'a> {
    pub(crate) const fn new(descriptor: &'a Descriptor) -> Self {
        Self {
            descriptor,
            resources: OnceLock::new(),
            sources: OnceLock::new(),
        }
    }

    pub(crate) const fn id(&self) -> &ComponentVersionId {
        self.descriptor.id()
    }

    pub(crate) fn resources(&self) -> &[Resource] {
        self.resources.get_or_init(|| self.descriptor.resources())
    }

    pub(crate) fn sources(&self) -> &[Source] {
        self.sources.get_or_init(|| self.descriptor.sources())
    }
}

/// Where the content of elements is, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accesses {
    pub(crate) resources: Vec<Option<Access>>,
    pub(crate) sources: Vec<Option<Access>>,
}

impl Accesses {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        let of = |kind| {
            let contents = descriptor.contents(kind);
            contents.map(|content| content.access()).collect()
        };
        Self {
            resources: of(ElementKind::Resource),
            sources: of(ElementKind::Source),
        }
    }
}
