//! TLS, where the owner wants it.

use std::sync::Arc;

use rustls::ServerConfig;

use super::Server;
use crate::tls::Acceptor;

impl Server {
    /// Speaks TLS on every connection, with the owner's certificates, versions and provider of cryptography.
    ///
    /// Whoever waits is answered over TLS as in clear, also while the runtime is blocked or gone, and a connection that
    /// ends as it should ends with `close_notify`; one whose body is cut does not. Who has not finished its handshake,
    /// which is as good as not having asked, gets an end. The handshake has to be over, and the head of the first request
    /// to come, within [`header_read_timeout`](Self::header_read_timeout).
    ///
    /// Clients speak HTTP/2 over TLS if that is agreed on in the handshake, for which it must stand in `alpn_protocols`, as
    /// in the example; without that, only those do that were told to. Handlers are not told about a client's
    /// certificate.
    ///
    /// Needs the feature `tls`.
    ///
    /// # Errors
    ///
    /// Those of rustls, if no connection can be made with this configuration; and if it allows early data
    /// (`max_early_data_size`), which anybody can send a copy of (RFC 8470): a job must not begin with it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn serve() -> Result<sundown_http::Server, Box<dyn std::error::Error>> {
    /// use std::{net::TcpListener, sync::Arc};
    /// use rustls::{
    ///     ServerConfig,
    ///     crypto::ring,
    ///     pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    /// };
    /// use sundown_http::Server;
    ///
    /// let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("key.pem")?;
    /// let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
    ///     .with_safe_default_protocol_versions()?
    ///     .with_no_client_auth()
    ///     .with_single_cert(chain, key)?;
    /// config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    /// let http = Server::new(TcpListener::bind("0.0.0.0:8443")?)?.tls(Arc::new(config))?;
    /// # Ok(http) }
    /// ```
    pub fn tls(self, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let acceptor = Acceptor::new(config)?;
        Ok(self.configure(|config| config.tls.replace(acceptor)))
    }
}
