//! Variables in the text of a constructor file, replaced before it is read as YAML.
//!
//! `$NAME` and `${NAME}` stand for the value of a variable, `${NAME:-text}` for its value or, where
//! it is unset or empty, for the text; `${NAME:=text}` also sets it for the rest of the file. `$$`
//! is one `$`. Any other `$` stays, so that `$1` or the `${schema.spec}` of other languages pass.

mod variables;

use std::collections::{BTreeMap, BTreeSet};

use ocm_model::yaml::Position;

pub use self::variables::Variables;

/// How deep defaults may stand in defaults.
const MAX_DEPTH: usize = 16;

/// How many bytes all variables together may stand for, also where they stand in one another: a
/// short text must not become a large one.
const MAX_REPLACED: usize = 8 * 1024 * 1024;

/// The size that a text may grow to, in bytes.
const MAX_SIZE: usize = 64 * 1024 * 1024;

/// Replaces variables in a text.
///
/// # Errors
///
/// A variable is not defined while `undefined` refuses that, a default is not closed, or the text
/// grows too large.
pub fn expand(
    text: &str,
    variables: &Variables,
    undefined: Undefined,
) -> Result<Expanded, TemplateError> {
    let mut expander = Expander {
        variables,
        undefined,
        assigned: BTreeMap::new(),
        missing: BTreeMap::new(),
        unused: false,
        replaced: 0,
        out: String::with_capacity(text.len()),
        cursor: START,
        edits: Vec::new(),
    };
    expander.run(text)?;
    Ok(Expanded {
        text: expander.out,
        undefined: expander.missing.into_iter().collect(),
        edits: expander.edits,
    })
}

/// What becomes of a variable that is not defined.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Undefined {
    /// It stands for nothing, and is named in [`Expanded::undefined`].
    #[default]
    Empty,
    /// It is an error.
    Refuse,
}

/// A text whose variables have been replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The variables that are not defined, with the place where each stands first.
    pub undefined: Vec<(String, Position)>,
    edits: Vec<Edit>,
}

impl Expanded {
    /// Takes a text as it is.
    pub fn verbatim(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            undefined: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// Returns where a place of the text stood before the variables were replaced.
    pub fn original(&self, place: Position) -> Position {
        let after = self.edits.partition_point(|edit| edit.new.0 <= place);
        let Some(edit) = after.checked_sub(1).and_then(|last| self.edits.get(last)) else {
            return place;
        };
        let (end, old_end) = (edit.new.1, edit.old.1);
        if place < end {
            edit.old.0
        } else if place.line == end.line {
            Position {
                line: old_end.line,
                column: old_end.column + (place.column - end.column),
            }
        } else {
            Position {
                line: old_end.line + (place.line - end.line),
                column: place.column,
            }
        }
    }
}

const START: Position = Position { line: 1, column: 1 };

/// One replacement: where it stands in the new text, and where it stood in the old one.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Edit {
    new: (Position, Position),
    old: (Position, Position),
}

struct Expander<'a> {
    variables: &'a Variables,
    undefined: Undefined,
    assigned: BTreeMap<String, String>,
    missing: BTreeMap<String, Position>,
    /// Whether what is being read is a default of which nothing is used.
    unused: bool,
    /// How many bytes variables have stood for, whether used or not.
    replaced: usize,
    out: String,
    /// The end of `out`.
    cursor: Position,
    edits: Vec<Edit>,
}

impl Expander<'_> {
    fn run(&mut self, text: &str) -> Result<(), TemplateError> {
        let mut place = START;
        let mut rest = text;
        while let Some(start) = rest.find('$') {
            let (plain, tail) = rest.split_at(start);
            self.push(plain)?;
            advance(&mut place, plain);
            let (used, value) = self.value(tail, place, 0)?;
            let (new, old) = (self.cursor, place);
            self.push(value.as_deref().unwrap_or(&tail[..used]))?;
            advance(&mut place, &tail[..used]);
            if value.is_some() {
                self.edits.push(Edit {
                    new: (new, self.cursor),
                    old: (old, place),
                });
            }
            rest = &tail[used..];
        }
        self.push(rest)
    }

    fn push(&mut self, text: &str) -> Result<(), TemplateError> {
        if self.out.len() + text.len() > MAX_SIZE {
            return Err(TemplateError::TooLarge);
        }
        self.out.push_str(text);
        advance(&mut self.cursor, text);
        Ok(())
    }

    /// Reads what starts with `$`: how many bytes it has, and what it stands for unless itself.
    fn value(
        &mut self,
        text: &str,
        place: Position,
        depth: usize,
    ) -> Result<(usize, Option<String>), TemplateError> {
        let (used, value) = self.unlimited_value(text, place, depth)?;
        self.replaced += value.as_ref().map_or(0, String::len);
        if self.replaced > MAX_REPLACED {
            return Err(TemplateError::TooMuch { place });
        }
        Ok((used, value))
    }

    fn unlimited_value(
        &mut self,
        text: &str,
        place: Position,
        depth: usize,
    ) -> Result<(usize, Option<String>), TemplateError> {
        let after = &text[1..];
        if after.starts_with('$') {
            return Ok((2, Some("$".to_owned())));
        }
        let Some(braced) = after.strip_prefix('{') else {
            let name = leading_name(after);
            return Ok(if name.is_empty() {
                (1, None)
            } else {
                (1 + name.len(), Some(self.lookup(name, place)?))
            });
        };
        let name = leading_name(braced);
        let tail = &braced[name.len()..];
        let head = "${".len() + name.len();
        if name.is_empty() {
            return Ok((1, None));
        }
        if tail.starts_with('}') {
            return Ok((head + 1, Some(self.lookup(name, place)?)));
        }
        let Some(default) = tail.strip_prefix(":-").or(tail.strip_prefix(":=")) else {
            return Ok((1, None));
        };
        let (used, default) = self.default_text(name, default, place, depth)?;
        let known = self.find(name).filter(|value| !value.is_empty());
        let value = known.map_or(default, str::to_owned);
        if tail.starts_with(":=") {
            self.assigned.insert(name.to_owned(), value.clone());
        }
        Ok((head + 2 + used, Some(value)))
    }

    /// Reads a default up to its brace, variables in it replaced.
    fn default_text(
        &mut self,
        name: &str,
        text: &str,
        place: Position,
        depth: usize,
    ) -> Result<(usize, String), TemplateError> {
        let unclosed = || TemplateError::Unclosed {
            name: name.to_owned(),
            place,
        };
        if depth >= MAX_DEPTH {
            return Err(TemplateError::TooDeep { place });
        }
        // What a default names matters only where the default is used.
        let outer = self.unused;
        self.unused |= self.find(name).is_some_and(|value| !value.is_empty());
        let mut out = String::new();
        let mut rest = text;
        let end = loop {
            let stop = rest.find(['$', '}']).ok_or_else(unclosed)?;
            out.push_str(&rest[..stop]);
            rest = &rest[stop..];
            if rest.starts_with('}') {
                break text.len() - rest.len() + 1;
            }
            let (used, value) = self.value(rest, place, depth + 1)?;
            out.push_str(value.as_deref().unwrap_or(&rest[..used]));
            rest = &rest[used..];
        };
        self.unused = outer;
        Ok((end, out))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let assigned = self.assigned.get(name).map(String::as_str);
        assigned.or_else(|| self.variables.get(name))
    }

    fn lookup(&mut self, name: &str, place: Position) -> Result<String, TemplateError> {
        if let Some(value) = self.find(name) {
            return Ok(value.to_owned());
        }
        if self.unused {
            return Ok(String::new());
        }
        if self.undefined == Undefined::Refuse {
            return Err(TemplateError::Undefined {
                name: name.to_owned(),
                place,
            });
        }
        self.missing.entry(name.to_owned()).or_insert(place);
        Ok(String::new())
    }
}

/// Returns the variable names that a text uses, sorted; for completion and documentation.
pub fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        rest = &rest[start + 1..];
        if let Some(escaped) = rest.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let name = leading_name(rest.strip_prefix('{').unwrap_or(rest));
        if !name.is_empty() {
            names.insert(name.to_owned());
        }
    }
    names
}

fn leading_name(text: &str) -> &str {
    let starts = |first: char| first.is_ascii_alphabetic() || first == '_';
    if !text.starts_with(starts) {
        return "";
    }
    let end = text.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
    &text[..end.unwrap_or(text.len())]
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && leading_name(text).len() == text.len()
}

fn advance(place: &mut Position, text: &str) {
    for character in text.chars() {
        if character == '\n' {
            place.line += 1;
            place.column = 1;
        } else {
            place.column += 1;
        }
    }
}

/// Why variables could not be replaced.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum TemplateError {
    /// A variable has no value.
    #[error("variable `{name}` is not defined")]
    Undefined { name: String, place: Position },
    /// The brace that ends a default is missing.
    #[error("the default of variable `{name}` has no closing `}}`")]
    Unclosed { name: String, place: Position },
    /// Defaults stand in defaults too often.
    #[error("defaults are nested more than {MAX_DEPTH} deep")]
    TooDeep { place: Position },
    /// Text and values are too large together.
    #[error("the text is larger than {MAX_SIZE} bytes")]
    TooLarge,
    /// Values are repeated too often.
    #[error("the variables so far stand for more than {MAX_REPLACED} bytes")]
    TooMuch { place: Position },
    /// An argument is not `NAME=value`.
    #[error("`{argument}` is not a variable with its value such as `VERSION=1.0.0`")]
    Argument { argument: String },
    /// A settings file is no flat mapping.
    #[error("{origin}:{line}:{column}: {message}")]
    Settings {
        origin: String,
        line: u64,
        column: u64,
        message: String,
    },
}

impl TemplateError {
    /// Returns where in the text it is, if it is in one place. Messages leave that to whoever
    /// knows the name of the file.
    pub const fn place(&self) -> Option<Position> {
        match self {
            Self::Undefined { place, .. }
            | Self::Unclosed { place, .. }
            | Self::TooDeep { place }
            | Self::TooMuch { place } => Some(*place),
            Self::TooLarge | Self::Argument { .. } | Self::Settings { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables::new()
            .with_environment([("A", "environment"), ("B", "b"), ("E", "")])
            .with_settings("A: settings\nC: 1.10\nD: ~\n", "settings.yaml")
            .unwrap()
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let expanded = expand(text, &variables(), Undefined::Refuse).unwrap();
        assert_eq!(expanded.text, expected, "{text}");
    }

    #[test]
    fn variables_are_replaced_in_both_forms() {
        check("$B-${B}x$B.", "b-bxb.");
        check("${C}|${D}|${E}", "1.10||");
    }

    #[test]
    fn arguments_win_over_settings_over_the_environment() {
        check("$A", "settings");
        let variables = variables().with_argument("A=x=y").unwrap();
        let expanded = expand("$A", &variables, Undefined::Refuse).unwrap();
        assert_eq!(expanded.text, "x=y");
    }

    #[test]
    fn later_settings_win() {
        let variables = variables()
            .with_settings("A: later", "b.yaml")
            .unwrap()
            .with_settings("", "empty.yaml")
            .unwrap();
        assert_eq!(variables.get("A"), Some("later"));
    }

    #[test]
    fn a_default_stands_for_what_is_unset_or_empty() {
        check("${X:-x}${B:-x}${E:-e}${X:-}", "xbe");
        check("${X:-${Y:-$B}}/${X:-a$$b}", "b/a$b");
        check("${X:=1}$X${B:=2}$B", "11bb");
        check("${B:-$UNUSED}", "b");
    }

    #[test]
    fn other_dollars_stay() {
        for text in [
            "$1",
            "$ ",
            "$",
            "${schema.spec.name}",
            "${}",
            "${B",
            "${B:?x}",
            "a$-",
        ] {
            check(text, text);
        }
        check("$$B $$$B", "$B $b");
    }

    #[test]
    fn an_undefined_variable_is_named_once_where_it_stands_first() {
        let expanded = expand("a: $B\nb: $X ${X}", &variables(), Undefined::Empty).unwrap();
        assert_eq!(expanded.text, "a: b\nb:  ");
        let place = Position { line: 2, column: 4 };
        assert_eq!(expanded.undefined, [("X".to_owned(), place)]);
    }

    #[test]
    fn strictness_names_the_variable_and_its_place() {
        let error = expand("a: 1\n  b: ${X}", &variables(), Undefined::Refuse).unwrap_err();
        assert_eq!(error.to_string(), "variable `X` is not defined");
        assert_eq!(error.place(), Some(Position { line: 2, column: 6 }));
    }

    #[test]
    fn malformed_texts_are_errors() {
        let message = |text: &str| {
            expand(text, &variables(), Undefined::Empty)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message("x ${X:-y"),
            "the default of variable `X` has no closing `}`"
        );
        assert!(message(&"${X:-".repeat(100_000)).contains("nested"));
        assert!(Variables::new().with_argument("1A=x").is_err());
        assert!(Variables::new().with_argument("A").is_err());
        let error = Variables::new().with_settings("a: [1]", "s.yaml");
        assert_eq!(
            error.unwrap_err().to_string(),
            "s.yaml:1:4: expected string scalar"
        );
    }

    #[test]
    fn a_short_text_does_not_become_a_large_one() {
        let message = |text: &str| {
            let error = expand(text, &variables(), Undefined::Empty).unwrap_err();
            error.to_string()
        };
        let mut doubled = "${X:=aaaaaaaaaa}".to_owned();
        for (name, before) in ('a'..='z').zip(['X'].into_iter().chain('a'..='z')) {
            let twice = format!("${{{before}}}").repeat(4);
            doubled = format!("{doubled}${{{name}:={twice}}}");
        }
        let expected = "the variables so far stand for more than 8388608 bytes";
        assert_eq!(message(&doubled), expected);
        // Nor does memory fill where nothing of it is used.
        assert!(message(&format!("${{B:-{doubled}}}")).contains("more than 8388608 bytes"));
    }

    #[test]
    fn places_are_told_in_the_text_as_it_was_written() {
        let variables = variables().with_argument("M=1\n22\n3").unwrap();
        let expanded = expand("a $M b $B c\nd", &variables, Undefined::Empty).unwrap();
        assert_eq!(expanded.text, "a 1\n22\n3 b b c\nd");
        let place = |line, column| Position { line, column };
        assert_eq!(expanded.original(place(1, 1)), place(1, 1));
        assert_eq!(expanded.original(place(2, 2)), place(1, 3));
        assert_eq!(expanded.original(place(3, 3)), place(1, 6));
        assert_eq!(expanded.original(place(3, 5)), place(1, 8));
        assert_eq!(expanded.original(place(3, 7)), place(1, 11));
        assert_eq!(expanded.original(place(4, 1)), place(2, 1));
    }

    #[test]
    fn used_names_are_listed() {
        let used = names("$A ${B:-$C} $$D $1");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
    }
}
