//! One request: how it is made, and how far it came. What the result means is in [`verdict`](super::verdict) and
//! [`reply`](super::reply).

use std::{io::Cursor, time::Duration};

use ureq::{
    Agent, Proxy, RequestExt, SendBody,
    http::{
        HeaderMap, HeaderValue, Request, Uri,
        header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
    unversioned::transport::DefaultConnector,
};

use super::{
    endpoint::Endpoint,
    reply,
    resolver::Names,
    verdict::{Again, Failure, Verdict},
};
use crate::event;

/// How long a connection is kept for the next batch. Longer, and a middlebox may have forgotten it: a request on such
/// a connection is lost without a word.
const IDLE: Duration = Duration::from_secs(1);

pub(super) struct Client {
    agent: Agent,
    names: Names,
    uri: Uri,
    headers: HeaderMap,
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint, headers: &HeaderMap, names: Names) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A reply, not an error.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(IDLE)
            .user_agent(concat!("sundown-notify/", env!("CARGO_PKG_VERSION")))
            .proxy(if endpoint.is_loopback() { None } else { Proxy::try_from_env() });
        let mut headers = headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(event::BATCH));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = &endpoint.authorization {
            headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
        }
        let agent = Agent::with_parts(config.build(), DefaultConnector::default(), names.clone());
        Client { agent, names, uri: endpoint.uri.clone(), headers }
    }

    /// Looks up where the connections will go to: the proxy, or the monitor itself.
    pub(super) fn prepare(&self) {
        self.names.prepare(first_hop(self.agent.config().proxy(), &self.uri));
    }

    /// Posts a batch of so many jobs, and reads the reply as far as necessary, all within this time; but for the one
    /// case in which [the lookup of a name](super::resolver) has no bound.
    pub(super) fn post(&self, body: &[u8], jobs: usize, within: Duration) -> Verdict {
        self.send(body, jobs, within, None)
    }

    /// Posts news likewise, always within this time: the steps of the shutdown must not wait for news.
    pub(super) fn tell(&self, body: &[u8], within: Duration) -> Verdict {
        self.send(body, 1, within, Some(within))
    }

    fn send(&self, body: &[u8], events: usize, within: Duration, lookup: Option<Duration>) -> Verdict {
        // Through a reader that remembers how much of it has left.
        let mut body = Cursor::new(body);
        let length = body.get_ref().len() as u64;
        let mut request = Request::post(&self.uri)
            .body(SendBody::from_reader(&mut body))
            .expect("the url was checked when the webhook was made");
        *request.headers_mut() = self.headers.clone();
        // Known beforehand: then it is not chunked, and a server can tell a request that was cut.
        request.headers_mut().insert(CONTENT_LENGTH, length.into());
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
                _ => reply::read(&mut response.into_body().into_reader(), events),
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

    use super::{super::resolver::System, *};

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
        let client = Client::new(&endpoint, &HeaderMap::new(), names);
        client.prepare();
        let failure = client.tell(b"[]", Duration::from_secs(60)).unwrap_err();
        assert_eq!(failure.why, "no thread can be had to look the name up");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let failure = client.post(b"[]", 1, Duration::from_secs(60)).unwrap_err();
        assert_eq!(failure.why, "the name has no address");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(!failure.in_doubt && failure.again == Again::Soon);
    }
}
