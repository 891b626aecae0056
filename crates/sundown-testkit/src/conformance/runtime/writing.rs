//! Writing to a socket of the runtime's.

use std::{
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

use super::{
    Start,
    wire::{Pair, fill, read_telling, write},
};
use crate::conformance::trial::{AT_ONCE, Checked, OrBroken, Trial, require};

pub(super) fn buffers_reach_the_client_in_their_order(trial: &Trial<Start>) -> Checked {
    const TEXT: [&[u8]; 4] = [b"one ", b"", b"two ", b"three"];
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let written = stage.run("a write of four buffers", async move {
        let mut buffers = TEXT.map(IoSlice::new);
        let mut left = &mut buffers[..];
        while left.iter().any(|buffer| !buffer.is_empty()) {
            let taken = write(&*transport, left).await?;
            IoSlice::advance_slices(&mut left, taken);
        }
        Ok::<_, io::Error>(())
    })?;
    written.or_broken("`poll_write_vectored`")?;
    let mut read = String::new();
    // Its other end was dropped with the task.
    client.read_to_string(&mut read).or_broken("the client's read")?;
    require(read == "one two three", || format!("expected \"one two three\" at the client, saw {read:?}"))
}

pub(super) fn a_write_says_how_much_it_took(trial: &Trial<Start>) -> Checked {
    // More than the buffers of both sockets take, so that some write is a partial one.
    const SIZE: usize = 16 << 20;
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    let read = thread::spawn(move || count(client));
    let written = stage.run("a large write", async move {
        let data = vec![b'x'; SIZE];
        let mut written = 0;
        while written < SIZE {
            written += write(&*transport, &[IoSlice::new(&data[written..])]).await?;
        }
        Ok::<_, io::Error>(written)
    })?;
    let written = written.or_broken("`poll_write_vectored`")?;
    let read =
        read.join().map_err(|_| "it panicked").or_broken("the client")?.or_broken("the client's read")?;
    require(read == written, || {
        format!("the writes say that they took {written} bytes, the client saw {read}")
    })
}

fn count(mut client: TcpStream) -> io::Result<usize> {
    let (mut sum, mut piece) = (0, vec![0; 256 * 1024]);
    loop {
        match client.read(&mut piece)? {
            0 => return Ok(sum),
            n => sum += n,
        }
    }
}

pub(super) fn a_write_to_a_full_socket_waits_until_the_client_reads(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    let (full, is_full) = channel();
    let filling = stage.spawn(async move { fill(&*transport, &full).await });
    until_full(trial, &is_full, &filling)?;
    let read = thread::spawn(move || count(client));
    let written = trial.wait(&filling, "a pending write to be woken when the client reads")?;
    let written = written.or_broken("`poll_write_vectored`")?;
    let read =
        read.join().map_err(|_| "it panicked").or_broken("the client")?.or_broken("the client's read")?;
    require(read == written, || {
        format!("the writes say that they took {written} bytes, the client saw {read}")
    })
}

/// Waits until the writes do; if they fail instead, that is what is said.
fn until_full(
    trial: &Trial<Start>,
    is_full: &Receiver<()>,
    filling: &Receiver<io::Result<usize>>,
) -> Checked {
    let full = trial.wait(is_full, "a pending write once the socket is full");
    match full.is_err().then(|| filling.recv_timeout(AT_ONCE)) {
        Some(Ok(failed)) => failed.or_broken("`poll_write_vectored`").and(full),
        _ => full,
    }
}

pub(super) fn a_write_to_a_client_that_has_left_is_an_error(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    // Closing with a linger of zero resets.
    set_socket_linger(&client, Some(Duration::ZERO)).or_broken("a linger of zero")?;
    drop(client);
    let written = stage.run("writes to a client that has left", async move {
        let chunk = [0; 1024];
        // The reset may still be on its way when the first one is written.
        for _ in 0..1000 {
            write(&*transport, &[IoSlice::new(&chunk)]).await?;
        }
        Ok::<_, io::Error>(())
    })?;
    require(written.is_err(), || {
        "expected an error from writes to a client that has left, they succeeded".into()
    })
}

pub(super) fn one_task_reads_while_another_writes(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let ((waits, waiting), (full, is_full)) = (channel(), channel());
    let reader = Arc::clone(&transport);
    let reading = stage.spawn(async move { read_telling(&*reader, &mut [0; 8], &waits).await });
    trial.wait(&waiting, "a pending read while there is no data")?;
    let filling = stage.spawn(async move { fill(&*transport, &full).await });
    until_full(trial, &is_full, &filling)?;
    client.write_all(b"data").or_broken("the client's write")?;
    let read = trial.wait(&reading, "a read to be woken by data while a write waits")?;
    read.or_broken("`poll_read`")?;
    thread::spawn(move || count(client));
    let written = trial.wait(&filling, "a write to be woken after a read was")?;
    written.or_broken("`poll_write_vectored`").map(drop)
}
