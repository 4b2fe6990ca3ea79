//! Listings of directories, as web servers make them: pages with links.

use percent_encoding::percent_decode_str;
use url::Url;

/// Returns the names of the files that a page links to and that stand right in the directory whose
/// listing it is. They are in the order of the page.
pub fn listed_files(page: &str, directory: &Url) -> Vec<String> {
    let mut rest = page;
    let mut names = Vec::new();
    while let Some((_, tag)) = rest.split_once('<') {
        rest = tag;
        let Some(attributes) = tag.strip_prefix(['a', 'A']) else {
            continue;
        };
        if !attributes.starts_with(|c: char| c.is_ascii_whitespace()) {
            continue;
        }
        names.extend(href(attributes).and_then(|link| file_name(&link, directory)));
    }
    names
}

/// Returns the value of the attribute `href` (HTML, "Attributes").
fn href(mut text: &str) -> Option<String> {
    loop {
        text = text.trim_ascii_start();
        let end = text.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))?;
        let (name, rest) = text.split_at(end);
        if name.is_empty() {
            // A slash or an equals sign where no name is.
            if rest.starts_with('>') {
                return None;
            }
            text = &rest[1..];
            continue;
        }
        let rest = rest.trim_ascii_start();
        let Some(value) = rest.strip_prefix('=') else {
            text = rest;
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, rest) = if let Some(inner) = value.strip_prefix(['"', '\'']) {
            inner.split_once(&value[..1])?
        } else {
            let end = value.find(|c: char| c.is_ascii_whitespace() || c == '>')?;
            value.split_at(end)
        };
        if name.eq_ignore_ascii_case("href") {
            return Some(unescape(value));
        }
        text = rest;
    }
}

/// Replaces the references to characters that links have: `&amp;`, `&#43;`, `&#x2B;`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        let reference = &rest[start + 1..];
        let character = reference.split_once(';').and_then(|(name, after)| {
            let number = name.strip_prefix('#');
            let character = match number.map(|number| (number, number.strip_prefix(['x', 'X']))) {
                None if name == "amp" => Some('&'),
                None => None,
                Some((_, Some(hex))) => u32::from_str_radix(hex, 16).ok().and_then(char::from_u32),
                Some((decimal, None)) => decimal.parse().ok().and_then(char::from_u32),
            };
            Some((character?, after))
        });
        let (character, after) = character.unwrap_or(('&', reference));
        plain.push(character);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// Returns the name of the file that a link leads to, if it stands right in the directory.
fn file_name(link: &str, directory: &Url) -> Option<String> {
    let url = directory.join(link).ok()?;
    if url.origin() != directory.origin() {
        return None;
    }
    let base = directory.path().trim_end_matches('/');
    let name = url.path().strip_prefix(base)?.strip_prefix('/')?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    let is_plain = !name.is_empty()
        && !matches!(&*name, "." | "..")
        && !name.contains(['/', '\\'])
        && !name.contains(char::is_control);
    is_plain.then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(page: &str) -> Vec<String> {
        let directory = Url::parse("https://acme.org/maven/a/b/1.0/").unwrap();
        listed_files(page, &directory)
    }

    #[test]
    fn links_to_files_of_the_directory_are_found() {
        let page = r#"<!DOCTYPE html><html><body><a href="../">..</a>
            <a href="b-1.0.jar">b</a> <A class='x' HREF = 'b-1.0.pom' title="a > b">b</A>
            <a href=b-1.0.txt>b</a> <a href="/maven/a/b/1.0/b-1.0.zip?x=1#y">b</a>
            <a href="https://acme.org/maven/a/b/1.0/b-1.0%2B1.jar">b</a>
            <a href="b-1.0&#43;2&#x2B;3&amp;4.jar"></a> <a disabled href="b-1.0.war"/>"#;
        assert_eq!(
            names(page),
            [
                "b-1.0.jar",
                "b-1.0.pom",
                "b-1.0.txt",
                "b-1.0.zip",
                "b-1.0+1.jar",
                "b-1.0+2+3&4.jar",
                "b-1.0.war",
            ]
        );
    }

    #[test]
    fn links_elsewhere_are_left_out() {
        let page = r#"<a href="https://evil.org/maven/a/b/1.0/b-1.0.jar"></a>
            <a href="http://acme.org/maven/a/b/1.0/b-1.0.jar"></a><a href="x/b-1.0.jar"></a>
            <a href="..%2Fb-1.0.jar"></a><a href="%2e%2e/x"></a><a href="b%00"></a>
            <a href="b%ff"></a><a href=""></a><a href="?C=N;O=D"></a><a href="javascript:x"></a>
            <area href="b-1.0.jar">"#;
        assert_eq!(names(page), [""; 0]);
    }

    #[test]
    fn malformed_pages_have_no_files() {
        for page in [
            "",
            "<",
            "<a",
            "<a ",
            "<a href",
            "<a href=",
            "<a href=\"x",
            "<a ==/ >",
            "<a href=x",
        ] {
            assert_eq!(names(page), [""; 0], "{page}");
        }
        assert_eq!(
            unescape("a&b&;&#;&#x110000;&#xZ;c"),
            "a&b&;&#;&#x110000;&#xZ;c"
        );
    }
}
