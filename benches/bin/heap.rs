//! Counts allocations: `heap bare|lazy|ours|jobs hello|router`. It prints how many there are a request, and how many bytes
//! live for each connection that has been asked once and is idle.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    process::{exit, id},
    thread,
};

use dhat::{HeapStats, Profiler};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sundown_benches::{
    client::{Client, Requests},
    stack::{KINDS, STACKS, named, serve},
};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Enough that what grows by doubling has grown.
const WARM: usize = 500;
const REQUESTS: usize = 1000;
const CONNECTIONS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [stack, kind] = &arguments[..] else { return Err("heap bare|lazy|ours|jobs hello|router".into()) };
    let (stack, kind) = (named(&STACKS, stack)?, named(&KINDS, kind)?);
    raise_limit()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let _profiler = Profiler::builder().testing().build();
    thread::spawn(move || {
        match count(address, kind.requests()) {
            Ok((blocks, bytes)) => println!("{blocks:.2} {bytes:.0}"),
            Err(error) => {
                eprintln!("{error}");
                exit(1);
            }
        }
        exit(0)
    });
    Ok(serve(stack, kind, listener)?)
}

/// Blocks a request, and bytes a connection. What comes once in a thousand requests is not the request's.
fn count(address: SocketAddr, requests: Requests) -> io::Result<(f64, f64)> {
    let mut client = Client::connect(address, id())?;
    client.ask(requests, WARM)?;
    let before = HeapStats::get();
    client.ask(requests, REQUESTS)?;
    let blocks = HeapStats::get().total_blocks - before.total_blocks;

    let mut clients = Vec::with_capacity(CONNECTIONS);
    let before = HeapStats::get();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(address, id())?;
        client.ask(requests, 1)?;
        clients.push(client);
    }
    let bytes = HeapStats::get().curr_bytes - before.curr_bytes;
    #[allow(clippy::cast_precision_loss, reason = "these are small")]
    Ok((blocks as f64 / REQUESTS as f64, bytes as f64 / CONNECTIONS as f64))
}

/// Each connection has both of its ends in this process, and a file besides.
fn raise_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
