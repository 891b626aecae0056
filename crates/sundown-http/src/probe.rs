//! The two questions of a platform: are you alive, and do you want traffic.

use http::StatusCode;
use sundown::Readiness;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    Live,
    Ready,
}

impl Probe {
    /// The one that is asked at this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Probe::Live),
            "/readyz" => Some(Probe::Ready),
            _ => None,
        }
    }

    /// Alive to the end; ready until the shutdown is announced.
    pub(crate) fn answer(self, readiness: Option<&Readiness>) -> (StatusCode, String) {
        match (self, readiness.and_then(Readiness::time_left)) {
            (Probe::Live, _) => (StatusCode::OK, "alive".into()),
            (Probe::Ready, None) => (StatusCode::OK, "ready".into()),
            (Probe::Ready, Some(left)) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("draining, gone in {:.1} s", left.as_secs_f64()))
            }
        }
    }
}
