//! smol's own streams and listeners, interrupted.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "../../sundown-tokio/tests/cases/interrupt.rs"]
mod cases;

use std::{
    io,
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::mpsc::Sender,
};

use smol::io::{AsyncReadExt, AsyncWriteExt};
use sundown::{Runtime, Watch};
use sundown_smol::Smol;

use self::cases::idle;

fn runtime() -> impl Runtime {
    Smol::global()
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    smol::spawn(task).detach();
}

/// Reads what comes, and then nothing.
async fn reads(watch: Watch, stream: TcpStream, is_idle: Sender<()>) -> io::Error {
    let mut stream = watch.interrupt(smol::net::TcpStream::try_from(stream).unwrap());
    stream.read_exact(&mut [0; 5]).await.unwrap();
    let mut more = [0; 5];
    let mut read = pin!(stream.read_exact(&mut more));
    idle(read.as_mut()).await;
    is_idle.send(()).unwrap();
    read.await.unwrap_err()
}

/// The same, in one task, while another fills what the peer does not read.
async fn splits(watch: Watch, stream: TcpStream, is_idle: Sender<()>) -> io::Error {
    let stream = smol::net::TcpStream::try_from(stream).unwrap();
    let (mut reader, mut writer) = smol::io::split(watch.interrupt(stream));
    let writes = smol::spawn(async move {
        loop {
            if let Err(error) = writer.write_all(&[0; 1 << 16]).await {
                return error;
            }
        }
    });
    reader.read_exact(&mut [0; 5]).await.unwrap();
    let mut more = [0; 5];
    let mut read = pin!(reader.read_exact(&mut more));
    idle(read.as_mut()).await;
    is_idle.send(()).unwrap();
    let read = read.await.unwrap_err();
    assert!(sundown::Interrupted::caused(&writes.await));
    read
}

async fn accepts(watch: Watch, listener: TcpListener, is_idle: Sender<()>) -> io::Error {
    let listener = smol::net::TcpListener::try_from(listener).unwrap();
    let mut accepted = Vec::new();
    loop {
        let mut accept = pin!(watch.interrupt(listener.accept()));
        if accepted.len() == 1 {
            idle(accept.as_mut()).await;
            is_idle.send(()).unwrap();
        }
        match accept.await {
            Ok(connection) => accepted.push(connection.unwrap()),
            Err(interrupted) => return interrupted.into(),
        }
    }
}
