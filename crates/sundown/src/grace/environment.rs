//! What a grace is detected from: the variables, marker files and number of a process, this one or a test's.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::platforms;

/// What [`Grace::of`](crate::Grace::of) looks at: variables and marker files, of this process or of a test.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    files: HashSet<PathBuf>,
    process_id: Option<u32>,
}

impl Environment {
    /// Nothing set, no file there.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The variables and the id of this process, and those marker files that exist. A variable that is no Unicode is
    /// taken with replacement characters, so that it is refused by name instead of overlooked.
    pub fn of_this_process() -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let files = platforms::files().filter(|file| Path::new(file).exists()).map(PathBuf::from);
        Environment { variables, files: files.collect(), process_id: Some(std::process::id()) }
    }

    /// With a variable set.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// With a file there.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.insert(path.into());
        self
    }

    /// Of the process that has this id: some markers name the process that they are meant for.
    #[must_use]
    pub fn with_process_id(mut self, id: u32) -> Self {
        self.process_id = Some(id);
        self
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(super) fn has_file(&self, path: &str) -> bool {
        self.files.contains(Path::new(path))
    }

    /// Whether this variable holds the id of the process itself, and not of one that it was inherited from.
    pub(super) fn is_own_id(&self, name: &str) -> bool {
        let own = self.process_id.map(|id| id.to_string());
        own.is_some() && self.variable(name) == own.as_deref()
    }
}
