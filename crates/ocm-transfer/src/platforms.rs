//! Which images of an index a copy has: those that the source has and that are asked for.

use ocm_model::Access;
use ocm_oci::PlatformFilter;
use ocm_repository::platforms_of;

/// Returns what is asked for of an index behind an access; `None` if that is all of it.
pub(crate) fn asked_of(access: &Access, wanted: &[PlatformFilter]) -> Option<Vec<PlatformFilter>> {
    let Some(there) = platforms_of(access) else {
        return (!wanted.is_empty()).then(|| wanted.to_vec());
    };
    if wanted.is_empty() {
        return Some(there);
    }
    let mut both: Vec<_> = there
        .iter()
        .flat_map(|there| wanted.iter().filter_map(|wanted| there.meet(wanted)))
        .collect();
    both.sort();
    both.dedup();
    Some(both)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_copy_has_is_what_the_source_has_and_what_is_asked_for() {
        let of = |there: &[&str], wanted: &[&str]| {
            let mut access = json!({"type": "localBlob", "localReference": "sha256:0"});
            if !there.is_empty() {
                access["platforms"] = json!(there);
            }
            let access: Access = serde_json::from_value(access).unwrap();
            let wanted: Vec<_> = wanted.iter().map(|it| it.parse().unwrap()).collect();
            asked_of(&access, &wanted).map(|all| {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                all.join(" ")
            })
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&[], &["linux/arm"]), text("linux/arm"));
        assert_eq!(of(&["linux/arm/v7"], &[]), text("linux/arm/v7"));
        assert_eq!(
            of(&["linux/arm/v7", "linux/amd64"], &["linux/arm"]),
            text("linux/arm/v7")
        );
        assert_eq!(
            of(&["linux/arm"], &["linux/arm/v7", "linux/arm"]),
            text("linux/arm linux/arm/v7")
        );
        assert_eq!(of(&["linux/arm"], &["linux/s390x"]), text(""));
    }
}
