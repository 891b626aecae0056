//! A monitor that goes wrong in every way, and another notifier behind it: that one takes over within the slice what the
//! monitor did not acknowledge, and both together take what was incomplete, no job twice and none left.

use std::{
    net::SocketAddr,
    sync::{Mutex, mpsc},
    time::Duration,
};

use serde_json::json;
use sundown::{HandOver, Notifier, NotifyError, Outcome};
use sundown_notify::{First, Webhook};
use sundown_testkit::TakesOver;
use sundown_tokio::Tokio;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Mutex as AsyncMutex,
};

use crate::{
    authority::Authority,
    monitor::{Answer, Monitor, body, closed_port, status, with_headers},
    service::{fates, go_down, go_down_within, letters},
};

/// How long the hand-over may take; most of these tests use up half of it.
const SLICE: Duration = Duration::from_secs(3);

const ALL: [&str; 4] = ["a", "b", "c", "d"];
const NONE: [&str; 0] = [];

/// Hands four jobs over to this webhook and to another notifier behind it. These are the ones that the webhook takes.
async fn takes(webhook: Webhook, expected: impl AsRef<[&str]>) {
    let next = TakesOver::all();
    let chain = First::new(Tokio::current(), webhook).then(next.clone());
    let report = go_down_within(SLICE, chain, letters(ALL.len())).await;

    let [handed_over, unacknowledged, in_doubt] = fates(&report);
    assert_eq!(handed_over, ALL, "{report}");
    assert!(unacknowledged.is_empty() && in_doubt.is_empty() && report.is_clean(), "{report}");
    let (expected, next) = (expected.as_ref(), next.taken());
    let mut both: Vec<_> = next.iter().map(sundown::JobId::as_str).chain(expected.iter().copied()).collect();
    both.sort_unstable();
    assert_eq!(both, ALL, "the next took {next:?}");

    let Outcome::Done(took) = report.notifiers[0].incomplete else { panic!("{report}") };
    assert!(took < SLICE, "{report}");
}

async fn takes_where_the_monitor(
    answers: impl Fn(usize) -> Answer + Send + Sync + 'static,
    expected: impl AsRef<[&str]>,
) {
    let monitor = Monitor::start(move |before, _| answers(before));
    takes(Webhook::new(monitor.url()).unwrap(), expected).await;
}

#[tokio::test]
async fn a_monitor_that_works_takes_all() {
    takes_where_the_monitor(|_| status("204 No Content"), ALL).await;
}

#[tokio::test]
async fn a_job_has_one_id_whoever_is_offered_it() {
    // The first takes the job in the middle, and the second is offered the others at other places.
    let first = Monitor::start(|_, request| body(json!({ "acknowledged": request.ids()[1..2] }).to_string()));
    let second = Monitor::start(|_, _| status("204 No Content"));
    let [one, other] = [&first, &second].map(|monitor| Webhook::new(monitor.url()).unwrap());
    let report = go_down(First::new(Tokio::current(), one).then(other), letters(3)).await;
    assert!(report.is_clean(), "{report}");
    let ids = |monitor: &Monitor| monitor.jobs()[0].ids();
    let (all, rest) = (ids(&first), ids(&second));
    assert_eq!(rest, [all[0].clone(), all[2].clone()]);
}

#[tokio::test]
async fn a_link_that_keeps_its_thread() {
    struct Parks(Mutex<mpsc::Receiver<()>>);

    #[sundown::async_trait]
    impl Notifier for Parks {
        async fn incomplete(&self, _: &HandOver) -> Result<(), NotifyError> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }
    let (let_go, parked) = mpsc::channel();
    let next = TakesOver::all();
    let chain = First::new(Tokio::current(), Parks(Mutex::new(parked))).then(next.clone());
    let report = go_down_within(SLICE, chain, letters(2)).await;
    drop(let_go);
    assert!(report.is_clean(), "{report}");
    assert_eq!(next.taken().len(), 2);
}

#[tokio::test]
async fn what_a_link_builds_in_prepare_works_when_its_turn_comes() {
    /// Talks over a connection that needs its reactor.
    struct Talks(AsyncMutex<Option<TcpStream>>, SocketAddr);

    #[sundown::async_trait]
    impl Notifier for Talks {
        async fn prepare(&self) -> Result<(), NotifyError> {
            let stream = TcpStream::connect(self.1).await;
            *self.0.lock().await =
                Some(stream.map_err(|why| NotifyError::new("no connection").because(why))?);
            Ok(())
        }

        async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
            let mut stream = self.0.lock().await;
            let failed = |why| NotifyError::new("no answer").because(why);
            let stream = stream.as_mut().unwrap();
            for job in hand_over.jobs() {
                stream.write_all(b"?").await.map_err(failed)?;
                stream.read_exact(&mut [0]).await.map_err(failed)?;
                hand_over.acknowledge(job.key());
            }
            Ok(())
        }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let talks = Talks(Default::default(), listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0];
        while std::io::Read::read(&mut stream, &mut some).unwrap() > 0 {
            std::io::Write::write_all(&mut stream, b"!").unwrap();
        }
    });
    let report = go_down(First::new(Tokio::current(), TakesOver::first(1)).then(talks), letters(3)).await;
    assert_eq!(fates(&report)[0], ["a", "b", "c"], "{report}");
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_monitor_that_is_down() {
    let port = closed_port();
    takes(Webhook::new(format!("http://{}/", port.local_addr().unwrap())).unwrap(), NONE).await;
}

#[tokio::test]
async fn a_monitor_that_is_slow() {
    // Longer than its part of the slice.
    let monitor = Monitor::start(|_, _| {
        std::thread::sleep(SLICE * 3 / 4);
        status("204 No Content")
    });
    takes(Webhook::new(monitor.url()).unwrap(), NONE).await;
}

#[tokio::test]
async fn a_monitor_that_is_slow_but_in_time() {
    let monitor = Monitor::start(|_, _| {
        std::thread::sleep(SLICE / 20);
        status("204 No Content")
    });
    takes(Webhook::new(monitor.url()).unwrap(), ALL).await;
}

#[tokio::test]
async fn a_monitor_that_answers_500() {
    takes_where_the_monitor(|_| status("500 Internal Server Error"), NONE).await;
}

#[tokio::test]
async fn a_monitor_that_answers_500_first() {
    let answers = |before| status(if before == 0 { "500 Internal Server Error" } else { "204 No Content" });
    takes_where_the_monitor(answers, ALL).await;
}

#[tokio::test]
async fn a_monitor_that_resets_in_the_middle_of_its_answer() {
    takes_where_the_monitor(|_| Answer::Reset(b"HTTP/1.1 200 OK\r\nContent-Le".into()), NONE).await;
}

#[tokio::test]
async fn a_monitor_that_acknowledges_half() {
    let monitor = Monitor::start(|_, request| {
        let ids = request.ids();
        body(json!({ "acknowledged": ids[..2] }).to_string())
    });
    takes(Webhook::new(monitor.url()).unwrap(), ["a", "b"]).await;
}

#[tokio::test]
async fn a_monitor_that_takes_one_batch_and_hangs() {
    let monitor = Monitor::start(|before, _| match before {
        0 => status("204 No Content"),
        _ => Answer::Stall(Vec::new()),
    });
    takes(Webhook::new(monitor.url()).unwrap().batch(1, 1024), ["a"]).await;
}

#[tokio::test]
async fn a_monitor_that_answers_after_the_deadline() {
    let (over, is_over) = mpsc::channel::<()>();
    let is_over = Mutex::new(is_over);
    let monitor = Monitor::start(move |_, _| {
        let _ = is_over.lock().unwrap().recv_timeout(Duration::from_secs(20));
        status("200 OK")
    });
    takes(Webhook::new(monitor.url()).unwrap(), NONE).await;
    drop(over);
}

#[tokio::test]
async fn a_monitor_that_never_ends_its_answer() {
    takes_where_the_monitor(
        |_| Answer::Forever("HTTP/1.1 200 OK\r\n", "x: y\r\n", Duration::from_millis(1)),
        NONE,
    )
    .await;
}

#[tokio::test]
async fn a_monitor_that_answers_nonsense() {
    takes_where_the_monitor(|_| body("{\"acknowledged\":"), NONE).await;
}

#[tokio::test]
async fn a_monitor_that_has_moved() {
    takes_where_the_monitor(|_| with_headers("308 Permanent Redirect", "Location: /elsewhere\r\n"), NONE)
        .await;
}

#[tokio::test]
async fn a_monitor_with_a_certificate_that_is_wrong() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for server in [theirs.server("127.0.0.1"), ours.server("monitor.example")] {
        let monitor = Monitor::over_tls(server, |_, _| status("204 No Content"));
        takes(Webhook::new(monitor.url()).unwrap().root_certificate(ours.pem()), NONE).await;
        assert_eq!(monitor.count(), 0);
    }
}

#[tokio::test]
async fn a_monitor_whose_port_speaks_no_tls() {
    let monitor = Monitor::start(|_, _| status("204 No Content"));
    takes(Webhook::new(monitor.url().replace("http:", "https:")).unwrap(), NONE).await;
}

#[tokio::test]
async fn a_monitor_whose_name_nobody_knows() {
    // https://www.rfc-editor.org/rfc/rfc6761#section-6.4
    takes(Webhook::new("http://monitor.invalid/").unwrap(), NONE).await;
}
