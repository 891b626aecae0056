//! One request: how it is made, and how far it came. What the result means is in [`verdict`](super::verdict) and
//! [`reply`](super::reply).

use std::{
    io::Cursor,
    time::{Duration, SystemTime},
};

use ureq::{
    Agent, Proxy, RequestExt, SendBody,
    http::{
        HeaderMap, HeaderValue, Request, Uri,
        header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
    unversioned::transport::DefaultConnector,
};

use super::{
    batch::Batch,
    endpoint::Endpoint,
    reply,
    resolver::Names,
    signature::{self, Key},
    trust::Trust,
    verdict::{Again, Failure, Verdict},
};
use crate::event;

/// How long a connection is kept for what comes next: less than the least that middleboxes are known to keep one
/// ([Azure](https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-idle-timeout), 4 minutes). A request on one
/// that a middlebox has forgotten is lost without a word.
const IDLE: Duration = Duration::from_secs(180);

/// What all requests have in common.
pub(super) struct Common {
    pub(super) endpoint: Endpoint,
    pub(super) headers: HeaderMap,
    pub(super) keys: Vec<Key>,
    pub(super) trust: Trust,
}

impl Common {
    pub(super) fn to(endpoint: Endpoint) -> Self {
        Common { endpoint, headers: HeaderMap::new(), keys: Vec::new(), trust: Trust::default() }
    }
}

pub(super) struct Client {
    agent: Agent,
    names: Names,
    uri: Uri,
    headers: HeaderMap,
    keys: Vec<Key>,
}

impl Client {
    pub(super) fn new(common: &Common, names: Names) -> Self {
        let endpoint = &common.endpoint;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A reply, not an error.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(IDLE)
            .tls_config(common.trust.config())
            .user_agent(concat!("sundown-notify/", env!("CARGO_PKG_VERSION")))
            .proxy(if endpoint.is_loopback() { None } else { Proxy::try_from_env() });
        let mut headers = common.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(event::BATCH));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = &endpoint.authorization {
            headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        let agent = Agent::with_parts(config.build(), DefaultConnector::default(), names.clone());
        Client { agent, names, uri: endpoint.uri.clone(), headers, keys: common.keys.clone() }
    }

    /// Looks up where the connections will go to: the proxy, or the monitor itself.
    pub(super) fn prepare(&self) {
        self.names.prepare(first_hop(self.agent.config().proxy(), &self.uri));
    }

    /// Posts a batch of jobs, and reads the reply as far as necessary, all within this time; but for the one case in which
    /// [the lookup of a name](super::resolver) has no bound.
    pub(super) fn post(&self, batch: &Batch, within: Duration) -> Verdict {
        self.send(batch, within, None)
    }

    /// Posts news likewise, always within this time: the steps of the shutdown must not wait for news.
    pub(super) fn tell(&self, batch: &Batch, within: Duration) -> Verdict {
        self.send(batch, within, Some(within))
    }

    fn send(&self, batch: &Batch, within: Duration, lookup: Option<Duration>) -> Verdict {
        // Through a reader that remembers how much of it has left.
        let mut body = Cursor::new(&*batch.body);
        let length = batch.body.len() as u64;
        let mut request = Request::post(&self.uri)
            .body(SendBody::from_reader(&mut body))
            .expect("the url was checked when the webhook was made");
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        // Known beforehand: then it is not chunked, and a server can tell a request that was cut.
        headers.insert(CONTENT_LENGTH, length.into());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        signature::sign(headers, &self.keys, &batch.id, now.as_secs(), &batch.body);
        let request = request.with_agent(&self.agent).configure();
        let response = request.timeout_global(Some(within)).timeout_resolve(lookup).run();
        let sent = body.position() == length;
        match response {
            Err(error) => Err(Failure::of_error(&error, sent, within)),
            Ok(response) if !response.status().is_success() => {
                Err(Failure::of_status(response.status(), response.headers()))
            }
            Ok(response) => match response.headers().get(CONTENT_ENCODING) {
                Some(encoding) if encoding != "identity" => Err(reply::unclear(
                    format!("2xx, but its body is encoded as {encoding:?}, which was not asked for"),
                    Again::Never,
                )),
                // Its reads end with the request's own time.
                _ => {
                    let body = response.into_body();
                    let length = body.content_length();
                    reply::read(&mut body.into_reader(), batch.places.len(), length)
                }
            },
        }
    }
}

fn first_hop<'a>(proxy: Option<&'a Proxy>, uri: &'a Uri) -> &'a Uri {
    proxy.filter(|proxy| !proxy.is_no_proxy(uri)).map_or(uri, Proxy::uri)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::SocketAddr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use ureq::ProxyProtocol;

    use super::{
        super::{batch::Batches, resolver::System},
        *,
    };

    #[test]
    fn connections_go_to_the_proxy_unless_it_is_not_for_the_monitor() {
        let proxy = Proxy::builder(ProxyProtocol::Http).host("proxy").port(3128).no_proxy(".inside.example");
        let proxy = proxy.build().unwrap();
        let inside = Uri::from_static("https://monitor.inside.example/");
        let outside = Uri::from_static("https://monitor.example/");
        assert_eq!(first_hop(None, &outside), &outside);
        assert_eq!(first_hop(Some(&proxy), &inside), &inside);
        assert_eq!(first_hop(Some(&proxy), &outside), proxy.uri());
    }

    /// Has no threads, finds nothing, and counts how often it was asked.
    struct Barren(Arc<AtomicUsize>);

    impl System for Barren {
        fn look_up(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Vec::new())
        }

        fn spawn(&self, _: Box<dyn FnOnce() + Send>) -> io::Result<()> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    #[test]
    fn only_for_jobs_is_a_name_looked_up_on_the_calling_thread() {
        let asked = Arc::default();
        let names = Names::of(Barren(Arc::clone(&asked)));
        // Never through a proxy.
        let endpoint = Endpoint::parse("http://localhost/").unwrap();
        let client = Client::new(&Common::to(endpoint), names);
        client.prepare();
        let batch = Batches::new([b"{}".to_vec()].into_iter(), 1, 64).next().unwrap();
        let failure = client.tell(&batch, Duration::from_secs(60)).unwrap_err();
        assert_eq!(failure.why, "no thread can be had to look the name up");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let failure = client.post(&batch, Duration::from_secs(60)).unwrap_err();
        assert_eq!(failure.why, "the name has no address");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(!failure.in_doubt && failure.again == Again::Soon);
    }
}
