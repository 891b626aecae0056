//! TLS for a service under test and for its clients: an authority made on the spot, which nobody else trusts.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, crypto::ring,
    pki_types::ServerName, version::TLS13,
};

use super::{Client, h2, stream::Stream};

/// What the certificate is good for, besides the loopback interface's address.
const NAME: &str = "localhost";

/// A certificate of a service on the loopback interface and its key, as files; and who trusts it. The files go with
/// this.
#[derive(Debug)]
pub struct Tls {
    folder: PathBuf,
    roots: Arc<RootCertStore>,
}

impl Tls {
    /// Makes them.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only the number matters.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("sundown-tls-{}-{count}", process::id()));
        fs::create_dir_all(&folder).expect("the folder of temporary files is writable");
        let roots = issue(&folder).expect("the names are good");
        Tls { folder, roots: Arc::new(roots) }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).into_os_string().into_string().expect("temporary files have plain names")
    }

    /// The variables that tell a fixture where its certificate is, and its key, in PEM.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("TLS_CERT", self.file("certificate.pem")), ("TLS_KEY", self.file("key.pem"))]
    }

    /// The certificate of the authority, in PEM: for clients that are processes of their own.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client that offers HTTP/1.1 over TLS 1.3, once it has shaken hands.
    ///
    /// # Panics
    ///
    /// When nobody does that there.
    pub fn connect(&self, address: SocketAddr) -> Client {
        self.connect_by(address, &TLS13)
    }

    /// The same, over this version.
    ///
    /// # Panics
    ///
    /// When nobody does that there.
    pub fn connect_by(&self, address: SocketAddr, version: &'static SupportedProtocolVersion) -> Client {
        Client::over(self.stream(address, version, "http/1.1"))
    }

    /// A client that offers HTTP/2 over TLS 1.3 and has been taken at its word.
    ///
    /// # Panics
    ///
    /// When nobody does that there.
    pub fn connect_h2(&self, address: SocketAddr, manners: h2::Manners) -> h2::Client {
        h2::Client::over(self.stream_h2(address), manners)
    }

    /// The same, that does not greet.
    ///
    /// # Panics
    ///
    /// When nobody does that there.
    pub fn connect_h2_mute(&self, address: SocketAddr) -> h2::Client {
        h2::Client::mute(self.stream_h2(address), h2::Manners::default())
    }

    fn stream_h2(&self, address: SocketAddr) -> Stream {
        let stream = self.stream(address, &TLS13, "h2");
        if let Stream::Tls(tls) = &stream {
            assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]), "the service speaks HTTP/2");
        }
        stream
    }

    /// What a client says first: bytes for those who stop half-way.
    pub fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut connection = self.connection(&TLS13, "http/1.1");
        connection.write_tls(&mut bytes).expect("memory takes what is written to it");
        bytes
    }

    fn stream(
        &self,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
        protocol: &str,
    ) -> Stream {
        let connect =
            || -> io::Result<Stream> { Stream::connect(address)?.secure(self.connection(version, protocol)) };
        connect().unwrap_or_else(|error| panic!("shaking hands with {address}: {error}"))
    }

    fn connection(&self, version: &'static SupportedProtocolVersion, protocol: &str) -> ClientConnection {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("the provider knows all versions");
        let mut config = config.with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from(NAME).expect("it is a name");
        ClientConnection::new(Arc::new(config), name).expect("the configuration is whole")
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn issue(folder: &Path) -> Result<RootCertStore, rcgen::Error> {
    let mut authority = CertificateParams::new([])?;
    // Of its own: a certificate whose issuer has its name passes for signed by itself.
    authority.distinguished_name.push(DnType::CommonName, "the authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = [NAME, "127.0.0.1"].map(str::to_owned);
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let files = [
        ("authority.pem", authority.pem()),
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ];
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("the folder is ours");
    }
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("it was made so");
    Ok(roots)
}

#[cfg(test)]
#[path = "tls/tests.rs"]
mod tests;
