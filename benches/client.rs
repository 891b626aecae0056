//! The client: it asks, waits for the answer and until the server sleeps, and asks again; it allocates nothing
//! meanwhile. A client that did not wait would find the server asleep or not by chance, and no two counts were the same.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    net::{SocketAddr, TcpStream},
    thread,
};

/// What is asked, in turn.
pub type Requests = &'static [&'static [u8]];

/// One request without a body.
pub const HELLO: Requests =
    &[b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: sundown\r\naccept: */*\r\n\r\n"];

/// A request without a body and one with.
pub const ITEMS: Requests = &[
    b"GET /items/7 HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: sundown\r\naccept: */*\r\n\r\n",
    b"POST /items HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: sundown\r\naccept: */*\r\n\
      content-type: application/json\r\ncontent-length: 25\r\n\r\n{\"id\":7,\"name\":\"an item\"}",
];

/// One keep-alive connection to a server that runs on the main thread of a process.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// What Linux knows of that thread.
    server: File,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or the process is not there.
    pub fn connect(address: SocketAddr, process: u32) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, server: File::open(format!("/proc/{process}/stat"))? })
    }

    /// Asks for each in turn, so many times in all. At the end the server is asleep.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or an answer is not 200.
    pub fn ask(&mut self, requests: Requests, times: usize) -> io::Result<()> {
        self.wait_for_sleep()?;
        for request in requests.iter().cycle().take(times) {
            self.stream.write_all(request)?;
            self.answer()?;
            self.wait_for_sleep()?;
        }
        Ok(())
    }

    /// Nothing tells when a thread goes to sleep: this looks until it does.
    fn wait_for_sleep(&mut self) -> io::Result<()> {
        let mut buffer = [0; 256];
        loop {
            self.server.rewind()?;
            let read = self.server.read(&mut buffer)?;
            // `pid (name) S …`, and a name may be anything.
            let name = buffer[..read].iter().rposition(|byte| *byte == b')');
            if name.and_then(|end| buffer.get(end + 2)) == Some(&b'S') {
                return Ok(());
            }
            thread::yield_now();
        }
    }

    /// Reads one answer, whose length is in its head.
    fn answer(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        let mut read = 0;
        loop {
            let more = self.stream.read(&mut buffer[read..])?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read += more;
            match whole(&buffer[..read]) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => return Err(io::Error::other(String::from_utf8_lossy(&buffer[..read]).into_owned())),
            }
        }
    }
}

/// Whether the answer is whole; `None` if it is not the one that was expected.
fn whole(bytes: &[u8]) -> Option<bool> {
    let Some(head) = find(bytes, b"\r\n\r\n") else { return Some(false) };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        return None;
    }
    let field = b"content-length: ";
    let length = &bytes[find(&bytes[..head], field)? + field.len()..head];
    let digits = length.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    match (head + 4 + length).cmp(&bytes.len()) {
        std::cmp::Ordering::Less => None,
        ordering => Some(ordering.is_eq()),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
