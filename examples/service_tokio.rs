//! The service one would deploy: an axum router on tokio, whose every request is a job.
//!
//! ```text
//! PORT=8080 SINK_URL=http://127.0.0.1:9000/ cargo run --example service_tokio
//! ```
//!
//! | variable | what |
//! |---|---|
//! | `PORT` | where it listens on 127.0.0.1; 0 lets the system choose. Default 8080 |
//! | `GRACE` | seconds between SIGTERM and SIGKILL. Default: detected |
//! | `SINK_URL` | the monitoring service that takes over unfinished jobs. Default: nobody does |
//! | `JOB_LOG` | a file that gets `S <id>` when a job's work starts, and `D <id>` as its effect |
//! | `THREADS` | worker threads; 1 makes the runtime current-thread. Default: one a core |

#![allow(unreachable_pub)] // a program has no outside

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
use sundown::{Environment, Grace, HandOver, Notifier, NotifyError, Report, Shutdown};
use sundown_http::{RequestJob, Server};
use sundown_notify::Webhook;
use sundown_tokio::Tokio;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("service: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let runtime = match number("THREADS")? {
        Some(1) => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        Some(threads) if threads > 1 => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads.into()).enable_all().build()?
        }
        Some(_) => return Err("THREADS is 0, at least 1 is needed".into()),
        None => tokio::runtime::Runtime::new()?,
    };
    runtime.block_on(serve())
}

async fn serve() -> Result<ExitCode, Box<dyn Error>> {
    let log = Arc::new(JobLog::open()?);
    let address = ("127.0.0.1", number("PORT")?.unwrap_or(8080));
    let listener = TcpListener::bind(address)
        .map_err(|error| format!("cannot listen on {}:{}: {error}", address.0, address.1))?;
    let http = Server::new(listener)?.requests_are_jobs("x-job-id").health_probes();

    let grace = match Grace::from_variable("GRACE", &Environment::of_this_process())? {
        Some(grace) => grace,
        None => Grace::detect()?,
    };
    let mut shutdown =
        Shutdown::process(Tokio::current()).component("http", http.clone()).tell(Stderr).grace(grace);
    if let Ok(url) = env::var("SINK_URL") {
        let sink = Webhook::new(url).map_err(|error| format!("SINK_URL: {error}"))?;
        shutdown = shutdown.hand_over_to(sink);
    }
    let shutdown = shutdown.start()?;

    println!("listening on {}", http.local_addr()?);
    http.serve(&shutdown, router(log)).await?;
    Ok(shutdown.finished().await.exit_code())
}

fn number(name: &str) -> Result<Option<u16>, String> {
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

fn router(log: Arc<JobLog>) -> Router {
    Router::new()
        .route("/fast", get(fast))
        .route("/sleep", get(sleep))
        .route("/stream", get(streaming))
        .route("/block", get(block))
        .route("/upload", post(upload))
        .with_state(log)
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

type Log = State<Arc<JobLog>>;

async fn fast(job: Extension<RequestJob>, log: Log) -> Result<String, Failed> {
    Work::start(job, log)?.finish()
}

async fn sleep(job: Extension<RequestJob>, log: Log, length: Query<Length>) -> Result<String, Failed> {
    let work = Work::start(job, log)?;
    tokio::time::sleep(length.duration()).await;
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
        tokio::time::sleep(tick).await;
        Some((Ok(Bytes::from_static(b"chunk\n")), Some((work, left - tick))))
    });
    Ok(Body::from_stream(chunks).into_response())
}

/// One job on its way through a handler.
struct Work {
    job: RequestJob,
    log: Arc<JobLog>,
    id: String,
}

impl Work {
    fn start(Extension(job): Extension<RequestJob>, State(log): Log) -> io::Result<Self> {
        let id = job.id().map(|id| id.to_string()).unwrap_or_default();
        log.write(&format!("S {id}\n"))?;
        Ok(Work { job, log, id })
    }

    /// The effect, unless a shutdown has given the job to somebody else.
    fn finish(self) -> Result<String, Failed> {
        let commit = self.job.commit().map_err(io::Error::other)?;
        match self.log.write(&format!("D {}\n", self.id)) {
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
