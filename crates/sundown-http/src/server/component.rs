//! The server as a component of the shutdown.

use std::sync::atomic::Ordering;

use sundown::{Claims, Deadline, Drainable, InFlight, Receipt, Unit, Watch};

use super::Server;
use crate::{phase::Phase, rescue::Rescue, word};

#[sundown::async_trait]
impl Drainable for Server {
    fn joined(&self, watch: &Watch) {
        let _ = self.shared.watch.set(watch.clone());
        let jobs = self.shared.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.joined(watch);
        }
    }

    fn close(&self, deadline: &Deadline) {
        self.shared.begin_draining(deadline);
    }

    async fn drained(&self) {
        let shared = &self.shared;
        if let (Some(serving), Some(drain)) = (shared.serving.get(), shared.drain.get()) {
            let duck = shared.config().duck;
            serving.traffic.quiet(duck, &drain.deadline, &serving.runtime).await;
            if shared.spreads() {
                shared.advance(Phase::Spreading);
                shared.settled(&serving.traffic, duck.quiet, &serving.runtime).await;
            }
        }
        shared.gate.close();
        // Not under the lock: closing wakes who waits for it.
        let jobs = shared.config().jobs.clone();
        if let Some((_, jobs)) = jobs {
            jobs.close();
        }
        shared.advance(Phase::Closing);
        shared.gate.empty().await;
    }

    fn in_flight(&self) -> InFlight {
        let conns = self.shared.conns().into_iter();
        // One that is the rescue's is as good as answered.
        let conns = conns.filter(|conn| conn.word.phase() != word::Phase::Taken);
        let exchanges = conns.flat_map(|conn| conn.exchanges());
        let in_flight = exchanges.filter(|exchange| exchange.is_in_flight());
        InFlight::named(in_flight.map(|exchange| Unit { name: exchange.name(), age: None }))
    }

    fn claim(&self, claims: &Claims) {
        let config = self.shared.config().clone();
        self.shared.gate.close();
        if let Some((_, jobs)) = &config.jobs {
            jobs.claim(claims);
        }
        if !config.shared_listener {
            // Nobody new joins the accept queue; who is in it is answered. (Closing it would reset them.)
            let _ = rustix::net::listen(&self.shared.listener, 0);
        }
        self.shared.advance(Phase::Claimed);
    }

    async fn conclude(&self, receipt: &Receipt) {
        let _ = self.shared.receipt.set(receipt.clone());
        self.shared.advance(Phase::Answering);
        Rescue::new(&self.shared, receipt.deadline().clone()).run(receipt);
        receipt.note("answered by the layer", self.shared.answered.load(Ordering::Relaxed));
    }

    fn force(&self) {
        let left = self.shared.conns();
        let responding =
            left.iter().filter(|conn| conn.word.phase() == word::Phase::Responding).count() as u64;
        for conn in &left {
            conn.prepare_cut();
            // Nobody else would let go of it.
            self.shared.unregister_if_closed(conn);
        }
        if let Some(receipt) = self.shared.receipt.get() {
            // What the runtime cuts by itself from here on is among the responding.
            receipt.note("responses cut", responding + self.shared.cut.load(Ordering::Relaxed));
        }
        self.shared.advance(Phase::Forced);
    }
}
