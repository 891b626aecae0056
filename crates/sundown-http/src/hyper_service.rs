//! A bare hyper service where one of tower's is asked for.

use std::task::{Context, Poll};

use hyper::service::Service;

/// Makes one of tower's services of a bare hyper service, so that a [`Server`](crate::Server) can serve it.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use http_body_util::Full;
/// use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
/// use sundown_http::HyperService;
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::new(Bytes::from("hello"))))
/// }
///
/// # async fn run(http: sundown_http::Server, shutdown: sundown::Shutdown) -> std::io::Result<()> {
/// http.serve(&shutdown, HyperService(service_fn(hello))).await
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HyperService<S>(pub S);

impl<S: Service<R>, R> tower_service::Service<R> for HyperService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    /// A hyper service is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
