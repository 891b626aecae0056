//! What a readiness probe asks.

use std::{fmt, sync::Arc, time::Duration};

use crate::watch::Stages;

/// Whether the service wants traffic: the answer to a readiness probe, red from the announcement on.
///
/// Liveness is not its business: a draining service is alive to the end.
#[derive(Clone)]
pub struct Readiness {
    stages: Arc<Stages>,
}

impl Readiness {
    pub(crate) fn new(stages: Arc<Stages>) -> Self {
        Readiness { stages }
    }

    /// Whether no shutdown has been announced.
    pub fn is_ready(&self) -> bool {
        !self.stages.draining.is_set()
    }

    /// How long until the process is gone; `None` while ready.
    pub fn time_left(&self) -> Option<Duration> {
        if self.is_ready() { None } else { self.stages.ends.get().map(|ends| ends.remaining()) }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
