//! The webhook with a name server that hangs, which no test outside can make up.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    thread,
};

use sundown::{Jobs, Outcome, Reserve, Shutdown};
use sundown_testkit::TakesOver;
use sundown_tokio::Tokio;

use super::{resolver::System, *};
use crate::First;

/// Looks names up until the other end is dropped.
struct Hangs(Mutex<Receiver<()>>);

impl System for Hangs {
    fn look_up(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        let _ = self.0.lock().unwrap().recv();
        Err(io::ErrorKind::NotFound.into())
    }

    fn spawn(&self, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        thread::spawn(work);
        Ok(())
    }
}

#[tokio::test]
async fn a_name_server_that_hangs_leaves_the_next_in_line_its_time() {
    const SLICE: Duration = Duration::from_secs(2);
    let (over, until) = mpsc::channel();
    let webhook = Webhook::new("http://monitor.example/").unwrap();
    let names = Names::of(Hangs(Mutex::new(until)));
    assert!(webhook.client.set(Client::new(&webhook.common, names)).is_ok());
    let next = TakesOver::all();
    let jobs = Jobs::new();
    let shutdown = Shutdown::embedded(Tokio::current())
        .component("jobs", jobs.clone())
        .hand_over_to(First::new(Tokio::current(), webhook).then(next.clone()))
        .grace(Duration::from_secs(30))
        .reserve(Reserve::HandOver, SLICE)
        .start()
        .unwrap();
    let _jobs = ["a", "b"].map(|id| jobs.begin(id, ()).unwrap());
    shutdown.begin("a test");
    shutdown.hurry();
    let report = shutdown.finished().await;
    drop(over);
    assert_eq!(report.jobs.handed_over.len(), 2, "{report}");
    assert_eq!(next.taken().len(), 2);
    assert!(report.is_clean(), "{report}");
    let Outcome::Done(took) = report.notifiers[0].incomplete else { panic!("{report}") };
    // Until the name was given up, in the webhook's half of the time.
    assert!(took > SLICE / 3 && took < SLICE, "{report}");
}
