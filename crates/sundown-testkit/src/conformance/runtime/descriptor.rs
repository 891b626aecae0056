//! The socket itself, which the rescue uses from outside the runtime.

use std::io::Read;

use super::{
    Start,
    wire::{Pair, peer_of},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, require};

pub(super) fn the_descriptor_is_the_clients_connection(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client } = stage.pair()?;
    let peer = peer_of(&*transport).or_broken("`getpeername` on the transport")?;
    let client = client.local_addr().or_broken("the client's address")?;
    require(peer == client, || format!("expected the socket whose peer is {client}, saw that of {peer}"))
}

pub(super) fn the_descriptor_does_not_block(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let Pair { transport, client: _client } = stage.pair()?;
    let flags = rustix::fs::fcntl_getfl(&transport).or_broken("`fcntl` on the transport")?;
    require(flags.contains(rustix::fs::OFlags::NONBLOCK), || {
        format!("expected O_NONBLOCK on the socket, saw {flags:?}")
    })
}

pub(super) fn another_thread_can_use_the_descriptor_while_the_runtime_is_blocked(
    trial: &Trial<Start>,
) -> Checked {
    let stage = trial.stage();
    let Pair { transport, mut client } = stage.pair()?;
    let blocked = stage.block()?;
    let written = trial.at_once("a write to the descriptor beside a blocked runtime", move || {
        rustix::io::write(&transport, b"answer").map(|n| (n, transport))
    })?;
    let (written, _transport) = written.or_broken("a write to the descriptor")?;
    let mut read = [0; 6];
    client.read_exact(&mut read[..written]).or_broken("the client's read")?;
    require(&read == b"answer", || format!("expected \"answer\" at the client, saw {read:?}"))?;
    blocked.held()
}
