//! Requests that come late: on connections that are open, and on new ones.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use sundown::Shutdown;
use sundown_http::Server;
use tokio::runtime::Runtime;

use crate::{
    raw::{End, REFUSED_STREAM, RawHttp2},
    stage::{self, BOUND, Entered, Http1, get2, http2, within},
};

struct Serving {
    address: SocketAddr,
    entered: Entered,
    shutdown: Shutdown,
    runtime: Runtime,
}

fn serve(server: Server) -> Serving {
    let runtime = stage::runtime();
    let server = server.health_probes();
    let address = server.local_addr().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let (door, entered) = stage::door();
    let router =
        Router::new().route("/", get(async move || door.pass().await)).route("/fast", get(async || "fast"));
    let handle = shutdown.handle();
    runtime.spawn(async move { server.serve(&handle, router).await.unwrap() });
    // A shutdown that is faster finds a server without a lame duck.
    assert!(stage::get(address, "/livez").ends_with("alive\n"));
    Serving { address, entered, shutdown, runtime }
}

impl Serving {
    fn begin(&self) {
        let watch = self.shutdown.watch();
        self.shutdown.begin("a test");
        within(&self.runtime, watch.into_future());
    }

    /// Asks until newcomers are refused: traffic is quiet.
    fn wait_until_refused(&self) -> String {
        let until = Instant::now() + BOUND;
        loop {
            let reply = stage::get(self.address, "/fast");
            if !reply.starts_with("HTTP/1.1 200 ") {
                return reply;
            }
            assert!(Instant::now() < until, "{reply}");
        }
    }

    fn end(self) {
        let report = stage::report(&self.runtime, &self.shutdown);
        assert!(report.is_clean(), "{report}");
    }
}

/// One that stays in its lame duck until it is told to hurry, or its turn is over.
fn lame_duck() -> Server {
    stage::server().lame_duck(BOUND, BOUND)
}

#[test]
fn while_draining_requests_on_open_connections_are_served() {
    let serving = serve(lame_duck());
    let mut client = Http1::connect(serving.address);
    client.get("/fast");
    assert!(!client.reply("fast").contains("connection: close"));
    let mut streams = RawHttp2::connect(serving.address);
    streams.get(1, "/fast");
    assert_eq!(streams.end(1), End::Whole("fast".into()));
    serving.begin();
    // Its first half has said that it goes away, and does not mean what comes at the same time.
    streams.wait_for_goaway();
    streams.get(3, "/fast");
    assert_eq!(streams.end(3), End::Whole("fast".into()));
    client.get("/fast");
    let reply = client.end();
    assert!(reply.contains("connection: close\r\n") && reply.ends_with("fast"), "{reply}");
    serving.shutdown.hurry();
    serving.end();
}

#[test]
fn when_traffic_is_quiet_new_requests_are_refused_and_probes_are_answered() {
    let serving = serve(stage::server());
    let mut kept = Http1::connect(serving.address);
    kept.get("/fast");
    kept.reply("fast");
    let mut waiting = Http1::connect(serving.address);
    waiting.get("/");
    let handlers = [serving.entered.wait()];
    let mut streams = RawHttp2::connect(serving.address);
    streams.get(1, "/");
    let handlers = handlers.into_iter().chain([serving.entered.wait()]).collect::<Vec<_>>();
    serving.begin();

    let refused = serving.wait_until_refused();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("sundown-fate: not-started\r\n"), "{refused}");
    assert_eq!(kept.end(), "", "an idle connection ends");
    assert!(stage::get(serving.address, "/livez").starts_with("HTTP/1.1 200 "));
    assert!(stage::get(serving.address, "/readyz").contains("draining, gone in "));

    // No application code has seen it: it may be tried again, whatever it is.
    streams.get(3, "/fast");
    assert_eq!(streams.end(3), End::Reset(REFUSED_STREAM));
    streams.get(5, "/livez");
    assert_eq!(streams.end(5), End::Whole("alive\n".into()));
    streams.get(7, "/readyz");
    let End::Whole(ready) = streams.end(7) else { panic!("the probe was not answered") };
    assert!(ready.starts_with("draining, gone in "), "{ready}");

    within(&serving.runtime, async {
        let newcomer = get2(&mut http2(serving.address).await, "/fast").await;
        assert_eq!(newcomer.unwrap_err().reason(), Some(h2::Reason::REFUSED_STREAM));
        let ready = get2(&mut http2(serving.address).await, "/readyz").await.unwrap();
        assert!(ready.status == 503 && ready.body.starts_with("draining, gone in "), "{ready:?}");
    });

    for handler in handlers {
        handler.send(()).unwrap();
    }
    assert_eq!(streams.end(1), End::Whole("done".into()));
    assert!(waiting.end().ends_with("done"));
    serving.end();
}

#[test]
fn probes_over_http_2_do_not_keep_the_lame_duck_waiting() {
    // Half of the drain is much longer than the quiet interval.
    let serving = serve(stage::server().lame_duck(Duration::from_millis(500), BOUND));
    serving.begin();
    let began = Instant::now();
    within(&serving.runtime, async {
        let (mut open, mut last) = (Vec::new(), None);
        // Until the port is closed behind the last client.
        while let Ok(stream) = tokio::net::TcpStream::connect(serving.address).await {
            let Ok((mut requests, connection)) = h2::client::handshake(stream).await else { break };
            tokio::spawn(async move { drop(connection.await) });
            if let Err(error) = get2(&mut requests, "/livez").await {
                last = Some(error);
                break;
            }
            open.push(requests);
        }
        assert!(open.len() > 1, "it was asked {} times before {last:?}", open.len());
    });
    serving.end();
    assert!(began.elapsed() < stage::GRACE / 5, "{:?}", began.elapsed());
}
