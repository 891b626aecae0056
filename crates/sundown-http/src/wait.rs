//! `poll(2)`: what the threads outside the runtime wait in.

use std::time::Duration;

use rustix::event::{PollFd, Timespec};

/// The queue cannot be accepted from (no descriptors, say), and nobody tells us when it can.
pub(crate) const DEAF: Duration = Duration::from_millis(20);

/// Waits until one of these moves, for this time at the most, or for as long as it takes. Returns whether anything has
/// happened, which an interruption is too: the caller looks again.
pub(crate) fn poll(fds: &mut [PollFd<'_>], at_most: Option<Duration>) -> bool {
    // A time too long to be told is for ever.
    let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
    !matches!(rustix::event::poll(fds, at_most.as_ref()), Ok(0))
}
