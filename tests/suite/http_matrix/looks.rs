//! What is to be seen of the end of a connection of HTTP/1.

use sundown_tests::http::{Client, End, Framing, Reply, Transcript};

use super::stage::{Act, Stage, end};

/// Nothing comes but an end in order.
pub(super) fn silent(client: Client) -> Act {
    end(move || client.end().assert_silent())
}

/// One answer comes, which says that the job was handed over, and this.
pub(super) fn handed_over(stage: &Stage, client: Client, method: &'static str, says: fn(&Reply)) -> Act {
    let id = stage.id.clone();
    end(move || {
        let reply = client.only_reply(method);
        reply.assert_success("handed-over", &id);
        says(&reply);
    })
}

/// Its job is somebody else's, and nothing is switched: not success, and not to be tried again.
pub(super) fn no_switch(stage: &Stage, client: Client, method: &'static str) -> Act {
    let id = stage.id.clone();
    end(move || {
        let reply = client.only_reply(method);
        let said = ["sundown-fate", "sundown-job", "retry-after"].map(|name| reply.field(name));
        assert_eq!((reply.status, said), (503, [Some("handed-over"), Some(&*id), None]), "{reply}");
    })
}

/// The one answer in it is not whole, which can be told.
pub(super) fn cut_reply(transcript: &Transcript, by: End) -> Reply {
    let [reply] = &transcript.replies(&["GET"])[..] else { panic!("{transcript}") };
    assert!(!reply.is_whole, "{transcript}");
    assert_eq!(transcript.end, by, "{transcript}");
    reply.clone()
}

/// A body that has begun.
pub(super) fn cut(mut client: Client, framing: Framing, by: End) -> Act {
    client.wait_for_bytes(1);
    end(move || {
        let transcript = client.end();
        let reply = cut_reply(&transcript, by);
        assert_eq!((reply.status, reply.framing), (200, framing), "{transcript}");
        assert!("beginning\n".starts_with(&reply.text()), "{transcript}");
    })
}

/// What is sent now is never begun.
pub(super) fn refused(stage: &mut Stage, mut client: Client) -> Act {
    client.get("/fast", &stage.id);
    stage.must_not_start();
    refused_unread(client)
}

/// What could be HEAD is answered without a body.
pub(super) fn refused_unread(client: Client) -> Act {
    end(move || client.only_reply("HEAD").assert_retry("not-started"))
}

/// Is served, and told that it was the last time.
pub(super) fn served_last(stage: &mut Stage, mut client: Client) -> Act {
    client.get("/fast", &stage.id);
    let own = format!("fast {}\n", stage.id);
    end(move || {
        let reply = client.only_reply("GET");
        reply.assert_own(&own);
        assert_eq!(reply.field("connection"), Some("close"), "{reply}");
    })
}

/// Sent so late that either may be.
pub(super) fn ask_late(stage: &mut Stage, mut client: Client) -> Act {
    client.get("/fast", &stage.id);
    let own = format!("fast {}\n", stage.id);
    end(move || {
        let transcript = client.end();
        // Whoever was not even read could have sent HEAD.
        match transcript.bytes.starts_with(b"HTTP/1.1 200 ") {
            true => transcript.only_reply("GET").assert_own(&own),
            false => transcript.only_reply("GET").assert_retry("not-started"),
        }
    })
}
