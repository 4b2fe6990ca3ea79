//! Where the values of variables come from.

use std::collections::BTreeMap;

use ocm_model::yaml;

use super::{TemplateError, is_name};

/// The values of variables, from arguments, settings files and the environment, in this order of
/// precedence.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    arguments: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
}

impl Variables {
    /// Returns no variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the variables of the environment.
    #[must_use]
    pub fn with_environment<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        self.environment
            .extend(variables.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Adds a settings file, a flat mapping in YAML. Of several the later one wins.
    ///
    /// # Errors
    ///
    /// The text is no such mapping. `origin` names the file in the message.
    pub fn with_settings(mut self, text: &str, origin: &str) -> Result<Self, TemplateError> {
        let settings: Option<BTreeMap<String, Option<String>>> =
            yaml::from_str(text).map_err(|error: yaml::Error| TemplateError::Settings {
                origin: origin.to_owned(),
                line: error.line,
                column: error.column,
                message: error.message,
            })?;
        let settings = settings.unwrap_or_default().into_iter();
        self.settings
            .extend(settings.map(|(name, value)| (name, value.unwrap_or_default())));
        Ok(self)
    }

    /// Adds an argument of the form `NAME=value`.
    ///
    /// # Errors
    ///
    /// The text has another form.
    pub fn with_argument(mut self, argument: &str) -> Result<Self, TemplateError> {
        match argument.split_once('=') {
            Some((name, value)) if is_name(name) => {
                self.arguments.insert(name.to_owned(), value.to_owned());
                Ok(self)
            }
            _ => Err(TemplateError::Argument {
                argument: argument.to_owned(),
            }),
        }
    }

    /// Returns the value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        [&self.arguments, &self.settings, &self.environment]
            .into_iter()
            .find_map(|source| source.get(name))
            .map(String::as_str)
    }
}
