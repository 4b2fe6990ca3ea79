//! Component versions below what refers to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ocm::model::ComponentVersionId;
use ocm::{Ocm, Rules};

use super::get::Read;
use crate::output::Columns;

/// A component version and what stands below it. One that has been shown further up has nothing
/// below it.
#[derive(Debug)]
pub(crate) struct Node {
    read: Read,
    repeated: bool,
    children: Vec<Self>,
}

/// Reads everything below some component versions, if references are followed at all.
pub(crate) async fn grow(
    ocm: &Ocm,
    roots: Vec<Read>,
    recursive: bool,
    rules: Option<Arc<Rules>>,
) -> anyhow::Result<Vec<Node>> {
    let mut shown = BTreeSet::new();
    let mut forest = Vec::new();
    for root in roots {
        forest.push(if recursive {
            let resolvers = ocm.resolvers(&root.repository).await?;
            Box::pin(branch(&resolvers, root, &mut shown, rules.as_deref())).await?
        } else {
            Node {
                read: root,
                repeated: false,
                children: Vec::new(),
            }
        });
    }
    Ok(forest)
}

async fn branch(
    resolvers: &ocm::Resolvers,
    read: Read,
    shown: &mut BTreeSet<ComponentVersionId>,
    rules: Option<&Rules>,
) -> anyhow::Result<Node> {
    let repeated = !shown.insert(read.descriptor.id().clone());
    let mut children = Vec::new();
    if !repeated {
        for reference in read.descriptor.references() {
            let (repository, stored) = resolvers.component_version(&reference.component()).await?;
            let child = Read::new(repository, stored, rules)?;
            children.push(Box::pin(branch(resolvers, child, shown, rules)).await?);
        }
    }
    Ok(Node {
        read,
        repeated,
        children,
    })
}

/// Returns each component version once, what refers before what is referred to.
pub(crate) fn flatten(forest: Vec<Node>) -> Vec<Read> {
    let mut open: Vec<Node> = forest;
    open.reverse();
    let mut flat = Vec::new();
    while let Some(node) = open.pop() {
        if !node.repeated {
            flat.push(node.read);
        }
        open.extend(node.children.into_iter().rev());
    }
    flat
}

/// Draws component versions below what refers to them.
pub(crate) fn render(forest: &[Node]) -> String {
    let mut columns = Columns::new(&["NESTING", "COMPONENT", "VERSION", "PROVIDER"]);
    draw(forest, "", &mut columns);
    columns.render()
}

fn draw(nodes: &[Node], indent: &str, columns: &mut Columns) {
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let (branch, below) = if last {
            ("└─", "   ")
        } else {
            ("├─", "│  ")
        };
        let mark = match node {
            Node { repeated: true, .. } => " (shown above)",
            Node { children, .. } if children.is_empty() => "",
            _ => " ●",
        };
        let descriptor = &node.read.descriptor;
        columns.row([
            format!("{indent}{branch}{mark}"),
            descriptor.name().to_string(),
            descriptor.version().to_string(),
            descriptor.provider().name,
        ]);
        draw(&node.children, &format!("{indent}{below}"), columns);
    }
}
