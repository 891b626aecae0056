//! How much time the platform gives between its signal and its kill, and how that is known.

mod environment;
mod platforms;

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

pub use self::environment::Environment;
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
    /// What a platform that the program named is known to give.
    Named(&'static str),
    /// Nothing said anything.
    Fallback,
}

/// The variable that overrides what is detected, in seconds.
pub const GRACE_VARIABLE: &str = "SUNDOWN_GRACE";

/// Where nothing says anything, the shortest of the common defaults.
const FALLBACK: Duration = Duration::from_secs(10);

/// Longer is a mistake of units, and would overflow what can be added to an instant.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where the platform gives none, its kill may come at any moment. Until it does there is nothing to lose by going on: for
/// the half second that [Lambda](Grace::LAMBDA_INTERNAL_EXTENSION) has, which is enough for whoever has nothing in flight.
const BEST_EFFORT: Duration = Duration::from_millis(500);

impl Grace {
    /// Exactly this long.
    pub fn new(length: Duration) -> Self {
        Grace { length, provenance: Provenance::Explicit }
    }

    /// What a platform is known to give, where the process cannot see it: a constant of one's own, beside those here.
    ///
    /// It may be none, which is accepted from a platform alone. The shutdown then does what it can in half a second, until
    /// the platform's kill, and its report warns of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// use sundown::Grace;
    ///
    /// const OURS: Grace = Grace::named("the cluster in the cellar", Duration::from_secs(45));
    /// assert_eq!(OURS.to_string(), "45 s (default of the cluster in the cellar, named by the program)");
    /// ```
    pub const fn named(platform: &'static str, length: Duration) -> Self {
        Grace { length, provenance: Provenance::Named(platform) }
    }

    /// What the environment of this process says: [`GRACE_VARIABLE`] first; then what the platform lets one read from a
    /// variable; then what it is known to give, if it is recognised by its markers, the most specific first; then ten
    /// seconds. Where a process manager (supervisord, systemd) shows besides, the sooner end of the two.
    ///
    /// Recognised are Cloud Run, AWS Lambda, Fargate and ECS, Azure Container Apps and App Service, Heroku, Fly.io, Nomad,
    /// Render, Railway, Kubernetes, Docker, Podman, supervisord and systemd.
    ///
    /// # Errors
    ///
    /// When a variable is set to something that is no number of seconds.
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
        let platform = platforms::detect(environment)?;
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

    /// What a shutdown is planned with: a little, where the platform gives none.
    pub(crate) fn planned(&self) -> Duration {
        if self.length.is_zero() { BEST_EFFORT } else { self.length }
    }

    /// What the report says of a platform that gives none.
    pub(crate) fn warning(&self) -> Option<String> {
        let effort = Short(BEST_EFFORT);
        let none = || {
            format!(
                "there is no grace here ({}): what was done is best effort, within {effort}",
                self.provenance
            )
        };
        self.length.is_zero().then(none)
    }

    /// Whether a shutdown can be planned with it.
    pub(crate) fn check(&self) -> Result<(), GraceError> {
        if self.length.is_zero() && !self.provenance.is_platforms() {
            Err(GraceError::Zero { provenance: self.provenance.clone() })
        } else if self.length > LONGEST {
            Err(GraceError::TooLong { length: self.length, provenance: self.provenance.clone() })
        } else {
            Ok(())
        }
    }
}

impl Provenance {
    /// Whether it is the platform that says so, or is known to do so.
    fn is_platforms(&self) -> bool {
        match self {
            Provenance::Platform { .. } | Provenance::Named(_) => true,
            Provenance::Variable(name) => platforms::is_readable(name),
            Provenance::Explicit | Provenance::Fallback => false,
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
            Provenance::Named(name) => write!(f, "default of {name}, named by the program"),
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
    /// No time at all, and it is not the platform that gives none: most likely a mistake of units.
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

#[cfg(test)]
mod tests {
    use super::*;

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
