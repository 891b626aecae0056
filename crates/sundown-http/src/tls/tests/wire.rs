//! A socket that takes and gives as little as a test wants, and a client of rustls's own at its other end.

use std::{
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use rcgen::{CertifiedKey, KeyPair};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::{TLS12, TLS13},
};
use sundown::Transport;

use super::super::Tls;

pub(super) type Version = &'static SupportedProtocolVersion;
pub(super) type Client = StreamOwned<ClientConnection, UnixStream>;

pub(super) const VERSIONS: [Version; 2] = [&TLS12, &TLS13];
/// What a step may take on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(20);

static KEY: LazyLock<CertifiedKey<KeyPair>> =
    LazyLock::new(|| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());

pub(super) fn server_config(alpn: &[&str]) -> ServerConfig {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(KEY.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![KEY.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

pub(super) fn client(version: Version, alpn: &[&str], socket: UnixStream) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(KEY.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(client, socket)
}

/// Runs a client that has done its handshake, and returns it with what it has done.
pub(super) fn as_client<T: Send + 'static>(
    mut client: Client,
    run: impl FnOnce(&mut Client) -> T + Send + 'static,
) -> std::thread::JoinHandle<(Client, T)> {
    std::thread::spawn(move || {
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        let done = run(&mut client);
        (client, done)
    })
}

/// All that comes until `close_notify`; an error if the end comes without.
pub(super) fn read_all(client: &mut Client) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    client.read_to_end(&mut all)?;
    Ok(all)
}

pub(super) fn send_close_notify(client: &mut Client) {
    client.conn.send_close_notify();
    client.flush().unwrap();
}

/// Bytes among which none can be missed, nor two exchanged.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(u32::to_be_bytes).take(length).collect()
}

/// Why the last poll was pending.
const IN: usize = 1;
const OUT: usize = 2;
const STUTTER: usize = 4;

pub(super) struct Wire {
    socket: UnixStream,
    /// How many bytes it takes or gives in one call.
    pub(super) at_once: AtomicUsize,
    /// Every second write has to be tried again.
    stutters: bool,
    writes: AtomicUsize,
    blocked: AtomicUsize,
    /// What else happens in a write.
    in_write: Option<Box<dyn Fn() + Send + Sync>>,
    /// What else happens in a read, after it has read.
    in_read: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Wire {
    pub(super) fn pair() -> (Wire, UnixStream) {
        let (socket, peer) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let wire = Wire {
            socket,
            at_once: AtomicUsize::new(usize::MAX),
            stutters: false,
            writes: AtomicUsize::new(0),
            blocked: AtomicUsize::new(0),
            in_write: None,
            in_read: None,
        };
        (wire, peer)
    }

    pub(super) fn stuttering(mut self, at_once: usize) -> Self {
        self.stutters = true;
        *self.at_once.get_mut() = at_once;
        self
    }

    pub(super) fn in_write(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.in_write = Some(Box::new(f));
        self
    }

    pub(super) fn in_read(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.in_read = Some(Box::new(f));
        self
    }

    /// How often it was asked to write.
    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    /// Polls until it is ready, and waits for the socket in between.
    pub(super) fn wait<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        loop {
            if let Poll::Ready(done) = self.once(&mut poll) {
                return done;
            }
            let blocked = self.blocked.load(Ordering::Relaxed);
            if blocked & STUTTER == 0 {
                assert_ne!(blocked, 0, "pending, and nothing will wake it");
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, blocked & IN != 0);
                flags.set(PollFlags::OUT, blocked & OUT != 0);
                self.wait_for(flags);
            }
        }
    }

    pub(super) fn once<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.blocked.store(0, Ordering::Relaxed);
        poll(&mut Context::from_waker(Waker::noop()))
    }

    pub(super) fn wait_for(&self, flags: PollFlags) {
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let ready = rustix::event::poll(&mut [PollFd::new(&self.socket, flags)], Some(&patience)).unwrap();
        assert_eq!(ready, 1, "nothing has happened");
    }

    /// As the rescue sends.
    pub(super) fn send_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match (&self.socket).write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_for(PollFlags::OUT),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn or_blocked(&self, result: io::Result<usize>, on: usize) -> Poll<io::Result<usize>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked.fetch_or(on, Ordering::Relaxed);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Transport for Wire {
    fn poll_read(&self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let room = buf.len().min(self.at_once.load(Ordering::Relaxed));
        let result = (&self.socket).read(&mut buf[..room]);
        if let Some(in_read) = &self.in_read {
            in_read();
        }
        self.or_blocked(result, IN)
    }

    fn poll_write_vectored(&self, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(in_write) = &self.in_write {
            in_write();
        }
        let writes = self.writes.fetch_add(1, Ordering::Relaxed);
        if self.stutters && writes % 2 == 1 {
            return self.or_blocked(Err(io::ErrorKind::WouldBlock.into()), STUTTER);
        }
        let buf = bufs.iter().find(|buf| !buf.is_empty()).expect("nothing to write");
        let room = buf.len().min(self.at_once.load(Ordering::Relaxed));
        self.or_blocked((&self.socket).write(&buf[..room]), OUT)
    }
}

/// The server's end of a connection.
pub(super) struct Server {
    pub(super) tls: Arc<Tls>,
    pub(super) wire: Wire,
}

impl Server {
    pub(super) fn new(wire: Wire) -> Self {
        Server { tls: new_tls(), wire }
    }

    pub(super) fn handshake(&self) -> io::Result<()> {
        self.wire.wait(|cx| self.tls.poll_handshake(cx, &self.wire))
    }

    pub(super) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.wire.wait(|cx| self.tls.poll_read(cx, &self.wire, buf))
    }

    pub(super) fn read_exact(&self, length: usize) -> Vec<u8> {
        let (mut all, mut at) = (vec![0; length], 0);
        while at < length {
            let bytes = self.read(&mut all[at..]).unwrap();
            assert_ne!(bytes, 0, "the end, after {at} bytes");
            at += bytes;
        }
        all
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.wait(|cx| self.tls.poll_write_vectored(cx, &self.wire, &[IoSlice::new(bytes)]))
    }

    pub(super) fn write_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let accepted = self.write(bytes).unwrap();
            assert_ne!(accepted, 0);
            bytes = &bytes[accepted..];
        }
        self.flush().unwrap();
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        self.wire.wait(|cx| self.tls.poll_flush(cx, &self.wire))
    }

    pub(super) fn close_notify(&self) -> io::Result<()> {
        self.wire.wait(|cx| self.tls.poll_close_notify(cx, &self.wire))
    }
}

pub(super) fn new_tls() -> Arc<Tls> {
    Arc::new(Tls::new(Arc::new(server_config(&[]))).unwrap())
}

/// A server and a client after their handshake, with nothing on the wire.
pub(super) fn connected(version: Version) -> (Server, Client) {
    let (wire, peer) = Wire::pair();
    let server = Server::new(wire);
    let client = as_client(client(version, &[], peer), |_| ());
    server.handshake().unwrap();
    server.flush().unwrap();
    (server, client.join().unwrap().0)
}
