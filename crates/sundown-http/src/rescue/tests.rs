//! The rescue beside a runtime that wakes up.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use sundown::HandOver;

use super::*;
use crate::{conn::silent::Silent, io::TrackedIo};

/// What a runtime does with its queue when it wakes up.
fn accept(server: &Arc<Shared>) -> Option<TrackedIo> {
    server.set_accepting(true);
    let accepted = server.listener.accept();
    let io = accepted.ok().map(|(stream, _)| {
        let conn = Conn::new(Arc::new(Silent(stream)));
        TrackedIo::new(server.clone(), Arc::new(conn))
    });
    server.set_accepting(false);
    io
}

#[test]
fn whoever_passes_from_the_queue_to_the_runtime_at_the_last_moment_is_answered() {
    for round in 0..500 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let client = thread::spawn(move || {
            let mut answer = String::new();
            let _ = client.read_to_string(&mut answer);
            answer
        });
        let server = Arc::new(Shared::new(listener).unwrap());
        let runtime = thread::spawn({
            let server = server.clone();
            move || {
                (0..round % 50).for_each(|_| std::hint::spin_loop());
                accept(&server)
            }
        });
        let ends = Instant::now() + Duration::from_secs(10);
        let deadline = HandOver::of_left_over([], ends).deadline().clone();
        Rescue::new(&server, deadline).answer_everyone();
        let io = runtime.join().unwrap();
        // It ends with our side.
        drop((io, server));
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "round {round}: {answer:?}");
    }
}
