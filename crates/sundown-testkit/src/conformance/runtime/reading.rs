//! Reading from a socket of the runtime's.

use std::{
    future::poll_fn,
    io::Write,
    net::Shutdown,
    sync::{Arc, mpsc::channel},
    task::Poll,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

use super::{
    Start,
    wire::{Pair, read, read_telling},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, Unmet, require};

pub(super) fn a_read_gives_what_was_written(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let written: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
    client.write_all(&written).or_broken("the client's write")?;
    let count = written.len();
    let read = stage.run("all that the client wrote", async move {
        let (mut all, mut piece) = (Vec::new(), [0; 77]);
        while all.len() < count {
            match read(&*transport, &mut piece).await? {
                0 => break,
                n => all.extend_from_slice(piece.get(..n).unwrap_or_default()),
            }
        }
        Ok::<_, std::io::Error>(all)
    })?;
    let read = read.or_broken("`poll_read`")?;
    require(read == written, || {
        let same = read.iter().zip(&written).take_while(|(read, written)| read == written).count();
        format!(
            "expected the {count} bytes that were written, saw {} with {same} right ones first",
            read.len()
        )
    })
}

pub(super) fn a_pending_read_is_woken_by_data(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let (waits, waiting) = channel();
    let read = stage.spawn(async move { read_telling(&*transport, &mut [0; 8], &waits).await });
    trial.wait(&waiting, "a pending read while there is no data")?;
    client.write_all(b"data").or_broken("the client's write")?;
    let read = trial.wait(&read, "a pending read to be woken by data")?.or_broken("`poll_read`")?;
    require(read == 4, || format!("expected 4 bytes, saw {read}"))
}

pub(super) fn a_read_taken_up_by_another_task_wakes_that_one(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let first = Arc::clone(&transport);
    let pending = stage.run("a task that polls a read and ends", async move {
        poll_fn(|cx| Poll::Ready(first.poll_read(cx, &mut [0; 8]).is_pending())).await
    })?;
    require(pending, || "expected a pending read while there is no data, it was ready".into())?;
    let (waits, waiting) = channel();
    let second = stage.spawn(async move { read_telling(&*transport, &mut [0; 8], &waits).await });
    trial.wait(&waiting, "a pending read while there is no data")?;
    client.write_all(b"data").or_broken("the client's write")?;
    let read = trial.wait(&second, "the task that polled last to be woken by data")?;
    read.or_broken("`poll_read`").map(drop)
}

pub(super) fn a_read_at_the_end_gives_zero(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    client.write_all(b"last").or_broken("the client's write")?;
    client.shutdown(Shutdown::Write).or_broken("the client's half-close")?;
    let read = stage.run("the end of the connection", async move {
        let (mut sizes, mut buf) = ([0; 3], [0; 8]);
        for size in &mut sizes {
            *size = read(&*transport, &mut buf).await?;
        }
        Ok::<_, std::io::Error>(sizes)
    })?;
    let read = read.or_broken("`poll_read` at the end")?;
    require(read == [4, 0, 0], || format!("expected reads of 4, 0 and again 0 bytes, saw {read:?}"))
}

pub(super) fn a_pending_read_is_woken_by_the_end(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    let (waits, waiting) = channel();
    let read = stage.spawn(async move { read_telling(&*transport, &mut [0; 8], &waits).await });
    trial.wait(&waiting, "a pending read while there is no data")?;
    client.shutdown(Shutdown::Write).or_broken("the client's half-close")?;
    let read =
        trial.wait(&read, "a pending read to be woken by the end")?.or_broken("`poll_read` at the end")?;
    require(read == 0, || format!("expected 0 bytes at the end, saw {read}"))
}

pub(super) fn a_reset_is_an_error(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    // Closing with a linger of zero resets.
    set_socket_linger(&client, Some(Duration::ZERO)).or_broken("a linger of zero")?;
    drop(client);
    let read =
        stage.run("a reset connection to be noticed", async move { read(&*transport, &mut [0; 8]).await })?;
    match read {
        Err(_) => Ok(()),
        Ok(n) => {
            Err(Unmet::broken(format!("expected an error on a connection that was reset, saw {n} bytes")))
        }
    }
}
