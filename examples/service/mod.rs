//! The service, whatever runtime it runs on: an axum router whose every request is a job.
//!
//! | variable | what |
//! |---|---|
//! | `PORT` | where it listens on 127.0.0.1; 0 lets the system choose. Default 8080 |
//! | `GRACE` | seconds between SIGTERM and SIGKILL. Default: detected |
//! | `SINK_URL` | the monitoring service that takes over unfinished jobs. Default: nobody does |
//! | `JOB_LOG` | a file that gets `S <id>` when a job's work starts, and `D <id>` as its effect |
//! | `THREADS` | threads that run tasks. Default: one a core |

use std::{
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::{self, Write},
    net::TcpListener,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sundown::{Environment, Grace, HandOver, Notifier, NotifyError, Report, Runtime, Shutdown};
use sundown_http::{RequestJob, Server};
use sundown_notify::Webhook;

/// Runs `serve` somewhere, and says what went wrong.
pub fn report(ended: Result<ExitCode, Box<dyn Error>>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        eprintln!("service: {error}");
        ExitCode::FAILURE
    })
}

/// How many threads the environment asks for.
pub fn threads() -> Result<Option<usize>, String> {
    match number("THREADS")? {
        Some(0) => Err("THREADS is 0, at least 1 is needed".into()),
        threads => Ok(threads.map(usize::from)),
    }
}

/// Runs the service to its end.
pub async fn serve(runtime: impl Runtime) -> Result<ExitCode, Box<dyn Error>> {
    let log = Arc::new(JobLog::open()?);
    let address = ("127.0.0.1", number("PORT")?.unwrap_or(8080));
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {}:{}: {error}", address.0, address.1))?;
    let http = Server::new(listener)?.requests_are_jobs("x-job-id").health_probes();

    let grace = match Grace::from_variable("GRACE", &Environment::of_this_process())? {
        Some(grace) => grace,
        None => Grace::detect()?,
    };
    let mut shutdown = Shutdown::process(runtime).component("http", http.clone()).tell(Stderr).grace(grace);
    if let Ok(url) = env::var("SINK_URL") {
        let sink = Webhook::new(url).map_err(|error| format!("SINK_URL: {error}"))?;
        shutdown = shutdown.hand_over_to(sink);
    }
    let shutdown = shutdown.start()?;

    println!("listening on {}", http.local_addr()?);
    let shared = Shared { log, runtime: shutdown.runtime().clone() };
    http.serve(&shutdown, router(shared)).await?;
    Ok(shutdown.finished().await.exit_code())
}

/// A number that the environment gives.
pub fn number(name: &str) -> Result<Option<u16>, String> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("{name} is {text:?}, which is not a number from 0 to 65535"))
}

/// Prints the report, from outside the runtime: it comes even if that is blocked.
struct Stderr;

#[sundown::async_trait]
impl Notifier for Stderr {
    async fn incomplete(&self, _: &HandOver) -> Result<(), NotifyError> {
        Ok(())
    }

    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        eprint!("{report}");
        Ok(())
    }
}

/// What a job does to the world: a line, exactly once.
struct JobLog(Option<Mutex<File>>);

impl JobLog {
    fn open() -> Result<Self, String> {
        let Some(path) = env::var_os("JOB_LOG") else { return Ok(JobLog(None)) };
        let file = OpenOptions::new().append(true).create(true).open(&path);
        match file {
            Ok(file) => Ok(JobLog(Some(Mutex::new(file)))),
            Err(error) => Err(format!("JOB_LOG {}: {error}", path.display())),
        }
    }

    fn write(&self, line: &str) -> io::Result<()> {
        match &self.0 {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

/// What every handler has at hand.
#[derive(Clone)]
struct Shared {
    log: Arc<JobLog>,
    runtime: Arc<dyn Runtime>,
}

impl Shared {
    /// Sleeps on whatever runtime it is.
    async fn sleep(&self, length: Duration) {
        self.runtime.sleep_until(self.runtime.now() + length).await;
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/fast", get(fast))
        .route("/sleep", get(sleep))
        .route("/stream", get(streaming))
        .route("/block", get(block))
        .route("/upload", post(upload))
        .with_state(shared)
}

#[derive(Deserialize)]
struct Length {
    ms: u64,
}

impl Length {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

type Log = State<Shared>;

async fn fast(job: Extension<RequestJob>, log: Log) -> Result<String, Failed> {
    Work::start(job, log)?.finish()
}

async fn sleep(job: Extension<RequestJob>, log: Log, length: Query<Length>) -> Result<String, Failed> {
    let work = Work::start(job, log)?;
    work.shared.sleep(length.duration()).await;
    work.finish()
}

async fn block(job: Extension<RequestJob>, log: Log, length: Query<Length>) -> Result<String, Failed> {
    let work = Work::start(job, log)?;
    std::thread::sleep(length.duration()); // on purpose
    work.finish()
}

async fn upload(job: Extension<RequestJob>, log: Log, body: Body) -> Result<String, Failed> {
    let work = Work::start(job, log)?;
    let mut bytes = 0;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        bytes += frame.map_err(io::Error::other)?.len();
    }
    Ok(format!("{bytes} bytes\n{}", work.finish()?))
}

async fn streaming(job: Extension<RequestJob>, log: Log, length: Query<Length>) -> Result<Response, Failed> {
    const TICK: Duration = Duration::from_millis(50);
    let work = Work::start(job, log)?;
    let chunks = stream::unfold(Some((work, length.duration())), |state| async {
        let (work, left) = state?;
        if left.is_zero() {
            // The job ends with the stream. If a shutdown was faster, so does the stream, visibly.
            let last = work.finish().map(Bytes::from).map_err(|Failed(error)| error);
            return Some((last, None));
        }
        let tick = left.min(TICK);
        work.shared.sleep(tick).await;
        Some((Ok(Bytes::from_static(b"chunk\n")), Some((work, left - tick))))
    });
    Ok(Body::from_stream(chunks).into_response())
}

/// One job on its way through a handler.
struct Work {
    job: RequestJob,
    shared: Shared,
    id: String,
}

impl Work {
    fn start(Extension(job): Extension<RequestJob>, State(shared): Log) -> io::Result<Self> {
        let id = job.id().map(|id| id.to_string()).unwrap_or_default();
        shared.log.write(&format!("S {id}\n"))?;
        Ok(Work { job, shared, id })
    }

    /// The effect, unless a shutdown has given the job to somebody else.
    fn finish(self) -> Result<String, Failed> {
        let commit = self.job.commit().map_err(io::Error::other)?;
        match self.shared.log.write(&format!("D {}\n", self.id)) {
            Ok(()) => {
                commit.done();
                Ok(format!("done {}\n", self.id))
            }
            Err(error) => {
                commit.failed();
                Err(error.into())
            }
        }
    }
}

struct Failed(io::Error);

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Failed(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", self.0)).into_response()
    }
}
