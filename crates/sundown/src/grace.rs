//! How much time the platform gives between its signal and its kill, and how that is known.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, Serializer};

use crate::report::Short;

/// The time between the signal and the kill, with where the number came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grace {
    length: Duration,
    provenance: Provenance,
}

/// Where a [`Grace`] came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provenance {
    /// The program said so.
    Explicit,
    /// An environment variable said so.
    Variable(String),
    /// The platform's documented default, recognised by a marker.
    Platform {
        /// The platform.
        name: &'static str,
        /// What it was recognised by.
        marker: &'static str,
    },
    /// Nothing said anything.
    Fallback,
}

/// The variable that overrides what is detected, in seconds.
pub const GRACE_VARIABLE: &str = "SUNDOWN_GRACE";

/// A platform that shows itself, the most specific first: Cloud Run is asked before Kubernetes, since it runs on
/// Knative, and Docker last, since its marker shows on many others.
const PLATFORMS: &[(Marker, &str, u64)] = &[
    // https://cloud.google.com/run/docs/container-contract: 10 s, fixed
    (Marker::Variable("K_SERVICE"), "Cloud Run service", 10),
    (Marker::Variable("CLOUD_RUN_JOB"), "Cloud Run job", 10),
    (Marker::Variable("CLOUD_RUN_WORKER_POOL"), "Cloud Run worker pool", 10),
    // https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination: 30 s unless the pod says else
    (Marker::Variable("KUBERNETES_SERVICE_HOST"), "Kubernetes", 30),
    (Marker::File("/var/run/secrets/kubernetes.io/serviceaccount"), "Kubernetes", 30),
    // https://docs.docker.com/reference/cli/docker/container/stop/: 10 s
    (Marker::File("/.dockerenv"), "Docker", 10),
    (Marker::File("/run/.containerenv"), "Podman", 10),
];

/// Where nothing says anything, the shortest of the common defaults.
const FALLBACK: Duration = Duration::from_secs(10);

/// Longer is a mistake of units, and would overflow what can be added to an instant.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

enum Marker {
    Variable(&'static str),
    File(&'static str),
}

impl Grace {
    /// Exactly this long.
    pub fn new(length: Duration) -> Self {
        Grace { length, provenance: Provenance::Explicit }
    }

    /// What the environment of this process says: [`GRACE_VARIABLE`] first, then the platform's marker, then ten
    /// seconds.
    ///
    /// # Errors
    ///
    /// When the variable is set to something that is no number of seconds.
    pub fn detect() -> Result<Self, GraceError> {
        Self::of(&Environment::of_this_process())
    }

    /// The same for a given environment.
    ///
    /// # Errors
    ///
    /// Those of [`detect`](Self::detect).
    ///
    /// # Examples
    ///
    /// ```
    /// use sundown::{Environment, Grace};
    ///
    /// let pod = Environment::empty().with_variable("KUBERNETES_SERVICE_HOST", "10.0.0.1").with_file("/.dockerenv");
    /// assert_eq!(Grace::of(&pod)?.to_string(), "30 s (default of Kubernetes, seen by KUBERNETES_SERVICE_HOST)");
    /// # Ok::<(), sundown::GraceError>(())
    /// ```
    pub fn of(environment: &Environment) -> Result<Self, GraceError> {
        if let Some(grace) = Self::from_variable(GRACE_VARIABLE, environment)? {
            return Ok(grace);
        }
        let platform = PLATFORMS.iter().find_map(|(marker, name, seconds)| {
            let marker = match *marker {
                Marker::Variable(variable) => environment.variable(variable).map(|_| variable),
                Marker::File(file) => environment.has_file(file).then_some(file),
            }?;
            let provenance = Provenance::Platform { name, marker };
            Some(Grace { length: Duration::from_secs(*seconds), provenance })
        });
        Ok(platform.unwrap_or(Grace { length: FALLBACK, provenance: Provenance::Fallback }))
    }

    /// What one variable says, in seconds; `None` if it is not set.
    ///
    /// # Errors
    ///
    /// When it is set to something that is no number of seconds.
    pub fn from_variable(name: &str, environment: &Environment) -> Result<Option<Self>, GraceError> {
        let Some(text) = environment.variable(name) else { return Ok(None) };
        let seconds = text.trim().parse::<f64>().ok();
        match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(length) => Ok(Some(Grace { length, provenance: Provenance::Variable(name.to_owned()) })),
            None => Err(GraceError::NotSeconds { variable: name.to_owned(), text: text.to_owned() }),
        }
    }

    /// The time itself.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Where the number came from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// Whether a shutdown can be planned with it.
    pub(crate) fn check(&self) -> Result<(), GraceError> {
        if self.length.is_zero() {
            Err(GraceError::Zero { provenance: self.provenance.clone() })
        } else if self.length > LONGEST {
            Err(GraceError::TooLong { length: self.length, provenance: self.provenance.clone() })
        } else {
            Ok(())
        }
    }
}

impl From<Duration> for Grace {
    fn from(length: Duration) -> Self {
        Grace::new(length)
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length.subsec_nanos() == 0 {
            write!(f, "{} s ({})", self.length.as_secs(), self.provenance)
        } else {
            write!(f, "{} ({})", Short(self.length), self.provenance)
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provenance::Explicit => f.write_str("set by the program"),
            Provenance::Variable(name) => write!(f, "set by {name}"),
            Provenance::Platform { name, marker } => write!(f, "default of {name}, seen by {marker}"),
            Provenance::Fallback => f.write_str("no platform recognised"),
        }
    }
}

impl Serialize for Grace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut record = serializer.serialize_struct("Grace", 2)?;
        record.serialize_field("seconds", &self.length.as_secs_f64())?;
        record.serialize_field("provenance", &self.provenance.to_string())?;
        record.end()
    }
}

/// Why a grace cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraceError {
    /// A variable holds no number of seconds.
    #[error("{variable} is {text:?}, which is not a number of seconds")]
    NotSeconds {
        /// The variable.
        variable: String,
        /// What it holds.
        text: String,
    },
    /// No time at all.
    #[error("the grace is 0 s ({provenance}): there is no time to shut down in")]
    Zero {
        /// Where it came from.
        provenance: Provenance,
    },
    /// More than a year.
    #[error("the grace is {} s ({provenance}), at most {} s make sense", length.as_secs(), LONGEST.as_secs())]
    TooLong {
        /// How long.
        length: Duration,
        /// Where it came from.
        provenance: Provenance,
    },
}

/// What [`Grace::of`] looks at: variables and marker files, of this process or of a test.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    files: HashSet<PathBuf>,
}

impl Environment {
    /// Nothing set, no file there.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The variables of this process, and those marker files that exist. A variable that is no Unicode is taken with
    /// replacement characters, so that it is refused by name instead of overlooked.
    pub fn of_this_process() -> Self {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect();
        let files = PLATFORMS.iter().filter_map(|(marker, _, _)| match marker {
            Marker::File(file) => Path::new(file).exists().then(|| PathBuf::from(file)),
            Marker::Variable(_) => None,
        });
        Environment { variables, files: files.collect() }
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

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn has_file(&self, path: &str) -> bool {
        self.files.contains(Path::new(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grace(environment: &Environment) -> (u64, String) {
        let grace = Grace::of(environment).unwrap();
        (grace.length().as_secs(), grace.provenance().to_string())
    }

    #[test]
    fn the_most_specific_marker_wins() {
        let docker = Environment::empty().with_file("/.dockerenv");
        let pod = docker.clone().with_variable("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        let run = pod.clone().with_variable("K_SERVICE", "resize");
        let set = run.clone().with_variable("SUNDOWN_GRACE", "2.5");
        assert_eq!(grace(&Environment::empty()), (10, "no platform recognised".into()));
        assert_eq!(grace(&docker), (10, "default of Docker, seen by /.dockerenv".into()));
        assert_eq!(grace(&pod), (30, "default of Kubernetes, seen by KUBERNETES_SERVICE_HOST".into()));
        assert_eq!(grace(&run), (10, "default of Cloud Run service, seen by K_SERVICE".into()));
        assert_eq!(Grace::of(&set).unwrap().to_string(), "2.500 s (set by SUNDOWN_GRACE)");
    }

    #[test]
    fn what_is_no_number_of_seconds_is_refused_by_name() {
        for text in ["abc", "", "-1", "NaN", "inf", "1e300", "10s"] {
            let environment = Environment::empty().with_variable(GRACE_VARIABLE, text);
            let error = Grace::of(&environment).unwrap_err().to_string();
            assert_eq!(error, format!("SUNDOWN_GRACE is {text:?}, which is not a number of seconds"));
        }
    }

    #[test]
    fn a_shutdown_can_be_planned_neither_with_nothing_nor_with_for_ever() {
        assert_eq!(
            Grace::new(Duration::ZERO).check().unwrap_err().to_string(),
            "the grace is 0 s (set by the program): there is no time to shut down in"
        );
        assert!(Grace::new(Duration::MAX).check().unwrap_err().to_string().contains("at most 31536000 s"));
    }
}
