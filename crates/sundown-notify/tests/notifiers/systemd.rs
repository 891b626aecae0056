//! What a service manager hears, on a real socket.

use std::{
    ffi::OsString,
    fs,
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use sundown::{Jobs, Notifier, Outcome, Reserve, Shutdown};
use sundown_notify::Systemd;
use sundown_testkit::TakesOver;
use sundown_tokio::Tokio;

use crate::service::{go_down_telling, letters};

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    variable: OsString,
}

/// What is unique to a test.
fn name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("sundown-notify-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Manager {
    /// With a name that no file has.
    fn abstracted() -> Self {
        let name = name();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Manager::at(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}").into())
    }

    fn at(socket: UnixDatagram, variable: OsString) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager { socket, variable }
    }

    fn told(&self) -> Systemd {
        self.told_with(&[])
    }

    fn told_with(&self, more: &[(&'static str, String)]) -> Systemd {
        Systemd::of(|name| match more.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Some(value.into()),
            None => (name == "NOTIFY_SOCKET").then(|| self.variable.clone()),
        })
    }

    /// The next message, and what came with it.
    fn receive(&self) -> (String, Vec<OwnedFd>) {
        let mut text = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut text)];
        let received = recvmsg(&self.socket, &mut into, &mut with, RecvFlags::empty()).unwrap();
        let mut descriptors = Vec::new();
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        (String::from_utf8(text[..received.bytes].to_vec()).unwrap(), descriptors)
    }

    fn hear(&self) -> String {
        let (text, with) = self.receive();
        assert!(with.is_empty(), "{text}");
        text
    }
}

fn microseconds(message: &str) -> u64 {
    let line = message.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    line.expect("it says how much time is needed").parse().unwrap()
}

fn without_time(message: &str) -> String {
    let lines = message.lines().filter(|line| !line.starts_with("EXTEND_TIMEOUT_USEC="));
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads all, closing what comes with a barrier, until that barrier.
fn listen(manager: Manager) -> mpsc::Receiver<Vec<String>> {
    let (tell, heard) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        loop {
            let (message, with) = manager.receive();
            let is_last = message == "BARRIER=1";
            assert_eq!(with.len(), usize::from(is_last), "{message}");
            all.push(message);
            if is_last {
                tell.send(all).unwrap();
                return;
            }
        }
    });
    heard
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_manager_hears_how_far_the_service_is_and_has_read_all_at_the_end() {
    let manager = Manager::abstracted();
    let systemd = manager.told();
    systemd.ready().unwrap();
    let heard = listen(manager);
    let report = go_down_telling(systemd, letters(3)).await;
    assert!(report.is_clean(), "{report}");
    let told = &report.notifiers[1];
    for outcome in [&told.draining, &told.incomplete, &told.finished] {
        assert!(matches!(outcome, Outcome::Done(_)), "{report}");
    }
    let heard = heard.recv_timeout(LONG).unwrap();
    let texts: Vec<_> = heard.iter().map(|message| without_time(message)).collect();
    assert_eq!(texts[0], "READY=1");
    // The news of the beginning runs beside the rest, which was hurried.
    let mut middle = texts[1..3].to_vec();
    middle.sort();
    assert_eq!(middle, ["STATUS=handing over 3 jobs", "STOPPING=1\nSTATUS=draining: requested: a test"]);
    assert_eq!(texts[3], "STATUS=finished: 0 jobs completed, 3 handed over, 0 unacknowledged, 0 in doubt");
    assert_eq!(texts[4], "BARRIER=1");
    assert_eq!(texts.len(), 5);
}

#[tokio::test]
async fn the_manager_hears_how_much_time_is_needed() {
    let manager = Manager::abstracted();
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(TakesOver::all())
        .tell(manager.told())
        .grace(Duration::from_secs(600))
        .reserve(Reserve::HandOver, Duration::from_secs(60))
        .start()
        .unwrap();
    let _job = jobs.begin("a", ()).unwrap();
    shutdown.begin("a test");
    let draining = microseconds(&manager.hear());
    // The drain has what the tail leaves: more than the 90 s that a manager gives by itself.
    assert!((300_000_000..600_000_000).contains(&draining), "{draining}");
    shutdown.hurry();
    let handing_over = microseconds(&manager.hear());
    assert!((45_000_000..=75_000_000).contains(&handing_over), "{handing_over}");
    drop(manager);
    shutdown.finished().await;
}

#[tokio::test]
async fn a_socket_with_a_path_is_found_and_found_again() {
    let path = std::env::temp_dir().join(name());
    let bind = || Manager::at(UnixDatagram::bind(&path).unwrap(), path.clone().into());
    let manager = bind();
    let systemd = manager.told();
    systemd.ready().unwrap();
    assert_eq!(manager.hear(), "READY=1");
    // The manager starts anew.
    drop(manager);
    let error = systemd.ready().unwrap_err().to_string();
    assert_eq!(error, format!("systemd: {} was not told READY", path.display()));
    fs::remove_file(&path).unwrap();
    let manager = bind();
    systemd.ready().unwrap();
    assert_eq!(manager.hear(), "READY=1");
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn without_a_manager_nothing_is_done() {
    let report = go_down_telling(Systemd::of(|_| None).watchdog(|| panic!("nobody asks")), letters(1)).await;
    assert!(report.is_clean(), "{report}");
    let told = &report.notifiers[1];
    assert!(!told.draining.is_failure() && !told.finished.is_failure(), "{report}");
}

#[tokio::test]
async fn a_variable_that_means_nothing_fails_the_start() {
    for (name, value, expected) in [
        ("NOTIFY_SOCKET", "vsock:2:99", "systemd: NOTIFY_SOCKET is `vsock:2:99`, neither"),
        ("WATCHDOG_USEC", "often", "systemd: WATCHDOG_USEC is \"often\", no number"),
    ] {
        let systemd = Systemd::of(|asked| (asked == name).then(|| value.into())).watchdog(|| true);
        let error = systemd.prepare().await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_manager_that_does_not_read_holds_the_end_for_a_moment_only() {
    let manager = Manager::abstracted();
    let began = Instant::now();
    let report = go_down_telling(manager.told(), letters(1)).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{report}");
    assert!(report.is_clean(), "{report}");
    let Outcome::Failed(why) = &report.notifiers[1].finished else { panic!("{report}") };
    assert!(why.contains("has not read all that it was told: "), "{why}");
}

#[tokio::test]
async fn the_watchdog_is_fed_while_the_service_is_healthy_to_the_very_end() {
    let manager = Manager::abstracted();
    let (is_healthy, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::new(0)));
    let health = {
        let (is_healthy, asked) = (is_healthy.clone(), asked.clone());
        move || {
            *asked.lock().unwrap() += 1;
            is_healthy.load(Ordering::SeqCst)
        }
    };
    let usec = |ms: u64| ("WATCHDOG_USEC", (ms * 1000).to_string());
    let systemd = manager.told_with(&[usec(20)]).watchdog(health);
    let kept = systemd.clone();
    let shutdown = Shutdown::embedded(Tokio::current()).tell(systemd).start().unwrap();
    for _ in 0..3 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    assert!(has_watchdog());
    is_healthy.store(false, Ordering::SeqCst);
    // It is asked three times more; what was said before that is read.
    let seen = *asked.lock().unwrap();
    let until = Instant::now() + LONG;
    while *asked.lock().unwrap() < seen + 3 {
        assert!(Instant::now() < until, "it is asked no longer");
        thread::yield_now();
    }
    manager.socket.set_nonblocking(true).unwrap();
    let mut some = [0; 64];
    while manager.socket.recv(&mut some).is_ok() {}
    let seen = *asked.lock().unwrap();
    while *asked.lock().unwrap() < seen + 2 {
        assert!(Instant::now() < until, "it is asked no longer");
        thread::yield_now();
    }
    assert!(manager.socket.recv(&mut some).is_err(), "it is fed though nobody is healthy");
    shutdown.begin("a test");
    shutdown.finished().await;
    drop(shutdown);
    // What was told of the end is read before.
    while manager.socket.recv(&mut some).is_ok() {}
    // Who still has it may have something to release.
    is_healthy.store(true, Ordering::SeqCst);
    manager.socket.set_nonblocking(false).unwrap();
    for _ in 0..3 {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    drop(kept);
    while has_watchdog() {
        assert!(Instant::now() < until, "the watchdog outlives the last clone");
        thread::yield_now();
    }
}

/// Whether this process has its thread.
fn has_watchdog() -> bool {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    // The kernel keeps 15 bytes.
    names.any(|name| name.trim() == "sundown-watchdo")
}
