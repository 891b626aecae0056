//! What the owner of a server chooses about answers that are not the handlers'.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use super::Server;
use crate::{
    answer::{Answer, JobIds, Route, Unanswered},
    config::Config,
};

impl Server {
    /// The status for a client whose job was taken over, or done. Default: 200; 202 is the other honest choice (RFC 9110
    /// section 15.3.3).
    ///
    /// # Panics
    ///
    /// With a status whose answer has no body or is not the last one (1xx, 204, 205, 304): a mistake in the program's
    /// text.
    #[must_use]
    #[track_caller]
    pub fn handed_over_status(self, status: StatusCode) -> Self {
        let status = Config::checked_status(status);
        self.configure(|config| config.wording.handed_over = status)
    }

    /// What a 503 says in `Retry-After`, in whole seconds, at least one. Default: 5 s.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        self.configure(|config| config.wording.retry_after = after)
    }

    /// Where answers that are not the handlers' name the jobs they speak of. Default: in the header
    /// [`JOB`](crate::JOB).
    #[must_use]
    pub fn show_jobs(self, show: JobIds) -> Self {
        self.configure(|config| config.wording.show_jobs = show)
    }

    /// Decides what clients are told whose handlers do not tell them, in place of
    /// [the default](Unanswered::default_answer).
    ///
    /// `answer` runs where the client is answered: on the connection's task, or outside the runtime on the thread that
    /// answers all those whom a blocked runtime leaves waiting. There it must not block. If it panics, the default is
    /// given, and the report counts it (`answers overruled`). So it is in place of an answer that may not be given: one that is not final (1xx), a 2xx to who asks for a
    /// tunnel or an upgrade, a 2xx where no [success](crate::Verdict::is_success) is proved, more fields than clients
    /// read.
    ///
    /// It is not asked about requests of gRPC, whose statuses are its own: they get status 14 (unavailable), and are told
    /// not to retry what was done or handed over. Nor is it about a request that nobody has read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::TcpListener;
    /// use http::{StatusCode, header::LOCATION};
    /// use sundown_http::{Server, Verdict};
    ///
    /// /// An id comes from a client: it may be any text.
    /// fn encode(id: &str) -> String {
    ///     percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string()
    /// }
    ///
    /// let http = Server::new(TcpListener::bind("127.0.0.1:0")?)?.answer(|unanswered| {
    ///     let answer = unanswered.default_answer();
    ///     match (unanswered.verdict(), unanswered.job_ids()) {
    ///         // Somebody else does it: here is where to ask for it.
    ///         (Verdict::HandedOver, [id]) => match format!("/jobs/{}", encode(id.as_str())).try_into() {
    ///             Ok(location) => answer.with_status(StatusCode::ACCEPTED).with_header(LOCATION, location),
    ///             Err(_) => answer,
    ///         },
    ///         _ => answer,
    ///     }
    /// });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[must_use]
    pub fn answer(self, answer: impl Fn(&Unanswered<'_>) -> Answer + Send + Sync + 'static) -> Self {
        self.configure(|config| config.wording.function.replace(Arc::new(answer)))
    }

    /// The same for one path, or with `/*` at its end for all paths that begin with what is before the `*`. A path goes
    /// before beginnings, and a longer beginning before a shorter one; the function that was given last for a route is
    /// asked.
    ///
    /// # Panics
    ///
    /// When `route` does not begin with `/`, or has a `*` elsewhere: a mistake in the program's text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::TcpListener;
    /// use http::{HeaderValue, StatusCode, header::LOCATION};
    /// use sundown_http::{Answer, Server};
    ///
    /// let http = Server::new(TcpListener::bind("127.0.0.1:0")?)?
    ///     // Downloads go on elsewhere, at once; unless somebody else goes on with them already.
    ///     .answer_route("/files/*", |unanswered| {
    ///         match HeaderValue::try_from(format!("https://mirror.example{}", unanswered.uri().path())) {
    ///             Ok(mirror) if !unanswered.verdict().is_success() => {
    ///                 Answer::new(StatusCode::TEMPORARY_REDIRECT).with_header(LOCATION, mirror)
    ///             }
    ///             _ => unanswered.default_answer(),
    ///         }
    ///     });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn answer_route(
        self,
        route: &str,
        answer: impl Fn(&Unanswered<'_>) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let route = Route::of(route);
        self.configure(|config| config.wording.routes.push((route, Arc::new(answer))))
    }

    /// Everyone whose request was read gets 200, **even if nobody will ever do their work**: clients believe it done, and
    /// do not try again. For services whose clients can make nothing of another status, and which lose nothing.
    ///
    /// The default answer is 200 whatever became of the request, and functions of the owner's may say 2xx as they like.
    /// The header [`FATE`](crate::FATE) still tells the truth. Who asks for a tunnel or an upgrade, and whoever's request
    /// nobody has read, is told 503 all the same, since a 200 would mean something else to them; gRPC stays as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::net::TcpListener;
    /// use sundown_http::Server;
    ///
    /// let http = Server::new(TcpListener::bind("127.0.0.1:0")?)?.claim_success_even_if_work_is_lost();
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[must_use]
    pub fn claim_success_even_if_work_is_lost(self) -> Self {
        self.configure(|config| config.wording.claims_success = true)
    }
}
