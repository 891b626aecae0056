//! What the server's owner has chosen, and which of its answers may be given.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use super::{Answer, JobIds, Unanswered};

type Function = Arc<dyn Fn(&Unanswered<'_>) -> Answer + Send + Sync>;

/// As many fields as an answer may have: hyper's own clients read no more.
const MOST_FIELDS: usize = 90;

#[derive(Clone)]
pub(crate) struct Wording {
    pub(crate) handed_over: StatusCode,
    pub(crate) retry_after: Duration,
    pub(crate) show_jobs: JobIds,
    overruled: Arc<AtomicU64>,
    /// The owner wants 200 for everyone, whatever became of their work.
    pub(crate) claims_success: bool,
    pub(crate) function: Option<Function>,
    pub(crate) routes: Vec<(Route, Function)>,
}

impl Default for Wording {
    fn default() -> Self {
        Wording {
            handed_over: StatusCode::OK,
            retry_after: Duration::from_secs(5),
            show_jobs: JobIds::default(),
            overruled: Arc::default(),
            claims_success: false,
            function: None,
            routes: Vec::new(),
        }
    }
}

impl Wording {
    /// What the owner's function says, if that may be said; otherwise the default.
    pub(super) fn answer(&self, question: &Unanswered<'_>) -> Answer {
        // gRPC's statuses are not HTTP's: a function that knows these alone would be misunderstood.
        let function = if question.is_grpc() { None } else { self.function_for(question.uri.path()) };
        let Some(function) = function else { return question.default_answer() };
        match catch_unwind(AssertUnwindSafe(|| function(question))) {
            Ok(answer) if self.allows(&answer, question) => return answer,
            Ok(_) => {}
            // What a panic carries is foreign too, and may panic once more when it is dropped.
            Err(panic) => mem::forget(panic),
        }
        self.overruled.fetch_add(1, Ordering::Relaxed);
        question.default_answer()
    }

    /// How often a function said what may not be said, or panicked.
    pub(crate) fn overruled(&self) -> u64 {
        self.overruled.load(Ordering::Relaxed)
    }

    fn function_for(&self, path: &str) -> Option<&Function> {
        let routes = self.routes.iter().filter(|(route, _)| route.matches(path));
        let route = routes.max_by_key(|(route, _)| (!route.is_prefix, route.path.len()));
        route.map(|(_, function)| function).or(self.function.as_ref())
    }

    /// It is final, switches no protocol, and is no success but a proved one.
    fn allows(&self, answer: &Answer, question: &Unanswered<'_>) -> bool {
        let success = question.verdict.is_success() || self.claims_success;
        !answer.status.is_informational()
            && (!answer.status.is_success() || (success && !question.asked.awaits_switch))
            && answer.headers.len() <= MOST_FIELDS
    }
}

/// Which requests a function is for.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    path: String,
    /// All that begin with it.
    is_prefix: bool,
}

impl Route {
    /// `None` if it is neither a path nor the beginning of one with `/*` behind it.
    pub(crate) fn parse(route: &str) -> Option<Self> {
        let (path, is_prefix) = match route.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (route, false),
        };
        let is_path = path.starts_with('/') && !path.contains(['*', '?', '#']);
        let route = Route { path: path.to_owned(), is_prefix };
        (is_path && (!is_prefix || path.ends_with('/'))).then_some(route)
    }

    /// # Panics
    ///
    /// When it is neither.
    #[track_caller]
    pub(crate) fn of(route: &str) -> Self {
        match Self::parse(route) {
            Some(route) => route,
            None => panic!("{route:?} is neither a path nor the beginning of one with `/*` at its end"),
        }
    }

    fn matches(&self, path: &str) -> bool {
        if self.is_prefix { path.starts_with(&self.path) } else { path == self.path }
    }
}
