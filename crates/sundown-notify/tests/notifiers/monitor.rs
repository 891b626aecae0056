//! A monitor to test against: a server on the loopback interface, written by hand, that answers as a test tells it to,
//! including in ways that no server should.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketType, bind, socket};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// One request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    /// The other end of the connection it came on.
    pub(crate) peer: SocketAddr,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn events(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).expect("the body is an array of events")
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.events().iter().map(|event| text(&event["id"])).collect()
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        self.events().iter().map(|event| text(&event["subject"])).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    fn is_about_jobs(&self) -> bool {
        self.events().iter().all(|event| text(&event["type"]).starts_with("dev.sundown.job."))
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

/// How a request is answered.
pub(crate) enum Answer {
    /// With these bytes; then the next request is awaited.
    Bytes(Vec<u8>),
    /// With these bytes, and then nothing more.
    Stall(Vec<u8>),
    /// With these bytes, and then a reset.
    Reset(Vec<u8>),
    /// With these bytes, and then the end of the connection.
    Cut(Vec<u8>),
    /// With these bytes, and then with those again and again, after such a pause each time, until the client has had
    /// enough.
    Forever(&'static str, &'static str, Duration),
    /// With a body of so many bytes that begins like this. Whether it could be written goes to the log.
    Flood(&'static str, usize),
}

/// A status, and no body.
pub(crate) fn status(status: &str) -> Answer {
    with_headers(status, "")
}

pub(crate) fn with_headers(status: &str, headers: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n").into_bytes())
}

/// 200 with this body.
pub(crate) fn body(body: impl AsRef<str>) -> Answer {
    let body = body.as_ref();
    Answer::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// What happened at the monitor.
#[derive(Default)]
struct Log {
    jobs: Vec<Request>,
    news: Vec<Request>,
    floods: Vec<io::Result<()>>,
}

/// The log, and a bell that rings when it grows. The lock guards the log.
#[derive(Default)]
struct Book(Mutex<Log>, Condvar);

impl Book {
    fn open(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: impl FnOnce(&mut Log)) {
        line(&mut self.open());
        self.1.notify_all();
    }
}

pub(crate) struct Monitor {
    scheme: &'static str,
    address: SocketAddr,
    book: Arc<Book>,
}

impl Monitor {
    /// Listens, and answers the requests about jobs with `answer`, which is told how many came before. Others are
    /// answered with 204.
    pub(crate) fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        Monitor::serve(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Monitor::of(listener, None, answer, || status("204 No Content"))
    }

    /// The same over TLS.
    pub(crate) fn over_tls(
        config: ServerConfig,
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Monitor::of(listener, Some(Arc::new(config)), answer, || status("204 No Content"))
    }

    /// Answers everything with 204, and closes the connection a moment later, without having said so.
    pub(crate) fn of_short_breath() -> Self {
        let answer = || Answer::Cut(b"HTTP/1.1 204 No Content\r\n\r\n".into());
        Monitor::always(answer)
    }

    /// Answers everything so.
    pub(crate) fn always(answer: impl Fn() -> Answer + Clone + Send + Sync + 'static) -> Self {
        let about_jobs = answer.clone();
        Monitor::of(TcpListener::bind("127.0.0.1:0").unwrap(), None, move |_, _| about_jobs(), answer)
    }

    fn of(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
        about_news: impl Fn() -> Answer + Send + Sync + 'static,
    ) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let monitor = Monitor { scheme, address: listener.local_addr().unwrap(), book: Arc::default() };
        let (book, answer) = (monitor.book.clone(), Arc::new((answer, about_news)));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (book, answer, tls) = (book.clone(), answer.clone(), tls.clone());
                thread::spawn(move || {
                    let _ = Wire::new(socket, tls)
                        .and_then(|stream| converse(stream, &book, &answer.0, &answer.1));
                });
            }
        });
        monitor
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}/events", self.scheme, self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests about jobs, in the order in which they came.
    pub(crate) fn jobs(&self) -> Vec<Request> {
        self.book.open().jobs.clone()
    }

    /// The same, when there are so many.
    pub(crate) fn jobs_when(&self, count: usize) -> Vec<Request> {
        self.wait(|log| log.jobs.len() >= count).jobs.clone()
    }

    /// The first so many of the others, when they have come.
    pub(crate) fn news(&self, count: usize) -> Vec<Request> {
        self.wait(|log| log.news.len() >= count).news.clone()
    }

    /// How many requests have come, of any kind.
    pub(crate) fn count(&self) -> usize {
        let log = self.book.open();
        log.jobs.len() + log.news.len()
    }

    /// Whether the flood could be written to its end, when that is known.
    pub(crate) fn flood(&self) -> bool {
        self.wait(|log| !log.floods.is_empty()).floods[0].is_ok()
    }

    fn wait(&self, until: impl Fn(&Log) -> bool) -> MutexGuard<'_, Log> {
        let bound = Duration::from_secs(20);
        let waited = self.book.1.wait_timeout_while(self.book.open(), bound, |log| !until(log));
        let (log, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "nothing came to the monitor");
        log
    }
}

/// A connection, in the clear or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn new(socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        // Nothing here waits for ever, whatever the client does.
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.set_write_timeout(Some(Duration::from_secs(20)))?;
        let Some(config) = tls else { return Ok(Wire::Plain(socket)) };
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Wire::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(socket) => socket,
            Wire::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, some: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(some),
            Wire::Tls(tls) => tls.read(some),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, some: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(some),
            Wire::Tls(tls) => tls.write(some),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.flush(),
            Wire::Tls(tls) => tls.flush(),
        }
    }
}

fn converse(
    mut stream: Wire,
    book: &Book,
    answer: &(dyn Fn(usize, &Request) -> Answer + Send + Sync),
    about_news: &(dyn Fn() -> Answer + Send + Sync),
) -> io::Result<()> {
    while let Some(request) = receive(&mut stream)? {
        let answer = if request.is_about_jobs() {
            let mut before = 0;
            book.write(|log| {
                before = log.jobs.len();
                log.jobs.push(request.clone());
            });
            answer(before, &request)
        } else {
            book.write(|log| log.news.push(request));
            about_news()
        };
        match answer {
            Answer::Bytes(bytes) => stream.write_all(&bytes)?,
            Answer::Stall(bytes) => {
                stream.write_all(&bytes)?;
                // Until the client has had enough.
                return stream.read_to_end(&mut Vec::new()).map(drop);
            }
            Answer::Reset(bytes) => {
                stream.write_all(&bytes)?;
                // Closing resets the connection instead of ending it.
                return Ok(rustix::net::sockopt::set_socket_linger(stream.socket(), Some(Duration::ZERO))?);
            }
            Answer::Cut(bytes) => {
                stream.write_all(&bytes)?;
                return stream.socket().shutdown(Shutdown::Both);
            }
            Answer::Forever(beginning, again, pause) => {
                stream.write_all(beginning.as_bytes())?;
                loop {
                    stream.write_all(again.as_bytes())?;
                    thread::sleep(pause);
                }
            }
            Answer::Flood(beginning, length) => {
                let written = flood(&mut stream, beginning, length);
                book.write(|log| log.floods.push(written));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn flood(stream: &mut Wire, beginning: &str, length: usize) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{beginning}")?;
    let spaces = vec![b' '; 64 * 1024];
    let mut left = length - beginning.len();
    while left > 0 {
        let some = left.min(spaces.len());
        stream.write_all(&spaces[..some])?;
        left -= some;
    }
    Ok(())
}

/// The next request, or `None` at the end of the connection.
fn receive(stream: &mut Wire) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let mut request = Request {
        at: Instant::now(),
        peer: stream.socket().peer_addr()?,
        head: String::from_utf8_lossy(&head).into_owned(),
        body: Vec::new(),
    };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// A port of ours that refuses connections until somebody listens on it.
pub(crate) fn closed_port() -> TcpListener {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    TcpListener::from(socket)
}
