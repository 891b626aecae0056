//! What must hold of all that a client got, whatever it sent.

use std::{collections::HashSet, time::Instant};

use sundown_tests::http::{End, Framing, Reply};

use crate::{
    client::Got,
    grammar::Sent,
    plan::{Last, Plan},
    service::{SIGNATURE, TUNNEL},
};

/// What the judge knows of the round.
pub(crate) struct Facts {
    /// When it was told to begin.
    pub(crate) begun: Instant,
    /// The ids of the jobs that somebody took over.
    pub(crate) handed_over: HashSet<String>,
}

/// How often something was met that the fuzzer is for.
pub(crate) type Met = Vec<(&'static str, u64)>;

pub(crate) fn judge(plan: &Plan, got: &Got, facts: &Facts) -> Result<Met, String> {
    let mut met = Met::new();
    if got.end == End::None && plan.last != Last::Reset {
        return Err("its connection has no end".to_owned());
    }
    if plan.script.is_preface {
        // In pieces, it may have been answered before it was whole.
        if plan.pieces.len() == 1 && got.bytes.starts_with(b"HTTP/1") {
            return Err("an HTTP/1 answer to HTTP/2".to_owned());
        }
        met.push(("HTTP/2 preface", 1));
    } else if plan.script.is_intact {
        judge_intact(plan, got, facts, &mut met)?;
    } else {
        judge_damaged(plan, got, &mut met)?;
    }
    Ok(met)
}

/// Which answer belongs to which request is known.
fn judge_intact(plan: &Plan, got: &Got, facts: &Facts, met: &mut Met) -> Result<(), String> {
    let mut at = 0;
    let mut last = false;
    for (n, sent) in plan.script.requests.iter().enumerate() {
        let rest = &got.bytes[at..];
        if rest.is_empty() {
            if n == 0 {
                return unanswered(plan, got, facts, sent);
            }
            return Ok(());
        }
        if last {
            return Err(format!("bytes after the last answer, at {at}"));
        }
        let Some((reply, length)) = Reply::try_parse(rest, sent.method, got.end == End::Fin)? else {
            met.push(("cut in a head", 1));
            return Ok(());
        };
        at += length;
        let seen = got.marks.iter().find(|(received, _)| *received >= at).map_or(usize::MAX, |mark| mark.1);
        if seen <= sent.head.start {
            return Err(format!("an answer to request {n}, of which nothing was sent"));
        }
        if seen < sent.head.end {
            met.push(("half a head answered", 1));
            if reply.status < 400 {
                return Err(format!("half a head was answered with {}", reply.status));
            }
        }
        judge_own(&reply, sent.method, Some(sent))?;
        judge_fate(&reply, sent, facts, met)?;
        if is_tunnel(&reply, sent.method) {
            met.push(("tunnel", 1));
            return judge_tunnel(&got.bytes[at..]);
        }
        met.push((if reply.is_whole { "whole answer" } else { "cut answer" }, 1));
        last = is_last(&reply)?;
    }
    match got.bytes.len() - at {
        0 => Ok(()),
        more => Err(format!("{more} bytes that answer nothing, at {at}")),
    }
}

/// Whoever had sent a whole head before the shutdown began gets an answer, or the beginning of one.
fn unanswered(plan: &Plan, got: &Got, facts: &Facts, sent: &Sent) -> Result<(), String> {
    let whole = got.sent.iter().find(|(bytes, _)| *bytes >= sent.head.end);
    let listens = matches!(plan.last, Last::Read | Last::HalfClose);
    if sent.may_reset && got.end == End::Reset {
        return Ok(());
    }
    match whole {
        Some((_, when)) if *when < facts.begun && listens => Err("no answer".to_owned()),
        _ => Ok(()),
    }
}

/// What a handler has signed is what it said, and whole if it looks whole.
fn judge_own(reply: &Reply, method: &str, sent: Option<&Sent>) -> Result<(), String> {
    let Some(path) = reply.try_field("x-for")? else { return Ok(()) };
    if path == "tunnel" {
        return Ok(());
    }
    if let Some(sent) = sent.filter(|sent| sent.path != path) {
        return Err(format!("{} was answered with what belongs to {path}", sent.path));
    }
    let has_body = method != "HEAD" && reply.framing != Framing::Bodyless;
    if has_body && reply.is_whole && !reply.text().ends_with(SIGNATURE) {
        return Err(format!("cut, and it looks whole: {reply}"));
    }
    Ok(())
}

/// Success for work that somebody knows of, and one owner of each job.
fn judge_fate(reply: &Reply, sent: &Sent, facts: &Facts, met: &mut Met) -> Result<(), String> {
    let taken_over = facts.handed_over.contains(&sent.id);
    let is_own = reply.try_field("x-for")?.is_some();
    match reply.try_field("sundown-fate")? {
        Some(_) if is_own => return Err(format!("a handler does not speak of fates: {reply}")),
        Some("handed-over") if !taken_over => return Err(format!("nobody took it over: {reply}")),
        Some("handed-over") => met.push(("handed over", 1)),
        Some("completed") => {}
        Some(_) if reply.status < 400 => return Err(format!("a success without a reason: {reply}")),
        Some("not-started") => met.push(("not started", 1)),
        Some(_) => met.push(("told to retry", 1)),
        None if is_own && taken_over && reply.is_whole && sent.method != "HEAD" => {
            return Err(format!("both its handler and somebody else did it: {reply}"));
        }
        None => {}
    }
    Ok(())
}

/// What the server made of it is not known, only that each answer needs something to answer.
fn judge_damaged(plan: &Plan, got: &Got, met: &mut Met) -> Result<(), String> {
    let bytes = &plan.script.bytes;
    let ends = bytes.windows(2).filter(|two| two == b"\n\n").count()
        + bytes.windows(3).filter(|three| three == b"\n\r\n").count();
    met.push(("damaged", 1));
    explain(&got.bytes, ends + 1, got.end == End::Fin)
}

/// Whether so many answers can be all that is there.
fn explain(rest: &[u8], left: usize, is_end: bool) -> Result<(), String> {
    if rest.is_empty() {
        return Ok(());
    }
    if left == 0 {
        return Err(format!("more answers than requests: {:?}", String::from_utf8_lossy(rest)));
    }
    let mut wrong = String::new();
    // Only a handler says what it was asked for; of the others, one reading must hold.
    for method in ["GET", "HEAD", "CONNECT"] {
        match explain_as(rest, method, left, is_end) {
            Ok(()) => return Ok(()),
            Err(found) => wrong = format!("{wrong}as {method}: {found}; "),
        }
    }
    Err(wrong)
}

fn explain_as(rest: &[u8], method: &str, left: usize, is_end: bool) -> Result<(), String> {
    let Some((reply, length)) = Reply::try_parse(rest, method, is_end)? else { return Ok(()) };
    if let Some(said) = reply.try_field("x-method")? {
        let means = if ["HEAD", "CONNECT"].contains(&said) { said } else { "GET" };
        if means != method {
            return Err(format!("it was {said}"));
        }
    }
    judge_own(&reply, method, None)?;
    let rest = &rest[length..];
    if is_tunnel(&reply, method) {
        return judge_tunnel(rest);
    }
    if is_last(&reply)? && !rest.is_empty() {
        return Err(format!("bytes after the last answer: {:?}", String::from_utf8_lossy(rest)));
    }
    explain(rest, left - 1, is_end)
}

fn is_tunnel(reply: &Reply, method: &str) -> bool {
    reply.status == 101 || (method == "CONNECT" && reply.status < 300)
}

fn judge_tunnel(rest: &[u8]) -> Result<(), String> {
    match TUNNEL.starts_with(rest) {
        true => Ok(()),
        false => Err(format!("in the tunnel: {:?}", String::from_utf8_lossy(rest))),
    }
}

fn is_last(reply: &Reply) -> Result<bool, String> {
    Ok(reply.try_field("connection")?.is_some_and(|value| value.eq_ignore_ascii_case("close")))
}
