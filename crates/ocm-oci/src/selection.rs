//! Which images of an index are wanted: by what they run on.
//!
//! An index is copied with its bytes unchanged, as its digest may be signed; what is not wanted of
//! what it points to stays behind. Such an index is *sparse*.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::document::{ABOUT, Descriptor, Platform};
use crate::error::Error;

/// An operating system, an architecture and, possibly, its variant: `os/architecture[/variant]`.
///
/// Without a variant all of them are meant, as `linux/arm` means `linux/arm/v6` and `v7`.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlatformFilter {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl PlatformFilter {
    /// Returns what both mean, if there is something: of `linux/arm` and `linux/arm/v7` the
    /// latter. What means no more than `other` has it as what both mean.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let is_same = self.os == other.os && self.architecture == other.architecture;
        let variant = match (&self.variant, &other.variant) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.as_ref().or(two.as_ref()),
        };
        is_same.then(|| Self {
            variant: variant.cloned(),
            ..self.clone()
        })
    }

    fn admits(&self, platform: &Platform) -> bool {
        let variant = platform.variant.as_deref().filter(|it| !it.is_empty());
        let is_default =
            |wanted: &str| variant.is_none() && self.architecture == "arm64" && wanted == "v8";
        self.os == platform.os
            && self.architecture == platform.architecture
            && match &self.variant {
                None => true,
                Some(wanted) => variant == Some(wanted.as_str()) || is_default(wanted),
            }
    }
}

impl FromStr for PlatformFilter {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |part: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !part.is_empty() && part.bytes().all(is_plain)
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(ParsePlatformError(text.to_owned())),
        };
        if ![Some(os), Some(architecture), variant]
            .into_iter()
            .flatten()
            .all(is_name)
        {
            return Err(ParsePlatformError(text.to_owned()));
        }
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

impl TryFrom<String> for PlatformFilter {
    type Error = ParsePlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PlatformFilter> for String {
    fn from(filter: PlatformFilter) -> Self {
        filter.to_string()
    }
}

impl fmt::Display for PlatformFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A text is no platform.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no platform; one is written `os/architecture` or `os/architecture/variant`, such as `linux/arm64`"
)]
pub struct ParsePlatformError(String);

/// Returns how a platform is written.
pub(crate) fn name_of(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().filter(|it| !it.is_empty());
    let variant = variant.map(|it| format!("/{it}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

/// What is wanted of indexes: images that each of some lists of platforms has.
///
/// Clones share whether they have left something out.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    lists: Vec<Vec<PlatformFilter>>,
    has_left_out: Arc<AtomicBool>,
}

impl Selection {
    /// Wants everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// Wants, of what was wanted before, what runs on one of these platforms. No platforms are no
    /// condition.
    #[must_use]
    pub fn of(mut self, platforms: &[PlatformFilter]) -> Self {
        if !platforms.is_empty() {
            self.lists.push(platforms.to_vec());
        }
        self
    }

    /// Returns whether everything is wanted.
    pub fn is_all(&self) -> bool {
        self.lists.is_empty()
    }

    /// Returns whether something was left out of an index so far.
    pub fn has_left_out(&self) -> bool {
        self.has_left_out.load(Ordering::Relaxed)
    }

    fn admits(&self, platform: &Platform) -> bool {
        let mut lists = self.lists.iter();
        lists.all(|list| list.iter().any(|filter| filter.admits(platform)))
    }

    /// Takes from the entries of an index what is not wanted. What states no platform stays, such
    /// as an index within; and so does what is about an image that stays.
    ///
    /// # Errors
    ///
    /// [`Error::NoPlatform`] if no image would be left where there are some.
    pub fn choose(
        &self,
        what: impl Fn() -> String,
        entries: Vec<Descriptor>,
    ) -> Result<Vec<Descriptor>, Error> {
        if self.is_all() {
            return Ok(entries);
        }
        let images: Vec<&Descriptor> = entries
            .iter()
            .filter(|entry| !entry.annotations.contains_key(ABOUT))
            .collect();
        let platforms = || images.iter().filter_map(|image| image.platform.as_ref());
        let is_wanted = |image: &Descriptor| {
            image
                .platform
                .as_ref()
                .is_none_or(|platform| self.admits(platform))
        };
        if platforms().next().is_some() && !platforms().any(|it| self.admits(it)) {
            let available: BTreeSet<String> = platforms().map(name_of).collect();
            return Err(Error::NoPlatform {
                what: what(),
                wanted: self.to_string(),
                available: available.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        let images: BTreeSet<String> = images
            .iter()
            .filter(|image| is_wanted(image))
            .map(|image| image.digest.to_string())
            .collect();
        let stays = |entry: &Descriptor| match entry.annotations.get(ABOUT) {
            Some(image) => images.contains(image),
            None => images.contains(&entry.digest.to_string()),
        };
        let count = entries.len();
        let chosen: Vec<Descriptor> = entries.into_iter().filter(stays).collect();
        if chosen.len() < count {
            self.has_left_out.store(true, Ordering::Relaxed);
        }
        Ok(chosen)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |list: &Vec<PlatformFilter>| {
            let names: Vec<_> = list.iter().map(ToString::to_string).collect();
            names.join(" or ")
        };
        let lists: Vec<_> = self.lists.iter().map(list).collect();
        f.write_str(&lists.join(", of "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::media_type;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform {
            os: parts.next().unwrap_or_default(),
            architecture: parts.next().unwrap_or_default(),
            variant: parts.next(),
            ..Platform::default()
        }
    }

    fn image(text: &str) -> Descriptor {
        let mut entry = Descriptor::of(media_type::IMAGE_MANIFEST, text.as_bytes());
        entry.platform = Some(platform(text));
        entry
    }

    fn record_of(image: &Descriptor) -> Descriptor {
        let mut entry = Descriptor::of(
            media_type::IMAGE_MANIFEST,
            image.digest.to_string().as_bytes(),
        );
        entry.platform = Some(platform("unknown/unknown"));
        entry.with_annotation(ABOUT, image.digest.to_string())
    }

    fn filters(texts: &[&str]) -> Vec<PlatformFilter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_platform_is_two_or_three_names() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64"] {
            assert_eq!(text.parse::<PlatformFilter>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "a/b/c/d",
            "linux/am d64",
            "linux/*",
        ] {
            assert!(text.parse::<PlatformFilter>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_two_platforms_mean_both_is_the_narrower_one() {
        let meet = |one: &str, two: &str| {
            let (one, two) = (filters(&[one]).remove(0), filters(&[two]).remove(0));
            assert_eq!(one.meet(&two), two.meet(&one));
            one.meet(&two).map(|both| both.to_string())
        };
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(meet("linux/arm", "linux/arm/v7"), of("linux/arm/v7"));
        assert_eq!(meet("linux/arm", "linux/arm"), of("linux/arm"));
        assert_eq!(meet("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(meet("linux/arm", "linux/arm64"), None);
        assert_eq!(meet("linux/amd64", "windows/amd64"), None);
    }

    #[test]
    fn variants_are_told_apart_only_where_one_is_asked_for() {
        let admits = |filter: &str, text: &str| {
            filter
                .parse::<PlatformFilter>()
                .unwrap()
                .admits(&platform(text))
        };
        assert!(admits("linux/arm", "linux/arm/v7"));
        assert!(admits("linux/arm/v7", "linux/arm/v7"));
        assert!(!admits("linux/arm/v7", "linux/arm/v6"));
        assert!(!admits("linux/arm", "linux/arm64"));
        assert!(admits("linux/arm64/v8", "linux/arm64"));
        assert!(!admits("linux/amd64/v2", "linux/amd64"));
    }

    #[test]
    fn records_go_with_their_images_and_what_states_no_platform_stays() {
        let (amd, arm) = (image("linux/amd64"), image("linux/arm64/v8"));
        let plain = Descriptor::of(media_type::IMAGE_INDEX, b"plain");
        let (about_amd, about_arm) = (record_of(&amd), record_of(&arm));
        let entries = vec![
            amd.clone(),
            arm.clone(),
            about_amd.clone(),
            about_arm,
            plain.clone(),
        ];
        let selection = Selection::all().of(&filters(&["linux/amd64"]));
        let chosen = selection.choose(String::new, entries).unwrap();
        assert_eq!(chosen, [amd, about_amd, plain]);
        assert!(selection.has_left_out());
    }

    #[test]
    fn nothing_is_said_of_what_is_whole() {
        let selection = Selection::all().of(&filters(&["linux/amd64"]));
        let entries = vec![image("linux/amd64")];
        assert_eq!(
            selection.choose(String::new, entries.clone()).unwrap(),
            entries
        );
        assert!(!selection.has_left_out());
    }

    #[test]
    fn what_is_wanted_of_what_was_wanted_is_wanted() {
        let selection = Selection::all()
            .of(&filters(&["linux/amd64", "linux/arm64"]))
            .of(&filters(&["linux/arm64", "linux/s390x"]));
        let entries = ["linux/amd64", "linux/arm64", "linux/s390x"].map(image);
        let chosen = selection.choose(String::new, entries.to_vec()).unwrap();
        assert_eq!(chosen, entries[1..2].to_vec());
    }

    #[test]
    fn a_platform_that_is_not_there_names_those_that_are() {
        let selection = Selection::all().of(&filters(&["linux/s390x", "linux/ppc64le"]));
        let entries = ["linux/amd64", "linux/arm64"].map(image).to_vec();
        let error = selection
            .choose(|| "index x".to_owned(), entries)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "index x has no image for linux/s390x or linux/ppc64le; it has linux/amd64, linux/arm64"
        );
    }
}
