//! The order in which component versions of a file are written.

use std::collections::BTreeMap;

use ocm_model::ComponentVersionId;

use super::BuildError;
use crate::constructor::Component;

/// Sorts components into levels: each refers to components of earlier levels only, as far as it
/// refers to others of the file.
pub(super) fn levels(components: &[Component]) -> Result<Vec<Vec<usize>>, BuildError> {
    let index: BTreeMap<&ComponentVersionId, usize> = components
        .iter()
        .enumerate()
        .map(|(at, component)| (&component.id, at))
        .collect();
    let below: Vec<Vec<usize>> = components
        .iter()
        .map(|component| {
            let referenced = component.references.iter();
            referenced
                .filter_map(|entry| index.get(&entry.element.component()).copied())
                .collect()
        })
        .collect();
    let mut above = vec![Vec::new(); components.len()];
    for (at, children) in below.iter().enumerate() {
        for &child in children {
            above[child].push(at);
        }
    }
    let mut waiting: Vec<usize> = below.iter().map(Vec::len).collect();
    let mut level: Vec<usize> = (0..components.len())
        .filter(|&at| waiting[at] == 0)
        .collect();
    let mut levels = Vec::new();
    while !level.is_empty() {
        let mut next = Vec::new();
        for &at in &level {
            for &parent in &above[at] {
                waiting[parent] -= 1;
                if waiting[parent] == 0 {
                    next.push(parent);
                }
            }
        }
        next.sort_unstable();
        levels.push(std::mem::replace(&mut level, next));
    }
    match waiting.iter().position(|&count| count > 0) {
        None => Ok(levels),
        Some(start) => Err(cycle(components, &below, &waiting, start)),
    }
}

/// Names a circle: whoever still waits refers to somebody who does, so following that comes back.
fn cycle(
    components: &[Component],
    below: &[Vec<usize>],
    waiting: &[usize],
    start: usize,
) -> BuildError {
    let mut path = vec![start];
    let mut at = start;
    let first = loop {
        let Some(&next) = below[at].iter().find(|&&child| waiting[child] > 0) else {
            break 0;
        };
        if let Some(first) = path.iter().position(|&seen| seen == next) {
            break first;
        }
        path.push(next);
        at = next;
    };
    let mut names: Vec<String> = path[first..]
        .iter()
        .map(|&at| components[at].id.to_string())
        .collect();
    names.push(components[path[first]].id.to_string());
    BuildError::Cycle {
        place: components[path[first]].place.clone(),
        path: names.join(" -> "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constructor::Constructor;

    fn components(edges: &[(&str, &[&str])]) -> Vec<Component> {
        let component = |(name, below): &(&str, &[&str])| {
            let reference = |child: &&str| {
                format!(
                    "  - {{name: to-{child}, componentName: acme.org/{child}, version: 1.0.0}}\n"
                )
            };
            let references: Vec<String> = below.iter().map(reference).collect();
            format!(
                "- name: acme.org/{name}\n  version: 1.0.0\n  provider: acme.org\n  \
                 componentReferences:\n{}",
                references.concat()
            )
        };
        let parts: Vec<String> = edges.iter().map(component).collect();
        let text = format!("components:\n{}", parts.concat());
        Constructor::parse(&text, "c.yaml").unwrap().components
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        let diamond = components(&[
            ("top", &["left", "right", "elsewhere"]),
            ("left", &["leaf"]),
            ("right", &["leaf"]),
            ("leaf", &[]),
        ]);
        assert_eq!(levels(&diamond).unwrap(), [vec![3], vec![1, 2], vec![0]]);
    }

    #[test]
    fn a_circle_is_named() {
        let circle = components(&[
            ("entry", &["a"]),
            ("a", &["leaf", "b"]),
            ("b", &["c"]),
            ("c", &["a"]),
            ("leaf", &[]),
        ]);
        assert_eq!(
            levels(&circle).unwrap_err().to_string(),
            "c.yaml:7:3: components[1]: component versions refer to each other in a circle: \
             acme.org/a:1.0.0 -> acme.org/b:1.0.0 -> acme.org/c:1.0.0 -> acme.org/a:1.0.0"
        );
        let own = components(&[("a", &["a"])]);
        assert!(levels(&own).is_err());
    }
}
