//! Signing component versions.

mod content;
mod prepare;
mod store;

use std::fmt;
use std::sync::Arc;

use ocm_model::{ComponentVersionId, Descriptor, RepositorySpec, Signature};
use ocm_oci::CopyOptions;
use ocm_signing::references::{Referenced, are_stated_anew, restate};
use ocm_signing::sign::{self, SignOptions, sign};
use ocm_signing::{Signer, Timestamper};

use self::prepare::Prepared;
use crate::address::Located;
use crate::error::Error;
use crate::handlers::SigningMethod;
use crate::session::{Ocm, Use};
use crate::tree::{self, Node};
use crate::trust::SigningKeys;
use crate::verify::VerifyProgress;

/// What is signed, and how.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a decision of its own"
)]
pub struct SignRequest {
    /// Name, normalisation, hash, and whether a signature may be replaced.
    pub options: SignOptions,
    /// Who makes the signature.
    pub method: SigningMethod,
    /// The keys; without, those that the configuration has for the signature.
    pub keys: SigningKeys,
    /// Who testifies when it was made.
    pub timestamper: Option<Arc<dyn Timestamper>>,
    /// Compute every digest that the signature will cover anew from the content.
    pub verify: bool,
    /// Fill in digests that are missing.
    pub update: bool,
    /// Sign what is referred to as well.
    pub recursive: bool,
    /// Where digests of what is referred to go.
    pub digests: DigestMode,
    /// Where component versions that are referred to are looked for, after the repository of the
    /// one that is signed and those that are configured.
    pub lookup: Vec<RepositorySpec>,
    /// How many blobs are read at a time, and who is told.
    pub copy: CopyOptions,
    /// Who learns how far the content is.
    pub progress: Option<Arc<dyn VerifyProgress>>,
    /// Only compute the signature, and write nothing.
    pub dry_run: bool,
}

/// Where digests go that the component versions below a signed one lack. A component version that
/// has some already stays with its mode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DigestMode {
    /// Into each component version.
    #[default]
    Local,
    /// All into the signed one, as its `nestedDigests`, so that the others are left as they are.
    Top,
}

impl Default for SignRequest {
    /// Signs as `default` with what is configured for that, and checks everything before.
    fn default() -> Self {
        Self {
            options: SignOptions::default(),
            method: SigningMethod::default(),
            keys: SigningKeys::default(),
            timestamper: None,
            verify: true,
            update: true,
            recursive: false,
            digests: DigestMode::default(),
            lookup: Vec::new(),
            copy: CopyOptions::default(),
            progress: None,
            dry_run: false,
        }
    }
}

/// A signature that was made.
#[derive(Clone, Debug)]
pub struct SignReport {
    /// What was signed.
    pub component: ComponentVersionId,
    /// The signature.
    pub signature: Signature,
    /// What was signed below it, each before what refers to it.
    pub below: Vec<(ComponentVersionId, Signature)>,
    /// Component versions, maybe the signed one, that had digests filled in.
    pub completed: Vec<ComponentVersionId>,
    /// How many digests of resources were compared with their content, and how many bytes it has.
    pub checked: (usize, u64),
    /// Labels that the signature covers although they do not say so.
    pub unmarked_labels: Vec<UnmarkedLabel>,
}

/// A label of a reference that signatures cover although it is not marked as signed: all
/// normalisations but the first one take references as they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnmarkedLabel {
    /// The component version.
    pub component: ComponentVersionId,
    /// The reference in it.
    pub reference: String,
    /// The label of the reference.
    pub label: String,
}

impl fmt::Display for UnmarkedLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            component,
            reference,
            label,
        } = self;
        write!(
            f,
            "label `{label}` of reference `{reference}` of {component}"
        )
    }
}

impl Ocm {
    /// Signs a component version where it is stored.
    ///
    /// Before, every digest that the signature will cover is compared with the content it stands
    /// for, down to the last component version that is referred to, and digests that are missing
    /// are filled in.
    ///
    /// Under the normalisations of the first Go tool, references count by their digests under the
    /// algorithms of the signature, as that tool computes them. What is stored keeps the digests
    /// that it states.
    ///
    /// Several signers can work at the same time: a signature is added to what is there at that
    /// moment, and none gets lost.
    ///
    /// # Errors
    ///
    /// Something is not what a digest says, or cannot be read; there is no key; the name is taken;
    /// the repository cannot be written.
    pub async fn sign(
        &self,
        located: &Located,
        request: &SignRequest,
    ) -> Result<SignReport, Error> {
        // Others may write as long as the content is read and the signature made.
        let repository = self.open(&located.repository, Use::Read).await?;
        let id = self.one_version(&repository, located).await?;
        let SignOptions { name, replace, .. } = &request.options;
        let signer = (self.signer(name, &request.method, &request.keys)).await?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)?;
        if !replace && stored.descriptor.signature(name).is_some() {
            let name = name.clone();
            return Err(sign::Error::NameTaken { name }.into());
        }

        let prepared = self
            .prepare(stored.descriptor, &repository, request)
            .await?;
        let referenced = tree::below(&prepared.nodes);
        let mut signatures = vec![None; prepared.nodes.len()];
        for &index in &prepared.order {
            let node = &prepared.nodes[index];
            let is_wanted = index == 0 || request.recursive && is_to_be_signed(node, request);
            if is_wanted {
                let descriptor = &node.descriptor;
                let signature = sign_one(descriptor, &referenced, request, signer.as_ref());
                signatures[index] = Some(signature.await?);
            }
        }
        if !request.dry_run {
            let target = self.open(&located.repository, Use::Change).await?;
            let order = prepared.order.iter();
            let changed =
                order.filter(|&&index| prepared.completed[index] || signatures[index].is_some());
            let items: Vec<_> = changed
                .map(|&index| store::Item {
                    repository: match &prepared.nodes[index].repository {
                        read if Arc::ptr_eq(read, &repository) => &target,
                        elsewhere => elsewhere,
                    },
                    completed: &prepared.to_store[index],
                    signature: signatures[index].as_ref(),
                    replace: *replace,
                })
                .collect();
            store::store(&items).await?;
        }
        let root = signatures[0].take();
        let below = prepared.order.iter().filter_map(|&index| {
            let signature = signatures[index].take()?;
            Some((prepared.nodes[index].descriptor.id().clone(), signature))
        });
        let below = below.collect();
        let signature = root.expect("the root is signed");
        Ok(report(&prepared, id, signature, below, request))
    }
}

fn report(
    prepared: &Prepared,
    component: ComponentVersionId,
    signature: Signature,
    below: Vec<(ComponentVersionId, Signature)>,
    request: &SignRequest,
) -> SignReport {
    let completed = (prepared.order.iter()).filter(|&&index| prepared.completed[index]);
    let completed = completed.map(|&index| prepared.nodes[index].descriptor.id().clone());
    SignReport {
        component,
        signature,
        below,
        completed: completed.collect(),
        checked: prepared.checked,
        unmarked_labels: unmarked_labels(&prepared.nodes, request),
    }
}

/// Signs a descriptor as whoever verifies the signature will hash it: as it is, or with digests of
/// references under the algorithms of the signature.
async fn sign_one(
    descriptor: &Descriptor,
    referenced: &Referenced,
    request: &SignRequest,
    signer: &dyn Signer,
) -> Result<Signature, Error> {
    let SignOptions {
        normalisation,
        hash,
        ..
    } = request.options;
    let options = SignOptions {
        // Whether the name is taken is looked at where the signature is stored.
        replace: true,
        ..request.options.clone()
    };
    let timestamper = request.timestamper.as_deref();
    if !are_stated_anew(normalisation) || descriptor.references().is_empty() {
        return Ok(sign(descriptor, &options, signer, timestamper).await?);
    }
    let restated = restate(descriptor, normalisation, hash, referenced);
    let restated = restated.map_err(|source| Error::Restate {
        id: descriptor.id().clone(),
        normalisation,
        source,
    })?;
    Ok(sign(&restated, &options, signer, timestamper).await?)
}

/// Tells whether a component version below the one that is asked for lacks the signature. One that
/// it has, whoever has made it, is of what is there now: what would be completed is not signed.
fn is_to_be_signed(node: &Node, request: &SignRequest) -> bool {
    let name = &request.options.name;
    request.options.replace || node.descriptor.signature(name).is_none()
}

fn unmarked_labels(nodes: &[Node], request: &SignRequest) -> Vec<UnmarkedLabel> {
    use ocm_model::NormalisationAlgorithm::JsonV1;
    if request.options.normalisation == JsonV1 {
        return Vec::new();
    }
    let references = nodes.iter().flat_map(|node| {
        let references = node.descriptor.references().into_iter();
        references.map(|reference| (node.descriptor.id(), reference))
    });
    let mut unmarked = Vec::new();
    for (id, reference) in references {
        for label in reference.labels.iter().filter(|label| !label.signing) {
            unmarked.push(UnmarkedLabel {
                component: id.clone(),
                reference: reference.name.clone(),
                label: label.name.clone(),
            });
        }
    }
    unmarked
}
