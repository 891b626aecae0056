//! The signals that a process-wide shutdown can listen to, by name.

use std::{fmt, str::FromStr};

use signal_hook::consts;

/// A signal that can be listened to.
///
/// What each means to a shutdown is in its [`Escalation`](crate::Escalation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM, what platforms send.
    Term,
    /// SIGINT, what a terminal sends.
    Int,
    /// SIGQUIT, what some images name as their stop signal.
    Quit,
    /// SIGHUP: the terminal is gone; by custom, *read the configuration again*.
    Hup,
    /// SIGUSR1, of no fixed meaning.
    Usr1,
    /// SIGUSR2, of no fixed meaning.
    Usr2,
    /// SIGTSTP: a terminal's Ctrl-Z; Cloud Run sends it to a job [ten seconds before it is moved to another
    /// host](https://cloud.google.com/run/docs/container-contract).
    Tstp,
    /// SIGCONT: the process goes on after a stop; Cloud Run sends it to a job that has been moved.
    Cont,
    /// SIGWINCH: the terminal has another size; the stop signal of some images.
    Winch,
}

impl Signal {
    /// Each of them, in the order of their places in a table.
    pub(crate) const ALL: [Signal; 9] = [
        Signal::Term,
        Signal::Int,
        Signal::Quit,
        Signal::Hup,
        Signal::Usr1,
        Signal::Usr2,
        Signal::Tstp,
        Signal::Cont,
        Signal::Winch,
    ];

    /// Its number on this system. (Those of SIGUSR1, SIGUSR2, SIGTSTP and SIGCONT are not the same on every Unix.)
    pub fn number(self) -> u8 {
        let number = match self {
            Signal::Term => consts::SIGTERM,
            Signal::Int => consts::SIGINT,
            Signal::Quit => consts::SIGQUIT,
            Signal::Hup => consts::SIGHUP,
            Signal::Usr1 => consts::SIGUSR1,
            Signal::Usr2 => consts::SIGUSR2,
            Signal::Tstp => consts::SIGTSTP,
            Signal::Cont => consts::SIGCONT,
            Signal::Winch => consts::SIGWINCH,
        };
        number as u8
    }

    /// The exit code by which it shows, as a shell would have it: 128 + its [number](Self::number).
    pub fn exit_status(self) -> u8 {
        128 + self.number()
    }

    /// Whether it ends a process that neither listens to it nor ignores it.
    pub fn ends_by_default(self) -> bool {
        !matches!(self, Signal::Tstp | Signal::Cont | Signal::Winch)
    }

    pub(crate) fn from_number(number: i32) -> Option<Self> {
        Signal::ALL.into_iter().find(|signal| i32::from(signal.number()) == number)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Term => "SIGTERM",
            Signal::Int => "SIGINT",
            Signal::Quit => "SIGQUIT",
            Signal::Hup => "SIGHUP",
            Signal::Usr1 => "SIGUSR1",
            Signal::Usr2 => "SIGUSR2",
            Signal::Tstp => "SIGTSTP",
            Signal::Cont => "SIGCONT",
            Signal::Winch => "SIGWINCH",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From its name, with or without `SIG`, in any case: what a configuration says.
///
/// # Examples
///
/// ```
/// use sundown::Signal;
///
/// assert_eq!("hup".parse(), Ok(Signal::Hup));
/// assert_eq!("SIGKILL".parse::<Signal>().unwrap_err().to_string(), "SIGKILL cannot be caught by any process");
/// ```
impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        let upper = text.trim().to_ascii_uppercase();
        let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
        match Signal::ALL.into_iter().find(|signal| signal.name() == name) {
            Some(signal) => Ok(signal),
            None if name == "SIGKILL" || name == "SIGSTOP" => Err(SignalError::Uncatchable { name }),
            None => Err(SignalError::Unknown { text: text.to_owned() }),
        }
    }
}

/// Why a name is not that of a [`Signal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// No process hears of it.
    #[error("{name} cannot be caught by any process")]
    Uncatchable {
        /// Which one.
        name: String,
    },
    /// None that a shutdown listens to is called so.
    #[error("{text:?} is no signal that a shutdown can listen to")]
    Unknown {
        /// What was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_found_by_its_name_and_by_its_number() {
        for (place, signal) in Signal::ALL.into_iter().enumerate() {
            assert_eq!(signal as usize, place);
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(signal.to_string()[3..].to_lowercase().parse(), Ok(signal));
            assert_eq!(Signal::from_number(signal.number().into()), Some(signal));
        }
    }

    #[test]
    fn what_cannot_be_listened_to_is_refused_by_name() {
        let refused = |name: &str| name.parse::<Signal>().unwrap_err().to_string();
        assert_eq!(refused("stop"), "SIGSTOP cannot be caught by any process");
        assert_eq!(refused("KILL"), "SIGKILL cannot be caught by any process");
        assert_eq!(refused("SIGSEGV"), "\"SIGSEGV\" is no signal that a shutdown can listen to");
        assert_eq!(refused(""), "\"\" is no signal that a shutdown can listen to");
    }
}
