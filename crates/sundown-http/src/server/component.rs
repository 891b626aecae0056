//! The server as a component of the shutdown.

use sundown::{Claims, Deadline, Drainable, InFlight, Receipt, Unit, Watch};

use super::Server;
use crate::{phase::Phase, rescue::Rescue, word};

#[sundown::async_trait]
impl Drainable for Server {
    fn joined(&self, watch: &Watch) {
        self.shared.join(watch);
    }

    fn close(&self, deadline: &Deadline) {
        self.shared.set_deadline(deadline);
        self.shared.go_on(Phase::Draining);
    }

    async fn drained(&self) {
        self.shared.hush().await;
        if self.shared.spreads() {
            self.shared.go_on(Phase::Spreading);
            self.shared.settled().await;
        }
        self.shared.refuse();
        self.shared.go_on(Phase::Closing);
        self.shared.gate.empty().await;
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
        self.shared.claim(claims);
        self.shared.go_on(Phase::Claimed);
    }

    async fn conclude(&self, receipt: &Receipt) {
        self.shared.set_receipt(receipt);
        self.shared.go_on(Phase::Answering);
        Rescue::new(&self.shared, receipt.deadline().clone()).run(receipt);
        self.shared.note_answered();
    }

    fn force(&self) {
        let left = self.shared.unfinished();
        let responding =
            left.iter().filter(|conn| conn.word.phase() == word::Phase::Responding).count() as u64;
        for conn in &left {
            conn.prepare_cut();
            // Nobody else would let go of it.
            self.shared.unregister_if_closed(conn);
        }
        // What the runtime cuts by itself from here on is among the responding.
        self.shared.note_cut(responding);
        self.shared.go_on(Phase::Forced);
    }
}
