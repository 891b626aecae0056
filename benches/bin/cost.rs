//! What the responder costs while running, against hyper alone, and whether that is within its bounds.
//!
//! Each case is served under callgrind, once for some requests and once for three times as many: what the second took
//! more is free of the cost of starting. Allocations are counted by dhat in a program of their own. The counts are of
//! work, and the same on a slow machine; they differ between compilers, and so the bounds are on the comparison.
//!
//! There are two comparisons. With hyper as it usually stands on a runtime's timers (`bare`): what a service pays that moves
//! here; the bounds are on this one. And with hyper on the timer that we give it (`lazy`): what all else of ours costs, with
//! the same code for the same timeouts on both sides.
//!
//! What callgrind wrote stays beside the programs, for `callgrind_annotate`.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    thread,
};

use lexopt::{Arg, Parser, ValueExt};
use sundown_benches::{
    client::Client,
    stack::{KINDS, Kind, STACKS, Stack},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const HELP: &str = "cost [--instructions RATIO] [--allocations MORE] [--bytes MORE]

Exits with 1 when our instructions a request are more than RATIO (1.05) times hyper's, our allocations a request more
than MORE (-1) above hyper's, or our bytes a connection more than MORE (128) above.";

const REQUESTS: usize = 500;

/// What we may cost.
///
/// Of a request to the empty handler (hyper's: 11,120 instructions) some 1,320 are ours, and each buys something: 630 note
/// where a thread outside the runtime finds it what an answer in the handler's place depends on, and count the request in
/// flight; 340 let the handler race the answer step, and catch its panics; 180 decide who lets the response out, and watch
/// its body; 170 pass the state word around each system call. Some 1,000 are saved: 260 are one read of three, which would
/// find nothing, and 740 most of the timer, which hyper sets anew for each request. The router's count differs by 1 %
/// between runs: it depends on what the start has left on the heap.
struct Bounds {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

#[derive(Clone, Copy)]
struct Cost {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

fn main() -> Result<ExitCode> {
    let Some(bounds) = bounds()? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    println!(
        "service  stack   instructions/request (x bare, x lazy)   allocations/request     bytes/connection"
    );
    let mut within = true;
    for (kind, kind_name) in KINDS {
        // Side by side: a count does not depend on who else runs.
        let costs: Vec<Result<Cost>> = thread::scope(|scope| {
            let running = STACKS.map(|(_, stack)| scope.spawn(move || cost(kind, kind_name, stack)));
            running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err("a panic".into()))).collect()
        });
        let costs = costs.into_iter().collect::<Result<Vec<_>>>()?;
        let (bare, lazy) = (costs[0], costs[1]);
        for ((stack, name), cost) in STACKS.into_iter().zip(costs) {
            let more = Cost {
                instructions: cost.instructions / bare.instructions,
                allocations: cost.allocations - bare.allocations,
                bytes: cost.bytes - bare.bytes,
            };
            print(&[kind_name, name], cost, more, cost.instructions / lazy.instructions);
            within &= stack != Stack::Ours || bounds.hold(more);
        }
    }
    Ok(if within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print([kind, stack]: &[&str; 2], cost: Cost, more: Cost, of_lazy: f64) {
    println!(
        "{kind:8} {stack:5} {:12.0} (x {:5.3}, x {of_lazy:5.3}) {:22.2} ({:+6.2}) {:12.0} ({:+5.0})",
        cost.instructions, more.instructions, cost.allocations, more.allocations, cost.bytes, more.bytes
    );
}

impl Bounds {
    /// Says what does not.
    fn hold(&self, more: Cost) -> bool {
        let checks = [
            ("times the instructions a request", more.instructions, self.instructions),
            ("more allocations a request", more.allocations, self.allocations),
            ("more bytes a connection", more.bytes, self.bytes),
        ];
        let broken = checks.iter().filter(|(_, found, bound)| found > bound);
        broken.map(|(what, found, bound)| eprintln!("  too much: {found:.3} {what}, at most {bound}")).count()
            == 0
    }
}

/// `None` if help was asked for.
fn bounds() -> Result<Option<Bounds>> {
    let mut bounds = Bounds { instructions: 1.05, allocations: -1.0, bytes: 128.0 };
    let mut parser = Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("instructions") => bounds.instructions = parser.value()?.parse()?,
            Arg::Long("allocations") => bounds.allocations = parser.value()?.parse()?,
            Arg::Long("bytes") => bounds.bytes = parser.value()?.parse()?,
            Arg::Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(bounds))
}

fn cost(kind: Kind, kind_name: &str, stack: &str) -> Result<Cost> {
    let few = count(kind, kind_name, stack, REQUESTS)?;
    let many = count(kind, kind_name, stack, 3 * REQUESTS)?;
    #[allow(clippy::cast_precision_loss, reason = "these are small")]
    let instructions = (many - few) as f64 / (2 * REQUESTS) as f64;
    let heap = Command::new(program("heap")?).args([stack, kind_name]).stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(heap.stdout)?;
    let (allocations, bytes) = said.trim().split_once(' ').ok_or("heap found nothing")?;
    Ok(Cost { instructions, allocations: allocations.parse()?, bytes: bytes.parse()? })
}

/// All the instructions of a server that is asked so often.
fn count(kind: Kind, kind_name: &str, stack: &str, requests: usize) -> Result<u64> {
    let out = program(&format!("callgrind.{kind_name}.{stack}.{requests}"))?;
    let mut server = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program("serve")?)
        .args([stack, kind_name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind, which counts the instructions: {error}"))?;
    let asked = server.stdout.take().ok_or("it is piped").map_err(Into::into).and_then(|stdout| {
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        Ok(Client::connect(address.trim().parse()?, server.id())?.ask(kind.requests(), requests)?)
    });
    // The end of its standard input ends it, however it was asked.
    drop(server.stdin.take());
    let mut said = String::new();
    server.stderr.take().ok_or("it is piped")?.read_to_string(&mut said)?;
    server.wait()?;
    asked.map_err(|error: Box<dyn Error + Send + Sync>| format!("{error}\n{said}"))?;
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(collected.ok_or_else(|| format!("no count: {said}"))?.1.trim().parse()?)
}

/// What lies beside this program.
fn program(name: &str) -> Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}
