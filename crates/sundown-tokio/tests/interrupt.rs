//! tokio's own streams and listeners, interrupted.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // nothing here but a test

#[path = "cases/interrupt.rs"]
mod cases;

use std::{
    io,
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::{LazyLock, mpsc::Sender},
};

use sundown::{Runtime, Watch};
use sundown_tokio::{Interrupt, Tokio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::cases::idle;

static SERVICE: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Runtime::new().expect("the system has threads"));

fn runtime() -> impl Runtime {
    Tokio::of(SERVICE.handle().clone())
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    SERVICE.spawn(task);
}

/// Reads what comes, and then nothing.
async fn reads(watch: Watch, stream: TcpStream, is_idle: Sender<()>) -> io::Error {
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut stream = Interrupt::from(watch.interrupt(stream));
    stream.read_exact(&mut [0; 5]).await.unwrap();
    let mut more = [0; 5];
    let mut read = pin!(stream.read_exact(&mut more));
    idle(read.as_mut()).await;
    is_idle.send(()).unwrap();
    read.await.unwrap_err()
}

/// The same, in one task, while another fills what the peer does not read.
async fn splits(watch: Watch, stream: TcpStream, is_idle: Sender<()>) -> io::Error {
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let (mut reader, mut writer) = tokio::io::split(Interrupt::from(watch.interrupt(stream)));
    let writes = tokio::spawn(async move {
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
    assert!(sundown::Interrupted::caused(&writes.await.unwrap()));
    read
}

async fn accepts(watch: Watch, listener: TcpListener, is_idle: Sender<()>) -> io::Error {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
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

#[test]
fn a_stream_of_tokios_is_what_it_wraps() {
    fn can<T: Send + Sync + Unpin>(_: &T) {}
    let (stream, _peer) = tokio::io::duplex(64);
    let shutdown = sundown::Shutdown::embedded(runtime()).start().unwrap();
    let mut stream = Interrupt::from(shutdown.watch().interrupt_at(sundown::When::Never, stream));
    can(&stream);
    SERVICE.block_on(async {
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    assert_eq!(stream.get_ref() as *const _, stream.get_mut() as *const _);
    drop(stream.into_inner());
}
