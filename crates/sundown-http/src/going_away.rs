//! A WebSocket that says goodbye by itself, whatever library speaks it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use futures_util::{Sink, Stream, task::AtomicWaker};
use sundown::BoxFuture;

pin_project_lite::pin_project! {
    /// Sends one last message when it is told to, and is a plain WebSocket (or any other [`Stream`] and [`Sink`] of
    /// messages) before and after.
    ///
    /// Told by a [`Closing`](crate::Closing), it closes a WebSocket as the protocol wants it: it sends the close message
    /// that it was given, once and after all that was sent before, and goes on yielding what the peer still has to say
    /// until that closes too. So a loop that receives until the end needs no branch for the shutdown. The code is
    /// 1001, *going away* ([RFC 6455 section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)): clients
    /// take it for what it is, and connect again elsewhere.
    ///
    /// The message goes out as soon as anybody asks for something: the receiver, or a sender, whichever is polled. What
    /// is sent after it is left to the WebSocket, which refuses it. If it cannot be sent, since the peer is gone, the
    /// stream says so, or its end does.
    ///
    /// # Cancel safety
    ///
    /// It has no future of its own. `next` is cancel safe: what it has done for the last message is kept. A `send` is as
    /// cancel safe as that of the WebSocket inside. Split into halves, each wakes the other's task where it stands in for
    /// it.
    ///
    /// # Examples
    ///
    /// With axum's WebSocket; `tungstenite::Message::Close` is the same for others:
    ///
    /// ```ignore
    /// async fn talk(Extension(closing): Extension<Closing>, upgrade: WebSocketUpgrade) -> Response {
    ///     let goodbye = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason: "".into() }));
    ///     upgrade.on_upgrade(async move |socket| {
    ///         let mut socket = GoingAway::new(socket, closing, goodbye);
    ///         while let Some(Ok(message)) = socket.next().await {
    ///             // … and `socket.send(..)`, as ever
    ///         }
    ///     })
    /// }
    /// ```
    pub struct GoingAway<S, M> {
        #[pin]
        socket: S,
        goodbye: Goodbye<M>,
        // A sender has been promised that its message is the next.
        is_promised: bool,
        tasks: Arc<Tasks>,
        // Wakes both.
        waker: Waker,
    }
}

enum Goodbye<M> {
    Untold(BoxFuture<'static, ()>, M),
    Told(M),
    Sent,
    /// And flushed; or it never will be.
    Over,
}

/// Those of the two halves. What goes on for both wakes both: either may have been the last to ask.
#[derive(Default)]
struct Tasks {
    receiver: AtomicWaker,
    sender: AtomicWaker,
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.receiver.wake();
        self.sender.wake();
    }
}

impl<S, M> GoingAway<S, M> {
    /// Around this WebSocket: when `closing` resolves, it says `goodbye`.
    pub fn new(socket: S, closing: impl Future<Output = ()> + Send + 'static, goodbye: M) -> Self {
        let tasks = Arc::<Tasks>::default();
        GoingAway {
            socket,
            goodbye: Goodbye::Untold(Box::pin(closing), goodbye),
            is_promised: false,
            waker: tasks.clone().into(),
            tasks,
        }
    }

    /// The WebSocket inside.
    pub fn get_ref(&self) -> &S {
        &self.socket
    }

    /// The WebSocket inside. A message that has not been sent never is.
    pub fn into_inner(self) -> S {
        self.socket
    }
}

impl<S: Sink<M>, M> GoingAway<S, M> {
    /// Takes the last message as far as it goes; ready if there is nothing to do for it now.
    fn poll_goodbye(self: Pin<&mut Self>) -> Poll<()> {
        let mut this = self.project();
        let cx = &mut Context::from_waker(this.waker);
        loop {
            *this.goodbye = match std::mem::replace(this.goodbye, Goodbye::Over) {
                Goodbye::Untold(mut closing, goodbye) => match closing.as_mut().poll(cx) {
                    Poll::Ready(()) => Goodbye::Told(goodbye),
                    Poll::Pending => {
                        *this.goodbye = Goodbye::Untold(closing, goodbye);
                        return Poll::Ready(());
                    }
                },
                Goodbye::Told(goodbye) => {
                    // Who was promised a place takes it, and then wakes us.
                    let ready =
                        if *this.is_promised { Poll::Pending } else { this.socket.as_mut().poll_ready(cx) };
                    match ready {
                        Poll::Pending => {
                            *this.goodbye = Goodbye::Told(goodbye);
                            return Poll::Pending;
                        }
                        // An error is the end of the connection, of which the stream tells.
                        Poll::Ready(Err(_)) => Goodbye::Over,
                        Poll::Ready(Ok(())) => match this.socket.as_mut().start_send(goodbye) {
                            Ok(()) => Goodbye::Sent,
                            Err(_) => Goodbye::Over,
                        },
                    }
                }
                Goodbye::Sent => match this.socket.as_mut().poll_flush(cx) {
                    Poll::Pending => {
                        *this.goodbye = Goodbye::Sent;
                        return Poll::Pending;
                    }
                    Poll::Ready(_) => Goodbye::Over,
                },
                Goodbye::Over => return Poll::Ready(()),
            };
        }
    }
}

impl<S, M, T, E> Stream for GoingAway<S, M>
where
    S: Stream<Item = Result<T, E>> + Sink<M, Error = E>,
{
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.tasks.receiver.register(cx.waker());
        // Whether it is out or not: meanwhile the peer goes on.
        let _ = self.as_mut().poll_goodbye();
        self.project().socket.poll_next(cx)
    }
}

impl<S: Sink<M>, M> Sink<M> for GoingAway<S, M> {
    type Error = S::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.tasks.sender.register(cx.waker());
        if !self.is_promised {
            ready!(self.as_mut().poll_goodbye());
        }
        let this = self.project();
        ready!(this.socket.poll_ready(&mut Context::from_waker(this.waker)))?;
        *this.is_promised = true;
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: M) -> Result<(), S::Error> {
        let this = self.project();
        *this.is_promised = false;
        let sent = this.socket.start_send(message);
        if matches!(this.goodbye, Goodbye::Told(_)) {
            // It was waiting for this.
            this.waker.wake_by_ref();
        }
        sent
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.tasks.sender.register(cx.waker());
        let this = self.as_mut().project();
        let flushed = this.socket.poll_flush(&mut Context::from_waker(this.waker));
        if !self.is_promised {
            ready!(self.as_mut().poll_goodbye());
        }
        flushed
    }

    /// Whoever closes has said goodbye in his own way.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.tasks.sender.register(cx.waker());
        let this = self.as_mut().project();
        if !matches!(this.goodbye, Goodbye::Sent) {
            *this.goodbye = Goodbye::Over;
        }
        this.socket.poll_close(&mut Context::from_waker(this.waker))
    }
}

impl<S: fmt::Debug, M> fmt::Debug for GoingAway<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoingAway")
            .field("socket", &self.socket)
            .field("is_told", &!matches!(self.goodbye, Goodbye::Untold(..)))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
