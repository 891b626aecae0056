//! The examples of sundown. Start with `cargo run --example rehearsal`.
