//! The order in which component versions are written.

/// Orders the nodes of a graph so that each stands behind all that it points to, as far as they
/// are reached from the roots, in the order of roots and edges.
///
/// # Errors
///
/// Returns the nodes of a circle, the first of them again at the end.
pub(crate) fn children_first(
    roots: &[usize],
    children: &[Vec<usize>],
) -> Result<Vec<usize>, Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; children.len()];
    let mut order = Vec::with_capacity(children.len());
    // A stack of its own: chains may be longer than what threads have.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for &root in roots {
        if marks[root] == Mark::New {
            marks[root] = Mark::Open;
            stack.push((root, 0));
        }
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            let Some(&child) = children[node].get(*next) else {
                marks[node] = Mark::Done;
                order.push(node);
                stack.pop();
                continue;
            };
            *next += 1;
            match marks[child] {
                Mark::Done => {}
                Mark::New => {
                    marks[child] = Mark::Open;
                    stack.push((child, 0));
                }
                Mark::Open => {
                    let open = stack.iter().map(|(node, _)| *node);
                    let mut circle: Vec<usize> = open.skip_while(|node| *node != child).collect();
                    circle.push(child);
                    return Err(circle);
                }
            }
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_before_their_parents_and_diamonds_once() {
        let diamond = [vec![1, 2], vec![3], vec![3], vec![]];
        assert_eq!(children_first(&[0], &diamond).unwrap(), [3, 1, 2, 0]);
        assert_eq!(children_first(&[2, 0], &diamond).unwrap(), [3, 2, 1, 0]);
    }

    #[test]
    fn a_circle_is_named() {
        let circle = [vec![1], vec![2], vec![1]];
        assert_eq!(children_first(&[0], &circle).unwrap_err(), [1, 2, 1]);
        assert_eq!(children_first(&[0], &[vec![0]]).unwrap_err(), [0, 0]);
    }

    #[test]
    fn long_chains_need_no_stack() {
        let length = 200_000;
        let chain: Vec<Vec<usize>> = (0..length)
            .map(|n| if n + 1 < length { vec![n + 1] } else { vec![] })
            .collect();
        assert_eq!(children_first(&[0], &chain).unwrap().len(), length);
    }
}
