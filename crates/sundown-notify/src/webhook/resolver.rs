//! From the host of a url to addresses, with no more of the system than is left: a thread at most, and only for a name.
//!
//! ureq's own resolver starts a thread for every call that has a deadline, even for a literal address, and panics where
//! none can be had. This one follows these rules:
//!
//! 1. A literal address is its own answer. Nothing is asked, nothing is needed.
//! 2. A name is asked for anew in every call, so that a monitor that has moved is found; on a thread of its own, since
//!    nothing can end a lookup that hangs. While one is under way no other is begun, which would hang beside it: what is
//!    remembered is used at once, and where nothing is, that lookup is waited for.
//! 3. What was found is remembered, however late it came; from [`Names::prepare`] on, when the system still has what a
//!    lookup needs. It stands in for an answer that cannot be had:
//!
//!    | the lookup | something is remembered | nothing is |
//!    |---|---|---|
//!    | finds addresses | they are used | they are used |
//!    | fails | what is remembered is used | its error |
//!    | hangs | the same, after a quarter of the call's time | time-out at the end of the call's time |
//!    | can have no thread | the same at once, and nothing is asked | asked on the calling thread |
//!
//! The last cell is the only one without a bound: there it is a lookup that may hang, or no delivery for certain. So a
//! name is never asked for on the calling thread while there is another answer, nor for a request that has a time-out
//! for its lookup: what is best effort must not block a thread that may be the last, which all other steps share.
//!
//! What is remembered may be out of date, as what any cache of names gives may be. Over https that is safe: the
//! certificate is verified against the name in the url, whatever address it came from, so an address that is now
//! somebody else's fails the handshake, before a job is sent. Over http nothing vouches for who answers, neither at an
//! address remembered nor at one just found.
//!
//! Once there is an address, connecting needs one descriptor and no thread: ureq tries addresses one after another, and
//! neither rustls nor ring starts a thread.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt, io, mem,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

// `unversioned`: ureq may change this trait in a minor release, though not in a patch (its module says so). Therefore
// the workspace asks for `~3.5`, which costs a release of ours for each of theirs, and a build that cannot be resolved
// where somebody else asks for a later 3.x. Any looser, and such a release would break the builds of all our users.
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// How long `prepare` waits for a name. The start waits for `prepare`, and must not fail for a name server that hangs.
const PREPARING: Duration = Duration::from_secs(1);

/// The resolver. Clones share what they remember.
#[derive(Clone)]
pub(super) struct Names(Arc<Inner>);

struct Inner {
    /// What was found last for each `host:port`. The lock is never held while something is asked for.
    remembered: Mutex<HashMap<String, Vec<SocketAddr>>>,
    /// What is being asked for on other threads, one lookup for each name. The lock guards the list.
    asking: Mutex<HashMap<String, Arc<Lookup>>>,
    system: Box<dyn System>,
}

/// What is asked of the operating system; of something else in tests.
pub(super) trait System: Send + Sync {
    /// The addresses of `host:port`. May block for as long as it likes.
    fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
    /// Runs this on a thread of its own.
    fn spawn(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()>;
}

/// Why a lookup on another thread has given nothing.
#[derive(Clone)]
enum Fault {
    Failed(io::ErrorKind, String),
    Late,
    NoThread,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Failed(error.kind(), error.to_string())
    }
}

type Answer = Result<Vec<SocketAddr>, Fault>;

impl Names {
    pub(super) fn new() -> Self {
        Names::of(Real)
    }

    pub(super) fn of(system: impl System + 'static) -> Self {
        let (remembered, asking) = (Mutex::default(), Mutex::default());
        Names(Arc::new(Inner { remembered, asking, system: Box::new(system) }))
    }

    /// Looks the url's host up, to remember it. Waits for at most a second; what is found later is remembered, too.
    /// That nothing is found is no error here: a service must be able to start while its name server is down.
    pub(super) fn prepare(&self, uri: &Uri) {
        if let Ok(name) = host_and_port(uri)
            && literal(&name).is_none()
        {
            let _ = self.ask(&name).wait(PREPARING);
        }
    }

    /// The addresses of a name, by the rules above. `bounded`: it must not be asked for on this thread.
    fn find(&self, name: &str, within: Duration, bounded: bool) -> Result<Vec<SocketAddr>, Fault> {
        if self.0.asking().contains_key(name)
            && let Some(found) = self.0.remembered(name)
        {
            return Ok(found);
        }
        match self.await_answer(name, within) {
            Ok(found) => Ok(found),
            Err(fault) => match (self.0.remembered(name), fault) {
                (Some(found), _) => Ok(found),
                (None, Fault::NoThread) if !bounded => Ok(self.0.look_up(name)?),
                (None, fault) => Err(fault),
            },
        }
    }

    fn await_answer(&self, name: &str, within: Duration) -> Answer {
        let lookup = self.ask(name);
        // The rest is for the connection and the reply.
        let patience = within / 4;
        match lookup.wait(patience) {
            Err(Fault::Late) if self.0.remembered(name).is_none() => lookup.wait(within - patience),
            answer => answer,
        }
    }

    /// Has a name looked up on another thread, unless it is already.
    fn ask(&self, name: &str) -> Arc<Lookup> {
        let lookup = match self.0.asking().entry(name.to_owned()) {
            Entry::Occupied(under_way) => return under_way.get().clone(),
            Entry::Vacant(free) => free.insert(Arc::default()).clone(),
        };
        let (names, name) = (self.0.clone(), name.to_owned());
        let mut asking = Asking { names, name, lookup: lookup.clone(), answer: Err(Fault::NoThread) };
        let work = move || {
            asking.answer = Err(io::Error::other("the lookup panicked").into());
            asking.answer = asking.names.look_up(&asking.name).map_err(Fault::from);
        };
        // Where no thread can be had, this is dropped, and that is the answer.
        let _ = self.0.system.spawn(Box::new(work));
        lookup
    }
}

/// A lookup on another thread, and whoever waits for it.
#[derive(Default)]
struct Lookup {
    answer: Mutex<Option<Answer>>,
    has_ended: Condvar,
}

impl Lookup {
    fn wait(&self, at_most: Duration) -> Answer {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.has_ended.wait_timeout_while(answer, at_most, |answer| answer.is_none());
        let (answer, _) = waited.unwrap_or_else(PoisonError::into_inner);
        answer.clone().unwrap_or(Err(Fault::Late))
    }

    fn end(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.has_ended.notify_all();
    }
}

/// A name that is being asked for, until this is dropped: at the end, in a panic, or where no thread can be had.
struct Asking {
    names: Arc<Inner>,
    name: String,
    lookup: Arc<Lookup>,
    answer: Answer,
}

impl Drop for Asking {
    fn drop(&mut self) {
        // Before it is told: who knows the answer may ask again.
        self.names.asking().remove(&self.name);
        self.lookup.end(mem::replace(&mut self.answer, Err(Fault::Late)));
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, config: &Config, time: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let name = host_and_port(uri)?;
        let bounded = config.timeouts().resolve.is_some();
        let found = match literal(&name) {
            Some(address) => vec![address],
            None => self.find(&name, *time.after, bounded).map_err(|fault| match fault {
                Fault::Failed(kind, why) => Error::Io(io::Error::new(kind, why)),
                Fault::Late => Error::Timeout(time.reason),
                Fault::NoThread => Error::Io(io::Error::other("no thread can be had to look the name up")),
            })?,
        };
        let mut list = self.empty();
        for address in found {
            // There is room for 16.
            if list.try_push(address).is_err() {
                break;
            }
        }
        Ok(list)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Inner {
    /// Looks a name up on this thread, and remembers what is found.
    fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = self.system.look_up(name)?;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        self.memory().insert(name.to_owned(), found.clone());
        Ok(found)
    }

    fn remembered(&self, name: &str) -> Option<Vec<SocketAddr>> {
        self.memory().get(name).cloned()
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<String, Arc<Lookup>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Vec<SocketAddr>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operating system.
struct Real;

impl System for Real {
    fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(name.to_socket_addrs()?.collect())
    }

    fn spawn(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::Builder::new().name("sundown-lookup".into()).spawn(work).map(drop)
    }
}

/// `host:port` of a url, where the port may be the scheme's.
fn host_and_port(uri: &Uri) -> Result<String, Error> {
    let parts = uri.scheme().zip(uri.authority());
    parts
        .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        .ok_or_else(|| Error::BadUri("it has no host, or a scheme without a port".into()))
}

/// The address that is written out in such a name, if one is: `192.0.2.1:80`, `[2001:db8::1]:80`.
fn literal(name: &str) -> Option<SocketAddr> {
    name.parse().ok()
}
