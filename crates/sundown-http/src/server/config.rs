//! What the owner of a server chooses.

use std::time::Duration;

use http::{HeaderName, Method};
use sundown::Jobs;

use crate::{answer::Wording, exchange::RequestPayload, probe::Probe, tls::Acceptor, traffic::LameDuck};

/// What the owner chose, final once the server serves.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) jobs: Option<(HeaderName, Jobs<RequestPayload>)>,
    pub(crate) wording: Wording,
    pub(crate) header_read_timeout: Duration,
    /// What it speaks TLS with, if it does.
    pub(super) tls: Option<Acceptor>,
    pub(super) duck: LameDuck,
    pub(super) probes: bool,
    pub(super) shared_listener: bool,
    /// Handlers attach jobs though requests are none.
    pub(super) attach: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            jobs: None,
            wording: Wording::default(),
            header_read_timeout: Duration::from_secs(30),
            tls: None,
            duck: LameDuck::default(),
            probes: false,
            shared_listener: false,
            attach: false,
        }
    }
}

impl Config {
    /// Whether handlers find a `RequestJob`.
    pub(crate) fn attaches(&self) -> bool {
        self.attach || self.jobs.is_some()
    }

    pub(crate) fn probe(&self, method: &Method, path: &str) -> Option<Probe> {
        let asks = self.probes && (method == Method::GET || method == Method::HEAD);
        let of = |(known, probe): (&str, Probe)| (known == path).then_some(probe);
        if asks { Probe::PATHS.into_iter().find_map(of) } else { None }
    }
}
