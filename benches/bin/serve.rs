//! The program whose instructions are counted: `serve bare|lazy|ours|jobs hello|router`. It says where it listens, and ends
//! with its standard input.

#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    io::{Read, stdin},
    net::TcpListener,
    process::exit,
    thread,
};

use sundown_benches::stack::{KINDS, STACKS, named, serve};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [stack, kind] = &arguments[..] else { return Err("serve bare|lazy|ours|jobs hello|router".into()) };
    let (stack, kind) = (named(&STACKS, stack)?, named(&KINDS, kind)?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    thread::spawn(|| {
        let _ = stdin().read_to_end(&mut Vec::new());
        exit(0);
    });
    Ok(serve(stack, kind, listener)?)
}
