//! The resolver against a system that finds, fails, hangs or has no thread, as a test wants.

use std::{
    collections::VecDeque,
    mem,
    sync::mpsc::{self, Receiver, Sender},
    thread::{JoinHandle, ThreadId},
    time::Instant,
};

use ureq::{Timeout, unversioned::transport::time};

use super::*;

/// What comes of a lookup.
enum Lookup {
    Finds(&'static str),
    FindsNothing,
    Fails,
    /// Until the other end says or drops something; then it finds this.
    Hangs(Receiver<()>, &'static str),
}

/// A system whose lookups end like these, one after another, and which may have no thread.
#[derive(Clone, Default)]
struct Scripted(Arc<Script>);

#[derive(Default)]
struct Script {
    lookups: Mutex<VecDeque<Lookup>>,
    out_of_threads: Mutex<bool>,
    /// Who has looked up what.
    asked: Mutex<Vec<(ThreadId, String)>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Scripted {
    fn new(lookups: impl IntoIterator<Item = Lookup>) -> Self {
        let system = Scripted::default();
        system.0.lookups.lock().unwrap().extend(lookups);
        system
    }

    fn take_threads_away(&self) {
        *self.0.out_of_threads.lock().unwrap() = true;
    }

    fn asked(&self) -> Vec<(ThreadId, String)> {
        self.0.asked.lock().unwrap().clone()
    }

    /// Waits for the end of all threads so far.
    fn join(&self) {
        let threads = mem::take(&mut *self.0.threads.lock().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

impl System for Scripted {
    fn look_up(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        self.0.asked.lock().unwrap().push((thread::current().id(), name.to_owned()));
        let lookup = self.0.lookups.lock().unwrap().pop_front().expect("nobody asks more often");
        match lookup {
            Lookup::Finds(address) => Ok(vec![address.parse().unwrap()]),
            Lookup::FindsNothing => Ok(Vec::new()),
            Lookup::Fails => Err(io::Error::other("no such name")),
            Lookup::Hangs(until, address) => {
                let _ = until.recv();
                Ok(vec![address.parse().unwrap()])
            }
        }
    }

    fn spawn(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        if *self.0.out_of_threads.lock().unwrap() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.threads.lock().unwrap().push(thread::spawn(work));
        Ok(())
    }
}

fn hanging(then_finds: &'static str) -> (Sender<()>, Lookup) {
    let (release, until) = mpsc::channel();
    (release, Lookup::Hangs(until, then_finds))
}

const NAME: &str = "http://monitor.example:8080/events";
const OLD: &str = "192.0.2.1:8080";
const NEW: &str = "192.0.2.2:8080";

/// Nothing that a test waits for to end takes so long.
const LONG: u64 = 60_000;

fn resolve(names: &Names, url: &str, ms: u64) -> Result<Vec<String>, Error> {
    resolve_with(&Config::default(), names, url, ms)
}

fn resolve_with(config: &Config, names: &Names, url: &str, ms: u64) -> Result<Vec<String>, Error> {
    let after = time::Duration::from_millis(ms);
    let time = NextTimeout { after, reason: Timeout::Global, ..NextTimeout::default() };
    let list = names.resolve(&url.parse().unwrap(), config, time)?;
    Ok(list.iter().map(SocketAddr::to_string).collect())
}

fn prepared(lookups: impl IntoIterator<Item = Lookup>) -> (Scripted, Names) {
    let system = Scripted::new(lookups);
    let names = Names::of(system.clone());
    names.prepare(&NAME.parse().unwrap());
    (system, names)
}

#[test]
fn a_literal_address_needs_neither_a_lookup_nor_a_thread() {
    let system = Scripted::default();
    system.take_threads_away();
    let names = Names::of(system.clone());
    for (url, address) in [
        ("http://192.0.2.7/events", "192.0.2.7:80"),
        ("https://192.0.2.7/events", "192.0.2.7:443"),
        ("http://192.0.2.7:8080", "192.0.2.7:8080"),
        ("http://[2001:db8::7]/", "[2001:db8::7]:80"),
        ("https://[2001:db8::7]:8443/", "[2001:db8::7]:8443"),
    ] {
        names.prepare(&url.parse().unwrap());
        assert_eq!(resolve(&names, url, 0).unwrap(), [address]);
    }
    assert_eq!(system.asked(), []);
}

#[test]
fn a_name_is_looked_up_on_another_thread() {
    let system = Scripted::new([Lookup::Finds(NEW)]);
    assert_eq!(resolve(&Names::of(system.clone()), NAME, LONG).unwrap(), [NEW]);
    let (thread, name) = &system.asked()[0];
    assert_ne!(*thread, thread::current().id());
    assert_eq!(name, "monitor.example:8080");
}

#[test]
fn a_name_of_this_machine_is_known_to_the_system() {
    let found = resolve(&Names::new(), "http://localhost:8080", LONG).unwrap();
    assert!(found.iter().any(|address| ["127.0.0.1:8080", "[::1]:8080"].contains(&&**address)), "{found:?}");
}

#[test]
fn without_a_thread_a_name_that_nobody_remembers_is_looked_up_on_the_calling_one() {
    let system = Scripted::new([Lookup::Finds(NEW)]);
    system.take_threads_away();
    assert_eq!(resolve(&Names::of(system.clone()), NAME, LONG).unwrap(), [NEW]);
    assert_eq!(system.asked()[0].0, thread::current().id());
}

#[test]
fn without_a_thread_nothing_is_looked_up_that_must_be_bounded() {
    let (system, names) = prepared([Lookup::Fails]);
    system.take_threads_away();
    let config = Config::builder().timeout_resolve(Some(Duration::from_millis(LONG))).build();
    let error = resolve_with(&config, &names, NAME, LONG).unwrap_err();
    assert_eq!(error.to_string(), "io: no thread can be had to look the name up");
    assert_eq!(system.asked().len(), 1);
}

#[test]
fn without_a_thread_what_is_remembered_is_used_and_nothing_is_asked() {
    let (system, names) = prepared([Lookup::Finds(OLD)]);
    system.take_threads_away();
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [OLD]);
    assert_eq!(system.asked().len(), 1);
}

#[test]
fn a_lookup_that_finds_goes_before_what_is_remembered_and_is_remembered_in_its_turn() {
    let (system, names) = prepared([Lookup::Finds(OLD), Lookup::Finds(NEW)]);
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [NEW]);
    system.take_threads_away();
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [NEW]);
}

#[test]
fn a_lookup_that_fails_or_finds_nothing_leaves_what_is_remembered() {
    let (_, names) = prepared([Lookup::Finds(OLD), Lookup::Fails, Lookup::FindsNothing]);
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [OLD]);
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [OLD]);
}

#[test]
fn a_lookup_that_fails_with_nothing_remembered_says_why() {
    let (_, names) = prepared([Lookup::Fails, Lookup::Fails, Lookup::FindsNothing]);
    for why in ["no such name", "the name has no address"] {
        let error = resolve(&names, NAME, LONG).unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.to_string() == why), "{error}");
    }
}

#[test]
fn a_lookup_that_hangs_with_nothing_remembered_ends_with_the_call_s_time() {
    let (release, hangs) = hanging(NEW);
    let names = Names::of(Scripted::new([hangs]));
    let began = Instant::now();
    let error = resolve(&names, NAME, 100).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Global)), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(100));
    drop(release);
}

#[test]
fn a_lookup_that_hangs_leaves_what_is_remembered_and_time_for_the_rest_of_the_call() {
    let (release, hangs) = hanging(NEW);
    let (_, names) = prepared([Lookup::Finds(OLD), hangs]);
    let began = Instant::now();
    assert_eq!(resolve(&names, NAME, 4_000).unwrap(), [OLD]);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "{waited:?}");
    drop(release);
}

#[test]
fn while_a_lookup_hangs_no_other_is_begun_and_none_is_waited_for() {
    let (release, hangs) = hanging(NEW);
    let (system, names) = prepared([Lookup::Finds(OLD), hangs, Lookup::Finds(OLD)]);
    assert_eq!(resolve(&names, NAME, 200).unwrap(), [OLD]);
    let (asked, began) = (system.asked().len(), Instant::now());
    assert_eq!(resolve(&names, NAME, 60_000).unwrap(), [OLD]);
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(system.asked().len(), asked);
    // When it has ended, its answer is known, and the next call asks again.
    drop(release);
    system.join();
    assert_eq!(resolve(&names, NAME, 60_000).unwrap(), [OLD]);
    assert_eq!(system.asked().len(), asked + 1);
}

#[test]
fn while_a_lookup_hangs_and_nothing_is_remembered_that_one_is_waited_for() {
    let (release, hangs) = hanging(NEW);
    let system = Scripted::new([hangs]);
    let names = Names::of(system.clone());
    for _ in 0..3 {
        assert!(matches!(resolve(&names, NAME, 10), Err(Error::Timeout(_))));
    }
    let waits = {
        let names = names.clone();
        thread::spawn(move || names.ask("monitor.example:8080").wait(Duration::from_millis(LONG)))
    };
    // There is the list, the thread that looks it up, and here.
    let lookup = names.ask("monitor.example:8080");
    let until = Instant::now() + Duration::from_secs(20);
    while Arc::strong_count(&lookup) < 4 {
        assert!(Instant::now() < until, "they do not wait for the same lookup");
        thread::yield_now();
    }
    drop(release);
    assert!(waits.join().unwrap().is_ok());
    assert!(lookup.wait(Duration::from_millis(LONG)).is_ok());
    assert_eq!(system.asked().len(), 1);
    assert!(names.0.asking().is_empty());
}

#[test]
fn a_lookup_that_panics_is_no_lookup_under_way() {
    // The script has none.
    let names = Names::of(Scripted::default());
    for _ in 0..2 {
        assert_eq!(resolve(&names, NAME, LONG).unwrap_err().to_string(), "io: the lookup panicked");
    }
}

#[test]
fn what_is_found_late_is_remembered() {
    let (release, hangs) = hanging(NEW);
    let system = Scripted::new([hangs]);
    let names = Names::of(system.clone());
    resolve(&names, NAME, 0).unwrap_err();
    drop(release);
    system.join();
    system.take_threads_away();
    assert_eq!(resolve(&names, NAME, LONG).unwrap(), [NEW]);
    assert_eq!(system.asked().len(), 1);
}

#[test]
fn a_lookup_that_hangs_does_not_keep_a_service_from_starting() {
    let (release, hangs) = hanging(NEW);
    let began = Instant::now();
    prepared([hangs]);
    assert!(began.elapsed() < Duration::from_secs(4), "a start that takes 5 s fails");
    drop(release);
}

#[test]
fn more_addresses_than_fit_are_cut() {
    struct Crowd;
    impl System for Crowd {
        fn look_up(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            Ok((1..=40).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect())
        }

        fn spawn(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
            work();
            Ok(())
        }
    }
    assert_eq!(resolve(&Names::of(Crowd), NAME, LONG).unwrap().len(), 16);
}

#[test]
fn a_url_without_a_host_is_an_error() {
    assert!(matches!(resolve(&Names::new(), "/events", LONG), Err(Error::BadUri(_))));
}
