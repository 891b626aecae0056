//! The webhook: its options, and what a notifier does with them.
//!
//! The parts below it each answer one question: *where* ([`endpoint`]), *what in one request* ([`batch`]), *when and
//! how often* ([`delivery`]), *how* ([`client`]), *to which address* ([`resolver`]), *to whom* ([`trust`]), *from whom*
//! ([`signature`]), and what a result means ([`verdict`], [`reply`], [`offer`]).

#[cfg(test)]
mod tests;

mod endpoint;

mod batch;
mod client;
mod delivery;
mod offer;
mod reply;
mod resolver;
mod signature;
mod trust;
mod verdict;

use std::{
    fmt, iter,
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde::Serialize;
use sundown::{HandOver, Notice, Notifier, NotifyError, Report, Uuid, async_trait};
use ureq::http::{HeaderName, HeaderValue, header};

pub use self::endpoint::WebhookError;
use self::{
    batch::Batches,
    client::{Client, Common},
    endpoint::Endpoint,
    offer::{Emptied, Offer},
    resolver::Names,
    signature::Key,
};
use crate::{
    event::{self, Event},
    offered::Offered,
};

/// How long the news of the beginning is tried at most: a slow reply and a few attempts. The drain does not wait for it.
const BEGINNING: Duration = Duration::from_secs(2);

/// The same for the end. The exit does wait for it, and a monitor that is down must not keep it long.
const END: Duration = Duration::from_millis(500);

/// What is left of the time when the last attempt ends, so that we return in it: what has not returned in its time
/// puts every job in doubt, even those that were never sent. At most a tenth of the time; and enough for a thread to get
/// its turn on a machine that is as busy as one that goes down may be.
const SPARE: Duration = Duration::from_millis(200);

/// Posts [CloudEvents](crate#on-the-wire) to a monitoring service, which takes over the jobs it acknowledges.
///
/// # Who has taken what
///
/// A reply of 2xx acknowledges every event of its request, unless its body is a JSON object with `acknowledged`: a
/// list of event ids, and then exactly those. Ids that were not sent are ignored. An object that is malformed, cut or
/// longer than 64 KiB plus 256 bytes per event acknowledges nothing, since nobody can know what it was to say.
///
/// A job that is not acknowledged is *unacknowledged*, or *in doubt* if its event may have arrived without a word of
/// what became of it: it was sent whole, and then the connection broke, the time was over, a gateway said 502 or 504,
/// or the reply could not be understood. Such a doubt stays when a later attempt is refused: that refusal is of the
/// later request, and says nothing about the first (it may even be *because* the first was taken). Only an
/// acknowledgement ends a doubt.
///
/// Behind the jobs that somebody has to do come those whose own effect had begun
/// ([`HandOver::in_doubt`]), in events of a type of their own. To acknowledge one is to say that somebody knows of it.
///
/// # Attempts
///
/// Requests are made one after another, every batch once before any is tried again, and never past the deadline; no
/// attempt may take more than its share of the time, or 250 ms if that is more. So a monitor that takes connections and
/// hangs is offered at most four batches a second, and where there are more, the last are never sent: with the 5 s that a
/// hand-over has at its longest by default, 20 batches are, or 2,000 jobs.
///
/// Tried again are connections that were refused or broke, time-outs, and 408, 425, 429 and 5xx: after 50 ms, doubled
/// each time up to 1 s, with jitter; and after what `Retry-After` says besides. A wait that does not fit is cut, for one
/// last attempt. All other 4xx refuse their batch for good. So do redirects, which are not followed: a `POST` may become a
/// `GET` on the way, and a reply of 200 from a login page would acknowledge jobs that nobody has seen.
///
/// The deadline may be tightened while a request is under way; that one then still takes its share.
///
/// # Payloads
///
/// They are serialised for the batch that is sent next. One that returns an error or panics costs its event the
/// payload and the checkpoint: the event has `null` in their places and the error's text as `error` in its data. The job
/// can be acknowledged all the same; but the hand-over has then failed, and the report says for which job. One that never returns holds up the batches behind it.
///
/// # Network
///
/// TLS is rustls with Mozilla's root certificates, or [others](Webhook::root_certificate). A proxy is taken from `ALL_PROXY`, `HTTPS_PROXY` or `HTTP_PROXY`
/// and `NO_PROXY` (in either case), as the platform sets them for all that a service sends out; it must support
/// `CONNECT`. As in Go, a monitor on `localhost` or a loopback address is never asked through a proxy.
///
/// The connection is made when draining begins, for the news of it, and kept for the hand-over: up to three minutes, if
/// the monitor keeps it as long. A monitor that has closed it in between is connected anew.
///
/// A name is looked up when the shutdown is started, and again for each request, on one thread at most. What was found last is used where a
/// lookup fails, takes longer than a quarter of the request's time, or can have no thread of its own. Such an address
/// may be out of date: over https the certificate still has to be for the name; over http nobody vouches for who
/// answers there, so use https where addresses pass from one service to another. Where no thread can be had for the
/// lookup of a name that was never found, jobs are offered all the same: it is then looked up on the thread of the
/// hand-over, without a bound. A url with a literal address needs no lookup and no thread.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), sundown_notify::WebhookError> {
/// use sundown_notify::Webhook;
///
/// let webhook = Webhook::new("https://monitor.example/events")?
///     .header("authorization", "Bearer s3cr3t")
///     .sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
///     .batch(500, 1024 * 1024)
///     .source("//images.example/resizer");
/// # Ok(()) }
/// ```
pub struct Webhook {
    common: Common,
    most_events: usize,
    most_bytes: usize,
    source: String,
    /// The first option that is wrong.
    fault: Option<String>,
    client: OnceLock<Client>,
}

impl Webhook {
    /// A webhook that posts to this url, `http` or `https`. Userinfo in it is sent as Basic authentication. Errors and
    /// reports show its scheme, host and port only: all else may be a secret.
    ///
    /// # Errors
    ///
    /// [`WebhookError`] says why it is no such url. Whether somebody listens there is not asked, not even by
    /// `prepare`: a service must be able to start while its monitor is down.
    pub fn new(url: impl AsRef<str>) -> Result<Self, WebhookError> {
        Ok(Webhook {
            common: Common::to(Endpoint::parse(url.as_ref())?),
            most_events: 100,
            most_bytes: 256 * 1024,
            source: Uuid::new_v4().urn().to_string(),
            fault: None,
            client: OnceLock::new(),
        })
    }

    /// Adds a header to every request, for instance `authorization`, which goes before the url's userinfo. Its value
    /// is never shown.
    ///
    /// What is no header, or one of those that the webhook sets itself (`content-type`, `content-length`,
    /// `transfer-encoding`, `accept`, `accept-encoding`, `connection`, `expect`, `host`, and those of
    /// [`sign`](Self::sign)), is an error of `prepare`, and so of [`start`](sundown::Builder::start).
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        const OURS: [HeaderName; 11] = [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::CONNECTION,
            header::EXPECT,
            header::HOST,
            signature::ID,
            signature::TIMESTAMP,
            signature::SIGNATURE,
        ];
        let shown = name.as_ref();
        match (HeaderName::try_from(shown), HeaderValue::try_from(value.as_ref())) {
            (Ok(name), _) if OURS.contains(&name) => {
                self.fail(format!("header `{name}` is set by the webhook"))
            }
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                self.common.headers.append(name, value);
                self
            }
            (Err(_), _) => self.fail(format!("`{shown}` is no name of a header")),
            (Ok(name), Err(_)) => {
                self.fail(format!("the value of header `{name}` has characters that none may have"))
            }
        }
    }

    /// Signs every request, so that the monitor can tell that it comes from a service which has this secret, and when it
    /// was made: by [Standard Webhooks](https://www.standardwebhooks.com), whose libraries check it. The headers are
    /// `webhook-id`, which names the request and is the same when it is tried again, `webhook-timestamp`, and
    /// `webhook-signature`. Called more than once, all secrets sign: while one is exchanged for another.
    ///
    /// What is signed is `{webhook-id}.{webhook-timestamp}.{body}`, by HMAC-SHA256 with the secret's bytes (what follows
    /// `whsec_`, decoded); `webhook-signature` has `v1,` and the base64 of it for each secret, with spaces between them. The
    /// timestamp is in seconds of Unix time: a receiver refuses what is older than a few minutes.
    ///
    /// A secret is `whsec_` and 24 to 64 random bytes in base64. Any other is an error of `prepare`. It is never shown.
    #[must_use]
    pub fn sign(mut self, secret: impl AsRef<str>) -> Self {
        match Key::parse(secret.as_ref()) {
            Ok(key) => {
                self.common.keys.push(key);
                self
            }
            Err(why) => self.fail(why),
        }
    }

    /// Trusts the authorities whose certificates these are, in PEM, and no longer Mozilla's: a monitor of one's own has an
    /// authority of one's own, and nobody else's word is needed for it. Called more than once, all are trusted.
    ///
    /// What is no certificate is an error of `prepare`.
    #[must_use]
    pub fn root_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        match self.common.trust.add(pem.as_ref()) {
            Ok(()) => self,
            Err(why) => self.fail(why),
        }
    }

    /// How much goes into one request: at most so many jobs, and so many bytes of body. Default: 100 jobs, 256 KiB,
    /// a quarter of the 1 MiB that common servers and gateways accept by default
    /// ([nginx](https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size)).
    ///
    /// A job whose event alone is longer is sent alone. Zero jobs is an error of `prepare`.
    #[must_use]
    pub fn batch(mut self, jobs: usize, bytes: usize) -> Self {
        (self.most_events, self.most_bytes) = (jobs, bytes);
        if jobs == 0 { self.fail("a batch of 0 jobs delivers nothing".into()) } else { self }
    }

    /// The `source` of the events: a URI reference that says which service speaks. Default: a `urn:uuid:` of this
    /// webhook's own, which is different in every process.
    ///
    /// An empty one, or one with white space or control characters, is an error of `prepare`.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        match self.source.is_empty() || self.source.contains(|c: char| c.is_whitespace() || c.is_control()) {
            true => self.fail("the source is empty, or has white space or control characters".into()),
            false => self,
        }
    }

    fn fail(mut self, fault: String) -> Self {
        self.fault.get_or_insert(fault);
        self
    }

    fn client(&self) -> Result<&Client, NotifyError> {
        match &self.fault {
            Some(fault) => Err(self.error(fault)),
            None => Ok(self.client.get_or_init(|| Client::new(&self.common, Names::new()))),
        }
    }

    /// Sends the event of a beginning or an end.
    fn tell<D: Serialize>(
        &self,
        event: &Event<'_, D>,
        left: impl Fn() -> Duration,
    ) -> Result<(), NotifyError> {
        let client = self.client()?;
        let event = event.encode().map_err(|error| self.error(error))?;
        let mut result = Err("no time was left".to_owned());
        let batches = Batches::new(iter::once(event), 1, self.most_bytes);
        delivery::deliver(batches, left, |batch, within| {
            let verdict = client.tell(batch, within);
            result = match &verdict {
                Ok(_) => Ok(()),
                Err(failure) => Err(failure.why.clone()),
            };
            verdict
        });
        result.map_err(|why| self.error(why))
    }

    fn error(&self, what: impl fmt::Display) -> NotifyError {
        NotifyError::new(format!("webhook {}: {what}", self.common.endpoint.shown))
    }
}

/// The methods block their thread, as notifiers may, and return in their time.
///
/// # Cancel safety
///
/// None of them waits in an `await`, so that none can be dropped half way.
#[async_trait]
impl Notifier for Webhook {
    /// Builds the client, says what is wrong with the options, and looks the monitor's name up, for at most 1 s. Nothing
    /// is sent to the monitor, and a name that is not found is no error.
    async fn prepare(&self) -> Result<(), NotifyError> {
        self.client()?.prepare();
        Ok(())
    }

    /// Tells of the beginning, for at most 2 s.
    async fn draining(&self, notice: &Notice) -> Result<(), NotifyError> {
        let ends = Instant::now() + BEGINNING;
        let left = || ends.saturating_duration_since(Instant::now()).min(notice.deadline.remaining());
        self.tell(&event::draining(&self.source, notice.shutdown, notice), left)
    }

    /// Offers the jobs, and [acknowledges](#who-has-taken-what) each as soon as the reply to its batch is known.
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let client = self.client()?;
        let mut offer = Offer::new(hand_over);
        let spare = SPARE.min(hand_over.deadline().remaining() / 10);
        let left = || hand_over.deadline().remaining().saturating_sub(spare);
        let places = 0..hand_over.all().len();
        let emptied = Emptied::default();
        let events = places.map(|place| {
            event::whole(&self.source, hand_over, place, |why| emptied.note(hand_over.at(place), why))
        });
        let batches = Batches::new(events, self.most_events, self.most_bytes);
        delivery::deliver(batches, left, |batch, within| {
            let verdict = client.post(batch, within);
            offer.settle(batch, &verdict);
            verdict
        });
        offer.end().and_then(|()| emptied.end()).map_err(|wrong| self.error(wrong))
    }

    /// Tells of the end, for at most 0.5 s of what is unused of the grace: the exit waits for it.
    async fn finished(&self, report: &Report) -> Result<(), NotifyError> {
        let ends = Instant::now() + END.min(report.unused);
        let left = || ends.saturating_duration_since(Instant::now());
        self.tell(&event::finished(&self.source, report.shutdown, report), left)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.common.endpoint.shown)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
