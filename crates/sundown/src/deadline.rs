//! The moment by which something must be over, shared live by everyone it concerns.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::host::DynHost;

/// The moment by which the holder's part of the shutdown must be over.
///
/// A live handle: a second signal or a nearer deadline may tighten it at any time, and every clone sees it at once.
/// What it is the end of depends on who gave it out: a component has its own latest finish, a
/// [`Watch`](crate::Watch) the claim, a notifier the end of its slice, and
/// [`Handle::deadline`](crate::Handle::deadline) the end of the process.
///
/// # Examples
///
/// ```
/// fn worth_starting(step: std::time::Duration, deadline: &sundown::Deadline) -> bool {
///     step < deadline.remaining()
/// }
/// ```
#[derive(Clone)]
pub struct Deadline {
    /// Nanoseconds after `base`.
    at: Arc<AtomicU64>,
    base: Instant,
    /// Of a part: it is over by then at the latest.
    part: Option<Instant>,
    /// Of one that was given out before there was a whole: that of which it is a part since.
    joined: Option<Arc<OnceLock<Deadline>>>,
    host: DynHost,
}

impl Deadline {
    /// `base` is any moment that is not after `at`.
    pub(crate) fn new(host: &DynHost, base: Instant, at: Instant) -> Self {
        Deadline {
            at: Arc::new(AtomicU64::new(nanos(base, at))),
            base,
            part: None,
            joined: None,
            host: host.clone(),
        }
    }

    /// One that may [become](Self::join) a part of another when it has been given out.
    pub(crate) fn apart(host: &DynHost, base: Instant, at: Instant) -> Self {
        Deadline { joined: Some(Arc::default()), ..Self::new(host, base, at) }
    }

    /// From here on it is over when the other is, at the latest, for each clone of it. It follows the first that it joins,
    /// if it was made [apart](Self::apart), and the other was not: nothing follows itself.
    pub(crate) fn join(&self, whole: &Deadline) {
        self.tighten(whole.at());
        let whole = whole.joined.as_ref().and_then(|joined| joined.get()).unwrap_or(whole);
        if let (Some(joined), None) = (&self.joined, &whole.joined) {
            let _ = joined.set(whole.clone());
        }
    }

    /// The end of a part of the work: at this moment, or when the whole ends, if that is earlier. It follows when the whole
    /// is tightened.
    #[must_use]
    pub fn no_later_than(&self, at: Instant) -> Self {
        Deadline { part: Some(self.part.map_or(at, |before| before.min(at))), ..self.clone() }
    }

    /// Moves it nearer, if this is.
    pub(crate) fn tighten(&self, at: Instant) {
        // Relaxed: the moment stands for itself; nothing else is published with it.
        self.at.fetch_min(nanos(self.base, at), Ordering::Relaxed);
    }

    /// The moment itself, on the system's monotonic clock: the platform's kill follows no other.
    pub fn at(&self) -> Instant {
        let whole = self.base + Duration::from_nanos(self.at.load(Ordering::Relaxed));
        let own = self.part.map_or(whole, |part| part.min(whole));
        self.joined.as_ref().and_then(|joined| joined.get()).map_or(own, |joined| joined.at().min(own))
    }

    /// The time left, zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.at().saturating_duration_since(self.host.now())
    }

    /// Whether it has passed.
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deadline(in {:?})", self.remaining())
    }
}

fn nanos(base: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(base).as_nanos()).unwrap_or(u64::MAX)
}
