//! gRPC, as tonic speaks it, on the server.

use std::net::SocketAddr;

use futures_util::stream::{self, BoxStream, StreamExt};
use sundown::Shutdown;
use tokio::runtime::Runtime;
use tonic::{
    Code, Request, Response, Status,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

use crate::stage::{self, Door, Entered, within};

/// Serves `fast` at once, and anything else when it is told to.
struct Slow(Door);

fn serving() -> HealthCheckResponse {
    HealthCheckResponse { status: 1 }
}

#[tonic::async_trait]
impl Health for Slow {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if request.get_ref().service != "fast" {
            self.0.pass().await;
        }
        Ok(Response::new(serving()))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(stream::iter([Ok(serving())]).chain(stream::pending()).boxed()))
    }
}

struct Serving {
    address: SocketAddr,
    entered: Entered,
    shutdown: Shutdown,
    runtime: Runtime,
}

fn serve() -> Serving {
    let runtime = stage::runtime();
    let server = stage::server();
    let address = server.local_addr().unwrap();
    let shutdown = stage::shutdown(&runtime, server.clone(), false);
    let (door, entered) = stage::door();
    let routes = Routes::new(HealthServer::new(Slow(door)));
    let handle = shutdown.handle();
    runtime.spawn(async move { server.serve(&handle, routes).await.unwrap() });
    Serving { address, entered, shutdown, runtime }
}

async fn client(address: SocketAddr) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

fn asking(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn check(mut client: HealthClient<Channel>, service: &'static str) -> Result<i32, Status> {
    Ok(client.check(asking(service)).await?.into_inner().status)
}

#[test]
fn calls_are_served_and_drained() {
    let Serving { address, entered, shutdown, runtime } = serve();
    let (slow, handler) = within(&runtime, async {
        let client = client(address).await;
        assert_eq!(check(client.clone(), "fast").await.unwrap(), 1);
        let slow = tokio::spawn(check(client, "slow"));
        (slow, entered.wait())
    });
    shutdown.begin("a test");
    within(&runtime, shutdown.watch().into_future());
    handler.send(()).unwrap();
    assert_eq!(within(&runtime, slow).unwrap().unwrap(), 1);
    let report = stage::report(&runtime, &shutdown);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_call_that_cannot_end_is_unavailable() {
    let Serving { address, entered, shutdown, runtime } = serve();
    within(&runtime, async {
        let slow = tokio::spawn(check(client(address).await, "slow"));
        let _handler = entered.wait();
        stage::claim(&shutdown);
        let end = slow.await.unwrap().map_err(|status| status.code());
        assert_eq!(end, Err(Code::Unavailable));
    });
    stage::report(&runtime, &shutdown);
}

#[test]
fn a_stream_of_messages_ends_as_unavailable() {
    let Serving { address, shutdown, runtime, .. } = serve();
    within(&runtime, async {
        let mut messages = client(address).await.watch(asking("")).await.unwrap().into_inner();
        assert_eq!(messages.message().await.unwrap(), Some(serving()));
        stage::claim(&shutdown);
        let end = messages.message().await.map_err(|status| status.code());
        assert_eq!(end, Err(Code::Unavailable));
    });
    stage::report(&runtime, &shutdown);
}
