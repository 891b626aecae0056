//! How much the suites do: what every change has time for, or all that is claimed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// So much in every run; so much where `SUNDOWN_FULL` is set, as in a campaign.
pub fn sized<T>(every_run: T, campaign: T) -> T {
    if std::env::var_os("SUNDOWN_FULL").is_some() { campaign } else { every_run }
}

/// Lets this process, and those that it starts from here on, have so many descriptors.
///
/// # Panics
///
/// When the system allows fewer.
pub fn allow_descriptors(count: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= count) {
        return;
    }
    let allowed = setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum });
    assert!(allowed.is_ok(), "{count} descriptors are more than the hard limit, {maximum:?}: {allowed:?}");
}
