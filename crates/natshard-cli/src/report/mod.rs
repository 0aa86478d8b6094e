//! One self-contained HTML page about a run.

pub(crate) mod data;
