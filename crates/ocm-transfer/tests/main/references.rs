//! Component versions that refer to others.

use std::sync::Arc;

use async_trait::async_trait;
use ocm_digest::HashAlgorithm;
use ocm_model::{ComponentVersionId, Descriptor, NormalisationAlgorithm, Reference};
use ocm_repository::RepositoryRef;
use ocm_transfer::{Error, ExecuteOptions, Planner, Recursion, Resolver, Root, TransferOptions};

use crate::watched::Watched;
use crate::world::{
    Build, Place, check_only_access_differs, component_digest, id, plan, recursive, transfer,
};

const TOP: &str = "acme.org/top:1.0.0";
const LEFT: &str = "acme.org/left:1.0.0";
const RIGHT: &str = "acme.org/right:1.0.0";
const BASE: &str = "acme.org/base:1.0.0";

fn to(recursive: Recursion) -> TransferOptions {
    TransferOptions {
        recursive,
        ..TransferOptions::default()
    }
}

/// Puts a component version into a place that refers to another one, whose digest it states if
/// that is given.
async fn link(place: &Place, from: &str, to: &str, child: Option<&Descriptor>) -> Descriptor {
    let build = Build::new(place, from).reference("child", to, child);
    build.stored().await
}

/// `top` refers to `left` and `right`, which both refer to `base`.
async fn diamond(place: &Place) {
    let base = Build::new(place, BASE)
        .blob("text", "base")
        .await
        .signed()
        .await;
    let left = Build::new(place, LEFT)
        .reference("base", BASE, Some(&base))
        .signed()
        .await;
    let right = Build::new(place, RIGHT)
        .reference("base", BASE, Some(&base))
        .signed()
        .await;
    let top = Build::new(place, TOP).reference("left", LEFT, Some(&left));
    top.reference("right", RIGHT, Some(&right)).signed().await;
}

#[tokio::test]
async fn a_diamond_is_written_once_and_children_first() {
    let (source, target) = (Place::new(), Place::new());
    diamond(&source).await;
    let (watched, shared) = Watched::new(&target).shared();
    let report = transfer(&source, &shared, recursive(), &[TOP])
        .await
        .unwrap();
    assert_eq!(report.added, 4);
    let written = watched.written.lock().unwrap().clone();
    assert_eq!((&*written[0], &*written[3]), (BASE, TOP));
    for text in [TOP, LEFT, RIGHT, BASE] {
        check_only_access_differs(&source.read(text).await, &target.read(text).await);
    }
    let again = transfer(&source, &shared, recursive(), &[TOP])
        .await
        .unwrap();
    assert_eq!(
        (again.skipped, watched.written.lock().unwrap().len()),
        (4, 4)
    );
}

#[tokio::test]
async fn recursion_goes_as_deep_as_asked() {
    let source = Place::new();
    diamond(&source).await;
    for (depth, expected) in [
        (Recursion::None, vec![TOP]),
        (Recursion::Depth(0), vec![TOP]),
        (Recursion::Depth(1), vec![LEFT, RIGHT, TOP]),
        (Recursion::Depth(2), vec![BASE, LEFT, RIGHT, TOP]),
        (Recursion::Unlimited, vec![BASE, LEFT, RIGHT, TOP]),
    ] {
        let planned = plan(&source, &Place::new(), to(depth), &[TOP])
            .await
            .unwrap();
        let ids: Vec<String> = planned
            .plan()
            .component_versions
            .iter()
            .map(|version| version.id.to_string())
            .collect();
        assert_eq!(ids, expected, "{depth:?}");
    }
}

#[tokio::test]
async fn references_end_at_what_the_target_has_if_asked() {
    let (source, target) = (Place::new(), Place::new());
    diamond(&source).await;
    // Another one under the name of `left`, which by default would be refused.
    let other = Build::new(&target, LEFT).stored().await;
    let options = || TransferOptions {
        stop_on_existing: true,
        ..recursive()
    };
    let refused = transfer(&source, &target, recursive(), &[TOP]).await;
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    let planned = |roots: &'static [&str]| {
        let (source, target) = (&source, &target);
        async move { plan(source, target, options(), roots).await }
    };
    // `base` is reached by way of `right`.
    let reached = planned(&[TOP]).await.unwrap();
    let ids = reached.plan().component_versions.iter();
    let ids: Vec<String> = ids.map(|version| version.id.to_string()).collect();
    assert_eq!(ids, [BASE, RIGHT, TOP]);
    // What is named is compared.
    let named = planned(&[TOP, LEFT]).await;
    assert!(matches!(named, Err(Error::Conflict { .. })), "{named:?}");
    let report = transfer(&source, &target, options(), &[TOP]).await.unwrap();
    assert_eq!((report.added, report.skipped), (3, 0));
    assert_eq!(target.read(LEFT).await, other);
    let again = transfer(&source, &target, options(), &[TOP]).await.unwrap();
    assert_eq!((again.added, again.skipped), (0, 1));
}

#[tokio::test]
async fn a_short_way_counts_where_there_is_a_long_one() {
    let source = Place::new();
    Build::new(&source, BASE).stored().await;
    link(&source, LEFT, BASE, None).await;
    link(&source, RIGHT, LEFT, None).await;
    // `left` is one step away from the second root, two from the first.
    link(&source, TOP, RIGHT, None).await;
    let planned = plan(
        &source,
        &Place::new(),
        to(Recursion::Depth(1)),
        &[TOP, LEFT],
    )
    .await;
    assert_eq!(planned.unwrap().plan().component_versions.len(), 4);
}

#[tokio::test]
async fn a_missing_child_names_both_and_where_it_was_looked_for() {
    let source = Place::new();
    link(&source, TOP, BASE, None).await;
    let error = plan(&source, &Place::new(), recursive(), &[TOP]).await;
    let error = error.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!(
            "{BASE}, to which {TOP} refers, not found in {}",
            source.repository.location()
        )
    );
}

#[tokio::test]
async fn a_missing_root_is_not_found() {
    let error = plan(
        &Place::new(),
        &Place::new(),
        TransferOptions::default(),
        &[TOP],
    )
    .await;
    assert!(error.unwrap_err().is_not_found());
}

#[derive(Debug)]
struct Elsewhere(RepositoryRef);

#[async_trait]
impl Resolver for Elsewhere {
    async fn repository(
        &self,
        _id: &ComponentVersionId,
    ) -> Result<Option<RepositoryRef>, ocm_repository::Error> {
        Ok(Some(Arc::clone(&self.0)))
    }
}

#[tokio::test]
async fn children_are_found_by_the_resolver_after_the_source() {
    let (source, elsewhere, target) = (Place::new(), Place::new(), Place::new());
    let base = Build::new(&elsewhere, BASE)
        .blob("text", "base")
        .await
        .stored()
        .await;
    // The source has a `left` of its own, which goes before that of the resolver.
    Build::new(&elsewhere, LEFT)
        .blob("text", "wrong")
        .await
        .stored()
        .await;
    let left = link(&source, LEFT, BASE, Some(&base)).await;
    link(&source, TOP, LEFT, Some(&left)).await;
    let planner = Planner::new(Arc::clone(&target.repository))
        .with_options(recursive())
        .with_resolver(Arc::new(Elsewhere(Arc::clone(&elsewhere.repository))));
    let root = Root {
        repository: Arc::clone(&source.repository),
        id: id(TOP),
    };
    let planned = planner.plan(vec![root]).await.unwrap();
    let sources: Vec<&str> = planned.plan().sources().into_iter().collect();
    assert_eq!(sources, ["memory", "memory#2"]);
    planned.execute(&ExecuteOptions::default()).await.unwrap();
    check_only_access_differs(&base, &target.read(BASE).await);
}

#[tokio::test]
async fn a_reference_with_another_digest_names_both() {
    let source = Place::new();
    let promised = Build::new(&source, BASE)
        .blob("text", "promised")
        .await
        .descriptor;
    Build::new(&source, BASE)
        .blob("text", "actual")
        .await
        .stored()
        .await;
    link(&source, TOP, BASE, Some(&promised)).await;
    let error = plan(&source, &Place::new(), recursive(), &[TOP]).await;
    let error = error.unwrap_err();
    assert!(error.is_verification() && matches!(error, Error::ReferenceDigest { .. }));
    let message = error.to_string();
    assert!(message.contains(TOP) && message.contains(BASE), "{message}");
    assert!(
        message.contains(&component_digest(&promised).value),
        "{message}"
    );
    // Not followed, not looked at.
    plan(&source, &Place::new(), TransferOptions::default(), &[TOP])
        .await
        .unwrap();
}

#[tokio::test]
async fn references_are_checked_under_every_algorithm() {
    let source = Place::new();
    let base = Build::new(&source, BASE).stored().await;
    for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        for algorithm in NormalisationAlgorithm::ALL {
            for right in [true, false] {
                let mut build = Build::new(&source, TOP);
                let mut reference = Reference::new("base", id(BASE));
                let mut digest = base.normalise(algorithm).digest_spec(hash);
                if !right {
                    digest.value = hash.digest("other").to_hex();
                }
                reference.digest = Some(digest);
                build.descriptor.push_reference(&reference);
                build.stored().await;
                let planned = plan(&source, &Place::new(), recursive(), &[TOP]).await;
                assert_eq!(planned.is_ok(), right, "{algorithm} {hash}");
            }
        }
    }
}

#[tokio::test]
async fn a_circle_is_refused() {
    let source = Place::new();
    link(&source, LEFT, RIGHT, None).await;
    link(&source, RIGHT, LEFT, None).await;
    let error = plan(&source, &Place::new(), recursive(), &[LEFT]).await;
    assert!(matches!(error, Err(Error::Circle { circle }) if circle.len() == 3));
}

#[tokio::test]
async fn a_whole_repository_is_transferred() {
    let (source, target) = (Place::new(), Place::new());
    diamond(&source).await;
    Build::new(&source, "acme.org/base:2.0.0").stored().await;
    let roots = Root::all(&source.repository).await.unwrap();
    let ids: Vec<String> = roots.iter().map(|root| root.id.to_string()).collect();
    assert_eq!(ids, ["acme.org/base:2.0.0", BASE, LEFT, RIGHT, TOP]);
    let planned = Planner::new(Arc::clone(&target.repository))
        .plan(roots)
        .await
        .unwrap();
    // They refer to each other also where references are not followed.
    let order: Vec<String> = planned
        .plan()
        .component_versions
        .iter()
        .map(|version| version.id.to_string())
        .collect();
    assert_eq!(order.last().unwrap(), TOP);
    assert_eq!(
        planned
            .execute(&ExecuteOptions::default())
            .await
            .unwrap()
            .added,
        5
    );
}
