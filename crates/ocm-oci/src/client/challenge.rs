//! What a registry asks for: the `WWW-Authenticate` header (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// The length beyond which a header is not looked at, in bytes.
const MAX_LENGTH: usize = 8 * 1024;
/// The number of challenges, and of parameters in each, that are read.
const MAX_ITEMS: usize = 16;

/// One way to authenticate that a server offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    /// The scheme in lower case, such as `basic` or `bearer`.
    pub scheme: String,
    /// The parameters, with names in lower case.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads the challenges of one header value.
    ///
    /// Servers are careless here, so what cannot be read is left out and the rest is kept.
    pub fn parse(header: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        if header.len() > MAX_LENGTH {
            return challenges;
        }
        let mut rest = Cursor(header);
        loop {
            rest.skip_separators();
            let word = rest.token();
            if word.is_empty() {
                if rest.skip_character() {
                    continue;
                }
                return challenges;
            }
            rest.skip_blanks();
            if let Some(value) = rest.parameter_value() {
                let name = word.to_ascii_lowercase();
                if let Some(challenge) = challenges.last_mut()
                    && challenge.parameters.len() < MAX_ITEMS
                {
                    challenge.parameters.entry(name).or_insert(value);
                }
            } else if challenges.len() < MAX_ITEMS {
                challenges.push(Self {
                    scheme: word.to_ascii_lowercase(),
                    parameters: BTreeMap::new(),
                });
            } else {
                return challenges;
            }
        }
    }

    /// Returns a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// What is left to read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn skip_separators(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
    }

    fn skip_character(&mut self) -> bool {
        let mut characters = self.0.chars();
        let skipped = characters.next().is_some();
        self.0 = characters.as_str();
        skipped
    }

    /// Takes a token, which may be empty.
    fn token(&mut self) -> &'a str {
        let end = self
            .0
            .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
            .unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// Takes an equals sign and what follows it.
    fn parameter_value(&mut self) -> Option<String> {
        self.0 = self.0.strip_prefix('=')?;
        self.skip_blanks();
        let Some(quoted) = self.0.strip_prefix('"') else {
            let end = self.0.find([',', ' ', '\t']).unwrap_or(self.0.len());
            let (value, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(value.to_owned());
        };
        let mut value = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                other => value.push(other),
            }
        }
        self.0 = characters.as_str();
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &[(&str, &[(&str, &str)])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(scheme, parameters)| Challenge {
                scheme: (*scheme).to_owned(),
                parameters: parameters
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            })
            .collect();
        assert_eq!(Challenge::parse(header), expected, "{header}");
    }

    #[test]
    fn what_registries_send_is_read() {
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            &[(
                "bearer",
                &[
                    ("realm", "https://auth.docker.io/token"),
                    ("service", "registry.docker.io"),
                    ("scope", "repository:a/b:pull,push"),
                ],
            )],
        );
        check(
            r#"Basic realm="Registry", Bearer realm = "https://x" , service=y"#,
            &[
                ("basic", &[("realm", "Registry")]),
                ("bearer", &[("realm", "https://x"), ("service", "y")]),
            ],
        );
        check("Negotiate", &[("negotiate", &[])]);
        check(
            r#"BASIC Realm="a \"b\" \\ c""#,
            &[("basic", &[("realm", r#"a "b" \ c"#)])],
        );
    }

    #[test]
    fn malformed_headers_give_what_can_be_read() {
        check("", &[]);
        check(",,, ;; =", &[]);
        check(r#"realm="x""#, &[]);
        check(
            r#"Bearer realm="unclosed"#,
            &[("bearer", &[("realm", "unclosed")])],
        );
        check(r#"Bearer realm="a\"#, &[("bearer", &[("realm", "a")])]);
        check("Bearer realm=", &[("bearer", &[("realm", "")])]);
        check("ü Basic", &[("basic", &[])]);
        assert!(Challenge::parse(&"a ".repeat(MAX_LENGTH)).is_empty());
        assert_eq!(Challenge::parse(&"a ".repeat(100)).len(), MAX_ITEMS);
    }
}
