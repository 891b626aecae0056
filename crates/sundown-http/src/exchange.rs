//! One request on its way to an answer, with the jobs that depend on it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering},
};

use futures_util::task::AtomicWaker;
use http::{Method, Request, Uri, Version, uri::PathAndQuery};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use sundown::{BoxFuture, Commit, Fate, Guard, Job, JobId, Taken, Ticket};

use crate::answer::{Asked, Verdict};

/// What a request's job says to whoever takes it over: `method` and `path`, with the query: the work may depend on it.
/// Secrets do not belong there. Neither the fields nor the body are in it: what else the work needs is for a
/// [checkpoint](RequestJob::checkpoint) to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestPayload {
    /// The request's method.
    pub method: Method,
    /// The request's target.
    pub uri: Uri,
}

impl Serialize for RequestPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("RequestPayload", 2)?;
        record.serialize_field("method", self.method.as_str())?;
        record.serialize_field(
            "path",
            &self.uri.path_and_query().map_or(self.uri.path(), |path| path.as_str()),
        )?;
        record.end()
    }
}

/// A request that has been begun: shared by its connection, the layer, its handler and the rescue.
pub(crate) struct Exchange {
    pub(crate) method: Method,
    target: Target,
    pub(crate) version: Version,
    /// Its body may not have been read when it is answered.
    pub(crate) has_body: bool,
    /// What its answer depends on besides.
    pub(crate) asked: Asked,
    /// Its own task, where it has one: on a stream of HTTP/2.
    pub(crate) task: AtomicWaker,
    /// Its place among the streams, where there are some.
    seat: AtomicUsize,
    /// How many hold that, where it is held in parts.
    holders: AtomicU32,
    stage: AtomicU8,
    /// A job depends on it, or did.
    has_jobs: AtomicBool,
    work: Mutex<Work>,
}

/// A request's target, by its form (RFC 9112 section 3.2). Over HTTP/1 most are a path, and cheaper to keep as that.
enum Target {
    Origin(PathAndQuery),
    Other(Uri),
}

impl Target {
    #[inline]
    fn of(uri: &Uri) -> Self {
        match uri.path_and_query() {
            Some(path) if uri.scheme().is_none() && uri.authority().is_none() => Target::Origin(path.clone()),
            _ => Target::Other(uri.clone()),
        }
    }
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Handler = 0,
    /// The head of its response is out.
    Responding,
    /// It is no exchange any more, but a connection of its own.
    Upgraded,
}

/// The lock guards the handles, and nothing is called under it.
struct Work {
    /// In flight until the answer is in the socket, or the next request is begun.
    guard: Option<Guard>,
    /// `None` until there is one: most requests have none, and pay for no room.
    jobs: Option<Box<Jobs>>,
}

/// The jobs that its answer depends on.
#[derive(Default)]
struct Jobs {
    /// The request's own, until it is committed or dropped.
    job: Option<Job<RequestPayload>>,
    /// The same, as long as the exchange lives.
    own: Option<Ticket>,
    attached: Vec<Ticket>,
}

impl Work {
    fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.jobs.iter().flat_map(|jobs| jobs.own.iter().chain(&jobs.attached))
    }
}

impl Exchange {
    /// What is noted of a request, since its handler gets all of it.
    #[inline]
    pub(crate) fn new<B>(request: &Request<B>, has_body: bool, guard: Guard) -> Self {
        let work = Work { guard: Some(guard), jobs: None };
        Exchange {
            method: request.method().clone(),
            target: Target::of(request.uri()),
            version: request.version(),
            has_body,
            asked: Asked::of(request),
            task: AtomicWaker::new(),
            seat: AtomicUsize::new(0),
            holders: AtomicU32::new(0),
            stage: AtomicU8::new(Stage::Handler as u8),
            has_jobs: AtomicBool::new(false),
            work: Mutex::new(work),
        }
    }

    /// What it is to whoever takes it over, and to whoever answers it.
    pub(crate) fn request(&self) -> RequestPayload {
        let uri = match &self.target {
            Target::Origin(path) => Uri::from(path.clone()),
            Target::Other(uri) => uri.clone(),
        };
        RequestPayload { method: self.method.clone(), uri }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Relaxed, the seat: it is set before anybody else can ask.

    pub(crate) fn set_seat(&self, seat: usize) {
        self.seat.store(seat, Ordering::Relaxed);
    }

    pub(crate) fn seat(&self) -> usize {
        self.seat.load(Ordering::Relaxed)
    }

    /// A response is on its way; no other can follow.
    #[inline]
    pub(crate) fn set_stage(&self, stage: Stage) {
        // Relaxed: it stands for itself.
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Whether no response is on its way.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == Stage::Handler as u8
    }

    /// Whether it is a connection of its own.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.stage.load(Ordering::Relaxed) == Stage::Upgraded as u8
    }

    /// Whether any job was ever attached. Acquire and Release: who sees it finds the job under the lock anyway, and who
    /// does not see it came before.
    #[inline]
    fn has_jobs(&self) -> bool {
        self.has_jobs.load(Ordering::Acquire)
    }

    pub(crate) fn set_job(&self, job: Job<RequestPayload>) {
        self.has_jobs.store(true, Ordering::Release);
        let jobs = Jobs { own: Some(job.ticket()), job: Some(job), attached: Vec::new() };
        self.work().jobs = Some(Box::new(jobs));
    }

    pub(crate) fn take_job(&self) -> Option<Job<RequestPayload>> {
        self.work().jobs.as_mut()?.job.take()
    }

    pub(crate) fn attach(&self, ticket: Ticket) {
        self.has_jobs.store(true, Ordering::Release);
        self.work().jobs.get_or_insert_default().attached.push(ticket);
    }

    pub(crate) fn ids(&self) -> Vec<JobId> {
        self.work().tickets().map(|ticket| ticket.id().clone()).collect()
    }

    /// Whether a drain waits for it. One whose handler is gone may still wait for its answer.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.work().guard.is_some()
    }

    /// Part of its place is held.
    pub(crate) fn hold(&self) {
        // Relaxed: whoever takes a part has one, or is the first.
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether nobody holds its place any more.
    pub(crate) fn let_go(&self) -> bool {
        // AcqRel: what each of them did comes before what the last one does.
        self.holders.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// It is over, one way or the other. What is left of its job is dropped: failed, or incomplete while draining.
    pub(crate) fn end(&self) {
        let (job, guard) = {
            let mut work = self.work();
            (work.jobs.as_mut().and_then(|jobs| jobs.job.take()), work.guard.take())
        };
        drop(job);
        drop(guard);
    }

    /// The request's own job completes with the response. `Err` if any job that the response speaks for was taken.
    #[inline]
    pub(crate) fn complete(&self) -> Result<(), Taken> {
        if !self.has_jobs() {
            return Ok(());
        }
        if let Some(job) = self.take_job() {
            job.complete()?;
        }
        if self.was_taken() { Err(Taken) } else { Ok(()) }
    }

    /// Whether the claim has taken any of its jobs.
    #[inline]
    pub(crate) fn was_taken(&self) -> bool {
        if !self.has_jobs() {
            return false;
        }
        let taken = [Fate::Taken, Fate::Doubted, Fate::HandedOver, Fate::Unacknowledged, Fate::Abandoned];
        self.work().tickets().any(|ticket| taken.contains(&ticket.fate()))
    }

    /// Whether an effect is under way that may yet be done.
    pub(crate) fn is_committing(&self) -> bool {
        self.work().tickets().any(|ticket| ticket.fate() == Fate::Committing)
    }

    /// When each of its jobs is decided.
    pub(crate) fn decisions(&self) -> Vec<BoxFuture<'static, ()>> {
        let work = self.work();
        work.tickets().map(|ticket| Box::pin(ticket.decided()) as BoxFuture<'static, ()>).collect()
    }

    /// What its tickets say together. Each fate is read once, since they go on; a success is what is proved, and nothing
    /// else.
    pub(crate) fn verdict(&self) -> Verdict {
        let fates: Vec<_> = self.work().tickets().map(Ticket::fate).collect();
        let has = |fate| fates.contains(&fate);
        if fates.is_empty() {
            Verdict::NoJob
        } else if fates.iter().all(|fate| *fate == Fate::Completed) {
            Verdict::Completed
        } else if fates.iter().all(|fate| matches!(fate, Fate::Completed | Fate::HandedOver)) {
            Verdict::HandedOver
        } else if has(Fate::InDoubt) || has(Fate::Committing) {
            Verdict::InDoubt
        } else if has(Fate::Failed) && !has(Fate::Unacknowledged) {
            Verdict::Failed
        } else {
            // Also where one is running, or its fate is being decided: nobody has it yet.
            Verdict::Unacknowledged
        }
    }

    /// For the report.
    pub(crate) fn name(&self) -> String {
        let RequestPayload { method, uri } = self.request();
        let mut request = format!("{method} {}", uri.path());
        match self.stage.load(Ordering::Relaxed) {
            stage if stage == Stage::Responding as u8 => request.push_str(" (responding)"),
            stage if stage == Stage::Upgraded as u8 => request.push_str(" (upgraded)"),
            _ => {}
        }
        match self.work().tickets().next() {
            Some(ticket) => format!("{request} [{}]", ticket.id()),
            None => request,
        }
    }
}

/// A handler's way to the job that its request is, and to the answer that depends on other jobs: found in the
/// request's extensions.
///
/// A handler that does nothing about it completes the job with its response: with its head if the body's length is
/// known, with the end of the body if it is not. A handler whose effect must not be done twice
/// [commits](Self::commit) around the effect.
///
/// # Examples
///
/// ```
/// use sundown_http::RequestJob;
///
/// fn resize(job: &RequestJob) -> Result<(), sundown_http::CommitError> {
///     // … the work …
///     let commit = job.commit()?; // a shutdown was faster: somebody else will do it
///     // … the effect …
///     commit.done();
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct RequestJob(pub(crate) std::sync::Arc<Exchange>);

impl RequestJob {
    fn own(&self) -> Option<Ticket> {
        self.0.work().jobs.as_ref()?.own.clone()
    }

    /// The id of the job that the request is; `None` if requests are no jobs here.
    pub fn id(&self) -> Option<JobId> {
        self.own().map(|ticket| ticket.id().clone())
    }

    /// Announces the effect: from here on no shutdown can take the job. The response no longer completes it; say
    /// [`done`](Commit::done) or [`failed`](Commit::failed).
    ///
    /// # Errors
    ///
    /// See [`CommitError`]: the effect must not be done.
    pub fn commit(&self) -> Result<Commit<RequestPayload>, CommitError> {
        match self.0.take_job() {
            Some(job) => Ok(job.commit()?),
            None if self.id().is_none() => Err(CommitError::NoJob),
            None if self.0.was_taken() => Err(CommitError::Taken(Taken)),
            None => Err(CommitError::Committed),
        }
    }

    /// Notes how far the job has come; the last note travels with it if it is handed over.
    pub fn checkpoint(&self, checkpoint: impl Serialize + Send + Sync + 'static) {
        if let Some(ticket) = self.own() {
            ticket.checkpoint(checkpoint);
        }
    }

    /// Makes the answer depend on a job of another store. For handlers that begin jobs of their own, on a server whose
    /// requests are no jobs: otherwise the same work is handed over twice, as the request's job and as its own.
    ///
    /// At a shutdown the client is told 2xx only if that too has completed or
    /// been taken over, and a response that the handler returns goes out only if it has not been taken.
    pub fn attach(&self, ticket: Ticket) {
        self.0.attach(ticket);
    }
}

/// Why a handler may not do its job's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A shutdown was faster: it is somebody else's.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// It has been committed already, by this handler or by its response.
    #[error("the job has been committed already")]
    Committed,
    /// Requests are no jobs on this server.
    #[error("the request is no job: this server was not told that `requests_are_jobs`")]
    NoJob,
}

impl std::fmt::Debug for RequestJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestJob({})", self.0.name())
    }
}
