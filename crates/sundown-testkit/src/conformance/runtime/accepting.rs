//! Listeners inside the runtime.

use std::{future::poll_fn, sync::mpsc::channel, time::Duration};

use rustix::net::sockopt::set_socket_linger;

use super::{
    Start,
    wire::{accept, peer_of},
};
use crate::conformance::trial::{Checked, OrBroken, Trial, Unmet, require};

pub(super) fn an_adopted_listener_accepts(trial: &Trial<Start>) -> Checked {
    trial.stage().pair().map(drop)
}

pub(super) fn a_pending_accept_is_woken_by_a_client(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (mut listener, address) = stage.listen()?;
    let (waits, waiting) = channel();
    let accepted = stage.spawn(async move {
        poll_fn(|cx| {
            let polled = listener.poll_accept(cx);
            if polled.is_pending() {
                let _ = waits.send(());
            }
            polled
        })
        .await
        .map(drop)
    });
    trial.wait(&waiting, "a pending accept while no client has come")?;
    let _client = stage.connect(address)?;
    trial.wait(&accepted, "a pending accept to be woken by a client")?.or_broken("`poll_accept`")
}

pub(super) fn clients_are_accepted_in_their_order(trial: &Trial<Start>) -> Checked {
    const CLIENTS: usize = 5;
    let stage = trial.stage();
    let (mut listener, address) = stage.listen()?;
    let clients = (0..CLIENTS).map(|_| stage.connect(address)).collect::<Checked<Vec<_>>>()?;
    let accepted = stage.run("as many connections as there are clients", async move {
        let mut peers = Vec::new();
        while peers.len() < CLIENTS {
            let (transport, _) = accept(&mut *listener).await?;
            peers.push(peer_of(&*transport)?);
        }
        Ok::<_, std::io::Error>(peers)
    })?;
    let accepted = accepted.or_broken("`poll_accept`")?;
    for (at, (client, peer)) in clients.iter().zip(&accepted).enumerate() {
        let client = client.local_addr().or_broken("the client's address")?;
        require(*peer == client, || {
            format!("expected client {at}, {client}, as connection {at}, which is {peer}'s")
        })?;
    }
    Ok(())
}

pub(super) fn the_address_is_the_clients(trial: &Trial<Start>) -> Checked {
    let stage = trial.stage();
    let (mut listener, address) = stage.listen()?;
    let client = stage.connect(address)?.local_addr().or_broken("the client's address")?;
    let accepted = stage.run("a client to be accepted", async move {
        accept(&mut *listener).await.map(|(_, address)| address)
    })?;
    let said = accepted.or_broken("`poll_accept`")?;
    require(said == client, || format!("expected the client's address {client}, saw {said}"))
}

pub(super) fn a_client_that_has_left_does_not_stop_the_listener(trial: &Trial<Start>) -> Checked {
    // Systems differ in whether its connection is accepted, is an error, or is gone.
    const TRIES: usize = 5;
    let stage = trial.stage();
    let (mut listener, address) = stage.listen()?;
    let leaves = stage.connect(address)?;
    // Closing with a linger of zero resets.
    set_socket_linger(&leaves, Some(Duration::ZERO)).or_broken("a linger of zero")?;
    drop(leaves);
    let stays = stage.connect(address)?.local_addr().or_broken("the client's address")?;
    let seen = stage.run("a client to be accepted after one that has left", async move {
        let mut seen = Vec::new();
        while seen.len() < TRIES {
            match accept(&mut *listener).await {
                Ok((_, address)) if address == stays => return Ok(()),
                other => seen.push(other.map(|(_, address)| address)),
            }
        }
        Err(seen)
    })?;
    seen.map_err(|seen| {
        Unmet::broken(format!("expected {stays} to be accepted after one that has left, saw {seen:?}"))
    })
}
