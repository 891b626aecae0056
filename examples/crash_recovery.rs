//! A service that is killed in mid-work again and again, and loses nothing.
//!
//! SIGKILL gives no notice: no handler runs, nothing is handed over. So every order is in a journal before work on it
//! begins. Whoever starts next finds what was left, and begins it again; and an order that has brought its process down
//! three times goes to people instead, with what is known of it. Here a parent starts the service and kills it at random
//! moments; one of the orders needs no killer.
//!
//! ```text
//! cargo run --example crash_recovery
//! ```

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sundown::{HandOver, Notifier, NotifyError, Shutdown};
use sundown_journal::{DurableJob, Journal};
use sundown_tokio::Tokio;

const ORDERS: usize = 24;

/// This order makes the process crash.
const POISON: &str = "order-07";

/// So often an order may take its process with it.
const PATIENCE: u32 = 3;

/// How often the service is killed before it is left alone.
const KILLS: usize = 12;

/// What somebody else needs to finish the work.
#[derive(Serialize, Deserialize)]
struct Order {
    customer: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match env::args_os().nth(1) {
        Some(room) => serve(Path::new(&room)),
        None => kill_it_again_and_again(),
    }
}

/// The service: folders stand for the queue that orders come from, for the effects of the work, and for people.
#[tokio::main(flavor = "current_thread")]
async fn serve(room: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let journal = Journal::open(room.join("orders.journal"))?;
    let jobs = journal.jobs::<Order>("orders");
    let shutdown = Shutdown::process(Tokio::current())
        .component("orders", jobs.clone())
        .hand_over_to(People(room.join("people")))
        .start()?;

    // What brings its process down every time is not begun once more. Whatever else is left stays in the journal.
    let asked =
        journal.hand_over(People(room.join("people")), &Tokio::current(), Duration::from_secs(5)).await?;
    for order in asked.acknowledged {
        println!("    {order} has taken its process with it {PATIENCE} times: people see to it");
    }
    // The rest is, the least suspicious first.
    let mut left = journal.left_over();
    left.sort_by_key(|order| order.attempts());
    for order in left {
        println!("    {} is begun again, attempt {}: {}", order.id(), order.attempts() + 1, order.reason());
        work(jobs.resume(&order).await?, room).await?;
    }
    // An order leaves the queue when it is in the journal. If the process dies in between it is in both: then the second
    // begin does it once more, which is why an effect here is a file of the order's name.
    for order in names(&room.join("queue"))? {
        let customer = order.len();
        let job = jobs.begin(order.as_str(), Order { customer }).await?;
        fs::remove_file(room.join("queue").join(order))?;
        work(job, room).await?;
    }

    shutdown.begin("nothing is left to do");
    Ok(shutdown.finished().await.exit_code())
}

async fn work(job: DurableJob<Order>, room: &Path) -> Result<(), Box<dyn Error>> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    if job.id().as_str() == POISON {
        process::abort();
    }
    let effect = room.join("done").join(job.id().as_str());
    let commit = job.commit()?;
    fs::write(effect, "")?;
    commit.done();
    Ok(())
}

/// Takes over what has cost too many processes; at a shutdown, everything.
struct People(PathBuf);

#[sundown::async_trait]
impl Notifier for People {
    async fn incomplete(&self, hand_over: &HandOver) -> Result<(), NotifyError> {
        let died = *hand_over.reason() == sundown::Reason::Died;
        for job in hand_over.jobs().iter().filter(|job| !died || job.attempts() >= PATIENCE) {
            let record =
                serde_json::to_vec(job).map_err(|error| NotifyError::new("no record").because(error))?;
            fs::write(self.0.join(job.id().as_str()), record)
                .map_err(|error| NotifyError::new("nobody was told").because(error))?;
            hand_over.acknowledge(job.key());
        }
        Ok(())
    }
}

/// The parent, which ends well only if nothing was lost.
fn kill_it_again_and_again() -> Result<ExitCode, Box<dyn Error>> {
    let room = env::temp_dir().join(format!("sundown-crash-recovery-{}", process::id()));
    for folder in ["queue", "done", "people"] {
        fs::create_dir_all(room.join(folder))?;
    }
    let orders: Vec<_> = (0..ORDERS).map(|number| format!("order-{number:02}")).collect();
    for order in &orders {
        fs::write(room.join("queue").join(order), "")?;
    }
    println!("{ORDERS} orders are in the queue; {POISON} makes the process crash");
    for run in 1.. {
        let mut service = Command::new(env::current_exe()?).arg(&room).spawn()?;
        if run <= KILLS {
            thread::sleep(Duration::from_millis(fastrand::u64(40..250)));
            service.kill()?; // SIGKILL
        }
        let ended = service.wait()?;
        let [queue, done, people] = ["queue", "done", "people"].map(|folder| names(&room.join(folder)));
        let (queue, done, people) = (queue?.len(), done?.len(), people?.len());
        println!("run {run}: {ended}; {queue} in the queue, {done} done, {people} with people");
        if ended.success() {
            break;
        }
        if run > KILLS + 50 {
            return Err("the service does not come to an end".into());
        }
    }
    let (done, mut people) = (names(&room.join("done"))?, names(&room.join("people"))?);
    // Killed between the effect and the note of it, an order is begun once more, and may go to people though it is done.
    people.retain(|order| !done.contains(order));
    let lost: Vec<_> =
        orders.iter().filter(|order| !done.contains(order) && !people.contains(order)).collect();
    let left = Journal::open(room.join("orders.journal"))?.left_over();
    fs::remove_dir_all(&room)?;
    println!("{ORDERS} orders: {} done, {} with people, {} lost", done.len(), people.len(), lost.len());
    if lost.is_empty() && left.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(format!("{lost:?} {left:?}").into())
    }
}

/// What is in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
