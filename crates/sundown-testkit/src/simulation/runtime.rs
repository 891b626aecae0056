//! The runtime of a simulated process: virtual time, a thread for each task, and no sockets.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Instant,
};

use sundown::{AbortHandle, Accept, BoxFuture, Drive, Runtime, host::Host};

use super::machine::{Machine, When};

/// An async runtime in virtual time: see [`World::runtime`](super::World::runtime).
///
/// It has time, tasks and private places, and no sockets: [`adopt`](Runtime::adopt) fails.
#[derive(Clone)]
pub struct Virtual {
    machine: Arc<Machine>,
}

impl Virtual {
    pub(super) fn new(machine: Arc<Machine>) -> Self {
        Virtual { machine }
    }
}

impl Runtime for Virtual {
    fn now(&self) -> Instant {
        self.machine.now()
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(Sleep { machine: self.machine.clone(), at, timer: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> AbortHandle {
        let (machine, switch) = (self.machine.clone(), Arc::new(Switch::default()));
        let (theirs, ours) = (switch.clone(), machine.clone());
        self.machine.start_task(Box::new(move || run(task, &machine, &theirs)));
        AbortHandle::new(move || {
            switch.aborted.store(true, Ordering::Relaxed);
            switch.bell.wake_by_ref();
            ours.advance_epoch();
        })
    }

    fn private(&self) -> io::Result<Box<dyn Drive>> {
        Ok(Box::new(Private(self.machine.clone())))
    }

    fn adopt(&self, _: std::net::TcpListener) -> io::Result<Box<dyn Accept>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a simulation has no sockets"))
    }

    fn host(&self) -> Arc<dyn Host> {
        self.machine.clone()
    }
}

impl fmt::Debug for Virtual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Virtual")
    }
}

/// Whether a future has been woken since it was polled.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Bell {
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Acquire)
    }
}

pub(super) fn drive(machine: &Machine, mut future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut context = Context::from_waker(&waker);
    // Who unwinds does not wait, not even for this.
    while future.as_mut().poll(&mut context).is_pending() && !thread::panicking() {
        machine.wait(&mut When(|| bell.take()), None);
    }
}

struct Private(Arc<Machine>);

impl Drive for Private {
    fn drive(&mut self, future: Pin<&mut (dyn Future<Output = ()> + Send + '_)>) {
        drive(&self.0, future);
    }
}

/// What a task shares with those who abort it.
#[derive(Default)]
struct Switch {
    bell: Arc<Bell>,
    aborted: AtomicBool,
}

/// Runs a task of the runtime's, which waits while that is blocked.
fn run(mut task: BoxFuture<'static, ()>, machine: &Machine, switch: &Switch) {
    let waker = Waker::from(switch.bell.clone());
    switch.bell.wake_by_ref();
    loop {
        machine.wait(&mut When(|| !machine.is_runtime_blocked() && switch.bell.take()), None);
        let aborted = switch.aborted.load(Ordering::Relaxed);
        if aborted || task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            return;
        }
    }
}

struct Sleep {
    machine: Arc<Machine>,
    at: Instant,
    timer: Option<u64>,
}

impl Sleep {
    fn forget(&mut self) {
        if let Some(key) = self.timer.take() {
            self.machine.drop_timer(self.at, key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        if self.at <= self.machine.now() {
            return Poll::Ready(());
        }
        self.timer = Some(self.machine.set_timer(self.at, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
