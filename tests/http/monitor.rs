//! A monitoring service: it writes down every event, and takes jobs over as it is told to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

const BOUND: Duration = Duration::from_secs(15);

/// What the monitor says to a batch of jobs.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It has taken them over.
    Acknowledge,
    /// It has, and says so only after this time.
    AcknowledgeAfter(Duration),
    /// It has taken over those of the batch whose ids are among these.
    Only(Vec<String>),
    /// This status, and nothing taken.
    Status(u16),
    /// Nothing, ever.
    Hang,
}

/// A monitoring service. News of a beginning and an end are always taken.
#[derive(Debug)]
pub struct Monitor {
    address: SocketAddr,
    book: Arc<Book>,
}

/// The events, and a bell that rings when one comes. The lock guards the list.
#[derive(Debug, Default)]
struct Book(Mutex<Vec<Value>>, Condvar);

impl Book {
    fn open(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitor {
    /// One that takes everything over.
    pub fn taking_all() -> Self {
        Self::start(|_| Answer::Acknowledge)
    }

    /// One that answers each batch of jobs so; it is told how many batches came before.
    ///
    /// # Panics
    ///
    /// When the system gives no socket.
    pub fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface is there");
        let address = listener.local_addr().expect("it is bound");
        let book = Arc::<Book>::default();
        let theirs = book.clone();
        let state = Arc::new((answer, Mutex::new(0)));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (book, state) = (theirs.clone(), state.clone());
                thread::spawn(move || {
                    let next = || {
                        let mut count = state.1.lock().unwrap_or_else(PoisonError::into_inner);
                        *count += 1;
                        (*count - 1, state.0(*count - 1))
                    };
                    converse(stream, &book, next)
                });
            }
        });
        Monitor { address, book }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Waits until it was told that draining has begun.
    ///
    /// # Panics
    ///
    /// When it is not told within the bound.
    pub fn wait_for_draining(&self) {
        self.wait_for("shutdown.draining");
    }

    /// Waits until it was offered a job, which it may not have answered yet.
    ///
    /// # Panics
    ///
    /// When it is offered none within the bound.
    pub fn wait_for_jobs(&self) {
        self.wait_for("job.incomplete");
    }

    fn wait_for(&self, what: &str) {
        let missing = |events: &mut Vec<Value>| !events.iter().any(|event| is(event, what));
        let waited = self.book.1.wait_timeout_while(self.book.open(), BOUND, missing);
        let (events, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the monitor got no {what} event: {events:?}");
    }

    /// The ids of the jobs that it was offered, sorted; each once, however often its event came.
    pub fn jobs(&self) -> Vec<String> {
        self.subjects(|_| true)
    }

    /// The same, of one request.
    pub fn jobs_of_batch(&self, batch: usize) -> Vec<String> {
        self.subjects(|event| event["batch"] == batch)
    }

    fn subjects(&self, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let events = self.book.open();
        let incomplete = events.iter().filter(|event| is(event, "job.incomplete") && wanted(event));
        let mut ids: Vec<_> = incomplete.map(|event| (text(&event["subject"]), text(&event["id"]))).collect();
        ids.sort();
        ids.dedup();
        ids.into_iter().map(|(subject, _)| subject).collect()
    }
}

fn is(event: &Value, what: &str) -> bool {
    event["type"] == format!("dev.sundown.{what}.v1")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Answers the requests of one connection; `None` when it is over.
fn converse(stream: TcpStream, book: &Book, next: impl Fn() -> (usize, Answer)) -> Option<()> {
    stream.set_read_timeout(Some(BOUND)).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut events: Vec<Value> = serde_json::from_slice(&body).expect("a batch is an array of events");
        let about_jobs = events.iter().any(|event| is(event, "job.incomplete"));
        let answer = if about_jobs {
            let (batch, answer) = next();
            events.iter_mut().for_each(|event| event["batch"] = batch.into());
            answer
        } else {
            Answer::Acknowledge
        };
        let taken: Vec<_> = events
            .iter()
            .filter(
                |event| matches!(&answer, Answer::Only(ids) if ids.iter().any(|id| event["subject"] == **id)),
            )
            .map(|event| event["id"].clone())
            .collect();
        book.open().extend(events);
        book.1.notify_all();
        let (status, body) = match answer {
            Answer::Acknowledge => (200, String::new()),
            Answer::AcknowledgeAfter(time) => {
                thread::sleep(time);
                (200, String::new())
            }
            Answer::Only(_) => (200, serde_json::json!({ "acknowledged": taken }).to_string()),
            Answer::Status(status) => (status, String::new()),
            Answer::Hang => {
                // Until the other side has had enough.
                let _ = reader.read(&mut [0]);
                return None;
            }
        };
        // In one piece, which nothing delays.
        let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        writer.write_all(reply.as_bytes()).ok()?;
    }
}
